//! The accounts of a Django site come over: all that are new, or none.

mod plan;

use super::Result;
use crate::domain::{User, UserId, UtcTime};
use crate::security::hasher;
use crate::store::Db;
use crate::store::django_source::DjangoAccounts;
use crate::store::import;

use plan::Plan;

/// What the operator wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportChoices {
    /// Only look.
    pub dry_run: bool,
    /// Leave out what collides, instead of everything.
    pub skip_conflicts: bool,
    /// Let accounts come without the address that another one has too.
    pub drop_shared_emails: bool,
}

/// What was done, or would be.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Accounts that came over.
    pub imported: usize,
    /// Accounts that came over earlier and were left as they are.
    pub already_here: usize,
    /// Accounts that cannot be here as they are. They stop the others too, unless they may be skipped.
    pub conflicts: Vec<Conflict>,
    /// Accounts that come without their address, since another has it too.
    pub without_shared_email: Vec<UserId>,
    /// Accounts whose user name is an e-mail address other than their own.
    pub address_as_username: Vec<UserId>,
    /// Addresses beyond the first of an account, which stay behind.
    pub further_emails: usize,
    /// Accounts without a password, as their mark says.
    pub without_password: usize,
    /// Accounts whose password hash is of no form that can be verified.
    pub unknown_hashes: Vec<UserId>,
}

/// An account that cannot be here as it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its number in Django.
    pub id: UserId,
    /// Its name in Django.
    pub username: String,
    /// All that it has in common with others.
    pub collisions: Vec<Collision>,
}

/// Something that only one account can have.
#[derive(Debug, PartialEq, Eq)]
pub struct Collision {
    /// What it is.
    pub shared: Shared,
    /// Where the others are.
    pub place: Place,
    /// Who has it too.
    pub others: Vec<UserId>,
}

/// What two accounts have in common.
#[derive(Debug, PartialEq, Eq)]
pub enum Shared {
    /// The number.
    Number,
    /// The name, without regard to case.
    Name,
    /// The address, without regard to case.
    Address(String),
}

/// Where an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the Django database.
    Django,
    /// In that of Hallpass.
    Hallpass,
}

/// Imports what is new of `accounts`, in one transaction, and tells `progress` how many accounts were
/// written so far.
pub fn import_django(
    db: &Db,
    accounts: DjangoAccounts,
    choices: ImportChoices,
    now: UtcTime,
    progress: fn(usize),
) -> Result<ImportReport> {
    if choices.dry_run {
        let present = db.read(import::find_present)?;
        return Ok(report(plan::make(accounts, &present, choices, now), choices).0);
    }
    db.write(move |conn| {
        import::lock_users(conn)?;
        let present = import::find_present(conn)?;
        let (report, new) = report(plan::make(accounts, &present, choices, now), choices);
        import::insert_users(conn, &new, progress)?;
        Ok(report)
    })
}

/// What becomes of the plan: the accounts to be made, none where conflicts stop them.
fn report(plan: Plan, choices: ImportChoices) -> (ImportReport, Vec<User>) {
    let stopped = !plan.conflicts.is_empty() && !choices.skip_conflicts;
    let has_none = |user: &User| {
        let hash = user.password_hash.expose();
        hash.is_empty() || hash.starts_with('!')
    };
    let is_unknown = |user: &&User| !has_none(user) && !hasher::is_usable(&user.password_hash);
    let report = ImportReport {
        imported: if stopped { 0 } else { plan.new.len() },
        already_here: plan.already_here,
        without_shared_email: plan.without_shared_email,
        address_as_username: plan.address_as_username,
        further_emails: plan.further_emails,
        without_password: plan.new.iter().filter(|user| has_none(user)).count(),
        unknown_hashes: plan.new.iter().filter(is_unknown).map(|user| user.id).collect(),
        conflicts: plan.conflicts,
    };
    (report, if stopped { Vec::new() } else { plan.new })
}
