//! Identities at other services that are linked to accounts.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use super::schema::{identities, users};
use super::users::lock_user;
use super::{Conn, Result};
use crate::domain::{IdentityId, IdentityKey, LinkedIdentity, UserId, UtcTime};

/// Rows in one statement.
const ROWS: usize = 1000;

#[derive(Queryable, Selectable, Insertable)]
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

impl From<&LinkedIdentity> for Row {
    fn from(identity: &LinkedIdentity) -> Self {
        Self {
            id: identity.id.0.clone(),
            user_id: identity.user_id.0,
            provider: identity.provider.clone(),
            issuer: identity.key.issuer.clone(),
            subject: identity.key.subject.clone(),
            email: identity.email.clone(),
            created_at: identity.created_at.micros(),
            last_used_at: identity.last_used_at.map(UtcTime::micros),
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
    diesel::insert_into(identities::table).values(Row::from(identity)).execute(conn)?;
    Ok(())
}

/// Returns the owners of those identities that are linked, by identity.
pub fn find_owners(
    conn: &mut Conn,
    keys: &[&IdentityKey],
) -> Result<Vec<(IdentityKey, UserId)>> {
    let mut found = Vec::new();
    for chunk in keys.chunks(ROWS) {
        let issuers: Vec<&str> = chunk.iter().map(|key| key.issuer.as_str()).collect();
        let subjects: Vec<&str> = chunk.iter().map(|key| key.subject.as_str()).collect();
        let rows: Vec<(String, String, i64)> = identities::table
            .filter(identities::issuer.eq_any(issuers))
            .filter(identities::subject.eq_any(subjects))
            .select((identities::issuer, identities::subject, identities::user_id))
            .load(conn)?;
        let owner = |(issuer, subject, id)| (IdentityKey { issuer, subject }, UserId(id));
        found.extend(rows.into_iter().map(owner).filter(|(key, _)| chunk.contains(&key)));
    }
    Ok(found)
}

/// Links identities that are not linked yet, for an import. Returns their number.
pub fn insert_missing(conn: &mut Conn, all: &[LinkedIdentity]) -> Result<usize> {
    let mut inserted = 0;
    for chunk in all.chunks(ROWS) {
        let rows: Vec<Row> = chunk.iter().map(Row::from).collect();
        let statement = diesel::insert_into(identities::table);
        inserted += match conn {
            Conn::Sqlite(sqlite) => {
                statement.values(&rows).on_conflict_do_nothing().execute(sqlite)?
            }
            Conn::Postgres(postgres) => {
                statement.values(&rows).on_conflict_do_nothing().execute(postgres)?
            }
        };
    }
    Ok(inserted)
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

/// Records a log-in with an identity and the e-mail address that the provider gave. Returns false if it
/// is not linked any more.
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

/// Unlinks an identity of an account, unless the account has neither a password nor another identity.
/// Locks the row of the user, so that two requests cannot unlink the last two.
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
