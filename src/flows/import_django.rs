//! Import of the accounts of a Django site: all that are new, or none.

mod plan;
mod report;

use std::collections::HashSet;
use std::sync::Arc;

use super::Result;
use super::account::delete::complete_deletions;
use crate::clock::Clock;
use crate::domain::{IdentityKey, LinkedIdentity, User, UserId, UtcTime};
use crate::security::hasher;
use crate::store::django_source::{DjangoAccounts, DjangoExtras, DjangoSocialAccount};
use crate::store::import::{self, Present};
use crate::store::users::released_names;
use crate::store::{self, Conn, Db, identities};

use plan::{Plan, has_no_password};
pub use report::{Collision, Conflict, ImportChoices, LeftBehind, Place, Shared};

/// The result of an import, or of its dry run.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Number of imported accounts.
    pub imported: usize,
    /// Number of accounts that an earlier import created. They are left unchanged.
    pub already_here: usize,
    /// Accounts that conflict with others. They stop the import unless they may be skipped.
    pub conflicts: Vec<Conflict>,
    /// Accounts that are imported without their e-mail address, because another account has it.
    pub without_shared_email: Vec<UserId>,
    /// Accounts whose user name is an e-mail address other than their own.
    pub address_as_username: Vec<UserId>,
    /// Accounts whose user name cannot be used to log in.
    pub unusable_usernames: Vec<UserId>,
    /// Number of imported identities at other services.
    pub identities: usize,
    /// Data of the accounts that is not imported.
    pub left_behind: LeftBehind,
    /// True if the import was refused because second factors would be lost.
    pub is_stopped_by_second_factors: bool,
    /// Number of e-mail addresses beyond the first of an account. They are not imported.
    pub further_emails: usize,
    /// Accounts with an e-mail address that cannot receive mail.
    pub unreachable_emails: Vec<UserId>,
    /// Accounts that joined or logged in before 1970. Responses show these times as 1970.
    pub before_1970: Vec<UserId>,
    /// Number of accounts that Django marks as having no password.
    pub without_password: usize,
    /// Accounts whose password hash has an unknown format.
    pub unknown_hashes: Vec<UserId>,
}

impl LeftBehind {
    fn of(users: &[User], extras: &DjangoExtras, choices: &ImportChoices) -> Self {
        let ids = |of: &[i64]| {
            let of: HashSet<UserId> = of.iter().copied().map(UserId).collect();
            users.iter().filter(move |user| of.contains(&user.id))
        };
        let (known, unknown): (Vec<_>, Vec<_>) =
            extras.social.iter().partition(|account| choices.key_of(account).is_some());
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
            second_factors_of_unknown_users: extras.second_factors_of_unknown_users.clone(),
            social_only: by_social_account.map(|user| user.id).collect(),
            other_providers: ids(&owners(&unknown)).count(),
            in_groups: ids(&extras.in_groups).count(),
            with_permissions: ids(&extras.with_permissions).count(),
            with_names: ids(&extras.with_names).count(),
        }
    }
}

/// Imports the new accounts of `accounts` in one transaction, and reports the number of accounts
/// written so far to `progress`. Access tokens of other accounts that contain an address of one of
/// them are revoked.
pub fn import_django(
    db: &Db,
    accounts: DjangoAccounts,
    choices: &ImportChoices,
    clock: Arc<dyn Clock>,
    progress: fn(usize),
) -> Result<ImportReport> {
    if choices.dry_run {
        let present = db.read(|conn| find_present(conn, &accounts, choices))?;
        return Ok(report(plan::make(accounts, &present, choices, clock.now()), choices).0);
    }
    let choices = choices.clone();
    db.write_once(move |conn| {
        import::lock_users(conn)?;
        // An account that was deleted a moment ago may be imported again.
        complete_deletions(conn)?;
        let present = find_present(conn, &accounts, &choices)?;
        let (report, new) = report(plan::make(accounts, &present, &choices, clock.now()), &choices);
        import::insert_users(conn, &new.users, progress)?;
        identities::insert_all(conn, &new.identities)?;
        released_names::take_all(conn, &new.users, clock.now())?;
        Ok(report)
    })
}

/// Returns the existing accounts, and the owners of the identities that the site has.
fn find_present(
    conn: &mut Conn,
    accounts: &DjangoAccounts,
    choices: &ImportChoices,
) -> store::Result<Present> {
    let mut present = import::find_present(conn)?;
    let social = accounts.extras.social.iter();
    let keys: Vec<IdentityKey> = social.filter_map(|account| choices.key_of(account)).collect();
    let mut owners = identities::find_owners(conn, &keys)?;
    // The deletion of the others is completed before the import.
    owners.retain(|_, owner| present.accounts.contains_key(owner));
    present.identities = owners;
    Ok(present)
}

fn last_login_micros(user: &User) -> i64 {
    user.last_login_at.map_or(0, UtcTime::micros)
}

/// The rows to insert.
#[derive(Default)]
struct NewRows {
    users: Vec<User>,
    identities: Vec<LinkedIdentity>,
}

/// Returns the report of a plan, and the rows to insert: none if conflicts stop the import.
fn report(plan: Plan, choices: &ImportChoices) -> (ImportReport, NewRows) {
    let of_unknown_users = &plan.left_behind.second_factors_of_unknown_users;
    let has_second_factors = !plan.left_behind.second_factors.is_empty()
        || !plan.new.is_empty() && !of_unknown_users.is_empty();
    let is_stopped_by_second_factors = has_second_factors && !choices.without_mfa;
    let stopped =
        is_stopped_by_second_factors || (!plan.conflicts.is_empty() && !choices.skip_conflicts);
    let is_unknown =
        |user: &&User| !has_no_password(user) && !hasher::is_usable(&user.password_hash);
    let is_unreachable = |user: &&User| user.email.as_ref().is_some_and(|it| !it.is_deliverable());
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
