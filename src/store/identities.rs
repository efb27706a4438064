//! Identities at other services that are linked to accounts.

use std::collections::HashMap;

use diesel::prelude::*;

use super::schema::identities;
use super::users::lock_user;
use super::{Conn, Result};
use crate::domain::{IdentityId, IdentityKey, LinkedIdentity, UserId, UtcTime};

/// Rows in one statement.
const ROWS: usize = 1000;

#[derive(Queryable, Selectable)]
#[diesel(table_name = identities)]
struct Row {
    id: String,
    user_id: i64,
    provider: String,
    issuer: String,
    subject: String,
    email: Option<String>,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl From<Row> for LinkedIdentity {
    fn from(row: Row) -> Self {
        Self {
            id: IdentityId(row.id),
            user_id: UserId(row.user_id),
            provider: row.provider,
            key: IdentityKey { issuer: row.issuer, subject: row.subject },
            email: row.email,
            created_at: UtcTime::from_micros(row.created_at),
            last_used_at: row.last_used_at.map(UtcTime::from_micros),
        }
    }
}

/// Outcome of unlinking an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlinking {
    /// The identity was unlinked.
    Unlinked(LinkedIdentity),
    /// The identity is the only way to log in.
    LastLoginMethod,
    /// The account has no such identity.
    Unknown,
}

/// Returns the identity of a subject at an issuer.
pub fn find_by_key(conn: &mut Conn, key: &IdentityKey) -> Result<Option<LinkedIdentity>> {
    let row = identities::table
        .filter(identities::issuer.eq(&key.issuer))
        .filter(identities::subject.eq(&key.subject))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(LinkedIdentity::from))
}

/// Links an identity to an account.
///
/// # Errors
/// `Duplicate(Unique::Identity)` if it is linked to this or another account already.
pub fn insert(conn: &mut Conn, identity: &LinkedIdentity) -> Result<()> {
    insert_all(conn, std::slice::from_ref(identity))
}

/// Links identities to accounts, for an import.
///
/// # Errors
/// `Duplicate(Unique::Identity)` if one of them is linked already.
pub fn insert_all(conn: &mut Conn, all: &[LinkedIdentity]) -> Result<()> {
    for chunk in all.chunks(ROWS) {
        let row = |identity: &LinkedIdentity| {
            (
                identities::id.eq(identity.id.0.clone()),
                identities::user_id.eq(identity.user_id.0),
                identities::provider.eq(identity.provider.clone()),
                identities::issuer.eq(identity.key.issuer.clone()),
                identities::subject.eq(identity.key.subject.clone()),
                identities::email.eq(identity.email.clone()),
                identities::created_at.eq(identity.created_at.micros()),
                identities::last_used_at.eq(identity.last_used_at.map(UtcTime::micros)),
            )
        };
        let rows: Vec<_> = chunk.iter().map(row).collect();
        // Batches of several databases at once have no type.
        let statement = diesel::insert_into(identities::table).values(rows);
        match conn {
            Conn::Sqlite(sqlite) => statement.execute(sqlite)?,
            Conn::Postgres(postgres) => statement.execute(postgres)?,
        };
    }
    Ok(())
}

/// Returns the accounts to which identities are linked, for those that are.
pub fn find_owners(conn: &mut Conn, keys: &[IdentityKey]) -> Result<HashMap<IdentityKey, UserId>> {
    let mut subjects: HashMap<&str, Vec<&str>> = HashMap::new();
    for key in keys {
        subjects.entry(&key.issuer).or_default().push(&key.subject);
    }
    let mut owners = HashMap::new();
    for (issuer, subjects) in subjects {
        for chunk in subjects.chunks(ROWS) {
            let found: Vec<(String, i64)> = identities::table
                .filter(identities::issuer.eq(issuer))
                .filter(identities::subject.eq_any(chunk))
                .select((identities::subject, identities::user_id))
                .load(conn)?;
            let entry = |(subject, owner)| {
                (IdentityKey { issuer: issuer.to_owned(), subject }, UserId(owner))
            };
            owners.extend(found.into_iter().map(entry));
        }
    }
    Ok(owners)
}

/// Lists the identities of an account, the oldest first.
pub fn list_of_user(conn: &mut Conn, user: UserId) -> Result<Vec<LinkedIdentity>> {
    let rows = identities::table
        .filter(identities::user_id.eq(user.0))
        .order((identities::created_at, identities::id))
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(LinkedIdentity::from).collect())
}

/// Records a log-in with an identity and the e-mail address that the provider gave. Returns false
/// if it is not linked any more.
pub fn record_use(
    conn: &mut Conn,
    id: &IdentityId,
    email: Option<&str>,
    now: UtcTime,
) -> Result<bool> {
    let updated = diesel::update(identities::table.find(&id.0))
        .set((identities::last_used_at.eq(now.micros()), identities::email.eq(email)))
        .execute(conn)?;
    Ok(updated == 1)
}

/// Unlinks the identities that were linked to an account at `since` or later, and returns them.
pub fn unlink_since(conn: &mut Conn, user: UserId, since: UtcTime) -> Result<Vec<LinkedIdentity>> {
    let later = identities::table
        .filter(identities::user_id.eq(user.0))
        .filter(identities::created_at.ge(since.micros()));
    let rows: Vec<Row> =
        diesel::delete(later).returning(identities::all_columns).get_results(conn)?;
    Ok(rows.into_iter().map(LinkedIdentity::from).collect())
}

/// Unlinks an identity of an account, unless the account has neither a password nor another
/// identity of an issuer for which `logs_in` returns true. Locks the row of the user, so that two
/// requests cannot unlink the last two.
pub fn unlink_unless_last(
    conn: &mut Conn,
    user: UserId,
    id: &IdentityId,
    logs_in: impl Fn(&str) -> bool,
) -> Result<Unlinking> {
    let Some(owner) = lock_user(conn, user)? else { return Ok(Unlinking::Unknown) };
    let (mut own, others): (Vec<_>, Vec<_>) =
        list_of_user(conn, user)?.into_iter().partition(|identity| identity.id == *id);
    let Some(identity) = own.pop() else { return Ok(Unlinking::Unknown) };
    let is_last = !owner.password_hash.is_usable()
        && !others.iter().any(|identity| logs_in(&identity.key.issuer));
    if is_last {
        return Ok(Unlinking::LastLoginMethod);
    }
    diesel::delete(identities::table.find(&id.0)).execute(conn)?;
    Ok(Unlinking::Unlinked(identity))
}

/// Returns the first issuer of identities after `issuer`, in the order of the index.
pub fn find_issuer_after(conn: &mut Conn, issuer: &str) -> Result<Option<String>> {
    let next = identities::table
        .filter(identities::issuer.gt(issuer))
        .order(identities::issuer)
        .select(identities::issuer)
        .limit(1)
        .first(conn);
    Ok(next.optional()?)
}

/// Counts the identities of an issuer.
pub fn count_of_issuer(conn: &mut Conn, issuer: &str) -> Result<i64> {
    let of_issuer = identities::table.filter(identities::issuer.eq(issuer));
    Ok(of_issuer.count().get_result(conn)?)
}
