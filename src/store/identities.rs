//! Identities at other services that are linked to accounts.

use std::collections::{HashMap, HashSet};

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use super::schema::{identities, users};
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

fn insert_all(conn: &mut Conn, all: &[LinkedIdentity]) -> Result<()> {
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

/// Links identities that are not linked yet, for an import. Returns their number.
pub fn insert_missing(conn: &mut Conn, all: Vec<LinkedIdentity>) -> Result<usize> {
    let mut subjects: HashMap<&str, Vec<&str>> = HashMap::new();
    for identity in &all {
        subjects.entry(&identity.key.issuer).or_default().push(&identity.key.subject);
    }
    let mut present = HashSet::new();
    for (issuer, subjects) in subjects {
        for chunk in subjects.chunks(ROWS) {
            let found: Vec<String> = identities::table
                .filter(identities::issuer.eq(issuer))
                .filter(identities::subject.eq_any(chunk))
                .select(identities::subject)
                .load(conn)?;
            let key = |subject| IdentityKey { issuer: issuer.to_owned(), subject };
            present.extend(found.into_iter().map(key));
        }
    }
    let mut missing = all;
    missing.retain(|identity| !present.contains(&identity.key));
    insert_all(conn, &missing)?;
    Ok(missing.len())
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
/// identity. Locks the row of the user, so that two requests cannot unlink the last two.
pub fn unlink_unless_last(conn: &mut Conn, user: UserId, id: &IdentityId) -> Result<Unlinking> {
    let other = diesel::alias!(identities as other);
    if lock_user(conn, user)?.is_none() {
        return Ok(Unlinking::Unknown);
    }
    let own = identities::table.find(&id.0).filter(identities::user_id.eq(user.0));
    let Some(row) = own.select(Row::as_select()).first(conn).optional()? else {
        return Ok(Unlinking::Unknown);
    };
    // The texts that no password matches, as `PasswordHash` describes them.
    let has_password = users::table
        .find(user.0)
        .filter(users::password_hash.ne(""))
        .filter(not(users::password_hash.like("!%")));
    let has_other = other
        .filter(other.field(identities::user_id).eq(user.0))
        .filter(other.field(identities::id).ne(&id.0));
    let unless_last = own.filter(exists(has_password).or(exists(has_other)));
    match diesel::delete(unless_last).execute(conn)? {
        0 => Ok(Unlinking::LastLoginMethod),
        _ => Ok(Unlinking::Unlinked(row.into())),
    }
}
