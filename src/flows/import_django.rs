//! The accounts of a Django site come over: all that are new, or none.

mod plan;
mod report;

use std::collections::HashSet;

use super::Result;
use crate::domain::{LinkedIdentity, User, UserId, UtcTime};
use crate::security::hasher;
use crate::social::Preset;
use crate::store::django_source::{DjangoAccounts, DjangoExtras, DjangoSocialAccount};
use crate::store::{Db, identities, import};

use plan::Plan;
pub use report::{Collision, Conflict, ImportChoices, LeftBehind, Place, Shared};

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
    /// Accounts whose user name no log-in can name.
    pub unusable_usernames: Vec<UserId>,
    /// Identities at other services that came with the accounts.
    pub identities: usize,
    /// What belongs to the accounts and is not imported.
    pub left_behind: LeftBehind,
    /// True if the second factors that would be lost stop the import.
    pub is_stopped_by_second_factors: bool,
    /// Addresses beyond the first of an account, which stay behind.
    pub further_emails: usize,
    /// Accounts with an e-mail address that no mail can be sent to.
    pub unreachable_emails: Vec<UserId>,
    /// Accounts that joined or logged in before 1970, which answers show as 1970.
    pub before_1970: Vec<UserId>,
    /// Accounts without a password, as their mark says.
    pub without_password: usize,
    /// Accounts whose password hash is of no form that can be verified.
    pub unknown_hashes: Vec<UserId>,
}

impl LeftBehind {
    fn of(users: &[User], extras: &DjangoExtras) -> Self {
        let ids = |of: &[i64]| {
            let of: HashSet<UserId> = of.iter().copied().map(UserId).collect();
            users.iter().filter(move |user| of.contains(&user.id))
        };
        let (known, unknown): (Vec<_>, Vec<_>) = extras
            .social
            .iter()
            .partition(|account| Preset::issuer_of_allauth(&account.provider).is_some());
        let owners = |accounts: &[&DjangoSocialAccount]| -> Vec<i64> {
            accounts.iter().map(|account| account.user_id).collect()
        };
        let known: HashSet<i64> = owners(&known).into_iter().collect();
        let mut lost = owners(&unknown);
        lost.retain(|user| !known.contains(user));
        let by_social_account = ids(&lost).filter(|user| has_no_password(user));
        Self {
            second_factors: ids(&extras.second_factors).map(|user| user.id).collect(),
            second_factor_tables: extras.second_factor_tables.clone(),
            social_only: by_social_account.map(|user| user.id).collect(),
            other_providers: ids(&owners(&unknown)).count(),
            in_groups: ids(&extras.in_groups).count(),
            with_permissions: ids(&extras.with_permissions).count(),
            with_names: ids(&extras.with_names).count(),
        }
    }
}

/// Returns whether the stored password matches nothing by Django's own mark.
fn has_no_password(user: &User) -> bool {
    let hash = user.password_hash.expose();
    hash.is_empty() || hash.starts_with('!')
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
    db.write_once(move |conn| {
        import::lock_users(conn)?;
        let present = import::find_present(conn)?;
        let (mut report, new) = report(plan::make(accounts, &present, choices, now), choices);
        import::insert_users(conn, &new.users, progress)?;
        report.identities = identities::insert_missing(conn, new.identities)?;
        Ok(report)
    })
}

fn last_login_micros(user: &User) -> i64 {
    user.last_login_at.map_or(0, UtcTime::micros)
}

/// What is to be inserted.
#[derive(Default)]
struct NewRows {
    users: Vec<User>,
    identities: Vec<LinkedIdentity>,
}

/// What becomes of the plan: the accounts to be made, none where conflicts stop them.
fn report(plan: Plan, choices: ImportChoices) -> (ImportReport, NewRows) {
    let is_stopped_by_second_factors =
        !plan.left_behind.second_factors.is_empty() && !choices.without_mfa;
    let stopped =
        is_stopped_by_second_factors || (!plan.conflicts.is_empty() && !choices.skip_conflicts);
    let is_unknown =
        |user: &&User| !has_no_password(user) && !hasher::is_usable(&user.password_hash);
    let is_unreachable = |user: &&User| user.email.as_ref().is_some_and(|it| !it.is_reachable());
    let is_before_1970 = |user: &&User| user.created_at.micros().min(last_login_micros(user)) < 0;
    let ids = |is_of: &dyn Fn(&&User) -> bool| -> Vec<UserId> {
        plan.new.iter().filter(is_of).map(|user| user.id).collect()
    };
    let report = ImportReport {
        imported: if stopped { 0 } else { plan.new.len() },
        already_here: plan.already_here,
        without_shared_email: plan.without_shared_email,
        address_as_username: plan.address_as_username,
        unusable_usernames: plan.unusable_usernames,
        identities: if stopped { 0 } else { plan.identities.len() },
        left_behind: plan.left_behind,
        is_stopped_by_second_factors,
        further_emails: plan.further_emails,
        without_password: plan.new.iter().filter(|user| has_no_password(user)).count(),
        unreachable_emails: ids(&is_unreachable),
        before_1970: ids(&is_before_1970),
        unknown_hashes: ids(&is_unknown),
        conflicts: plan.conflicts,
    };
    let new = NewRows { users: plan.new, identities: plan.identities };
    (report, if stopped { NewRows::default() } else { new })
}
