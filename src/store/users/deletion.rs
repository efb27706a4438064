//! Deleted accounts. A deletion is one short update, after which no statement finds the account:
//! its row stays, without its content, for the rows that refer to it. Those are deleted in small
//! steps, and the row after them. A cascade would delete thousands of rows in one statement. On SQLite
//! an account with few rows is deleted with them in one transaction (docs/adr/0024).

use diesel::prelude::*;

use crate::domain::{ChallengeKind, Email, Locale, Metadata, PasswordHash, Roles, UserId, UtcTime};
use crate::store::schema::{challenges, users};
use crate::store::{Conn, Result};

/// A deleted account whose rows are not all deleted yet.
#[derive(Clone, Debug)]
pub struct DeletedUser {
    /// Its user id.
    pub id: UserId,
    /// Its e-mail address, to find the mails to it.
    pub email: Option<Email>,
    /// Time of the deletion. The address may belong to another account since then.
    pub deleted_at: UtcTime,
}

/// Empties the row of an account, so that it is found no more and its user name and e-mail address
/// are free. Of concurrent callers exactly one gets true.
pub fn mark_deleted(conn: &mut Conn, id: UserId, now: UtcTime) -> Result<bool> {
    let name = format!("deleted {}", id.0);
    // An imported account may have any name, but none is normalised to one with capitals.
    let unique = format!("DELETED {}", id.0);
    let marked = diesel::update(users::table.find(id.0).filter(users::deleted_at.is_null()))
        .set((
            users::deleted_at.eq(now.micros()),
            users::username.eq(&name),
            users::username_norm.eq(&unique),
            users::email_norm.eq(None::<String>),
            users::email_verified.eq(false),
            users::password_hash.eq(PasswordHash::unusable().expose()),
            users::is_active.eq(false),
            users::is_staff.eq(false),
            users::is_superuser.eq(false),
            users::locale.eq(Locale::default().as_str()),
            users::last_login_at.eq(None::<i64>),
            users::metadata.eq(Metadata::default().to_text()),
            users::app_metadata.eq(Metadata::default().to_text()),
            users::roles.eq(Roles::default().to_text()),
            users::disabled_reason.eq(None::<String>),
            users::disabled_until.eq(None::<i64>),
        ))
        .execute(conn)?;
    Ok(marked == 1)
}

type Row = (i64, Option<String>, Option<i64>);

impl DeletedUser {
    fn of((id, email, at): Row) -> Option<Self> {
        let email = email.as_deref().map(Email::unchecked);
        Some(Self { id: UserId(id), email, deleted_at: UtcTime::from_micros(at?) })
    }
}

/// Returns the former addresses of an account, as far as it has notices about their change.
pub fn list_former_addresses(conn: &mut Conn, id: UserId) -> Result<Vec<Email>> {
    let former: Vec<Option<String>> = challenges::table
        .filter(challenges::user_id.eq(id.0))
        .filter(challenges::kind.eq(ChallengeKind::ReportUnauthorized.name()))
        .filter(challenges::email.is_not_null())
        .select(challenges::email)
        .distinct()
        .load(conn)?;
    Ok(former.into_iter().flatten().map(|email| Email::unchecked(&email)).collect())
}

/// Returns up to `limit` deleted accounts, in the order of their ids.
pub fn list_deleted(conn: &mut Conn, limit: i64) -> Result<Vec<DeletedUser>> {
    let rows: Vec<Row> = users::table
        .filter(users::deleted_at.is_not_null())
        .order(users::id)
        .select((users::id, users::email, users::deleted_at))
        .limit(limit)
        .load(conn)?;
    Ok(rows.into_iter().filter_map(DeletedUser::of).collect())
}

/// Returns the account with that id if it is deleted and has rows.
pub fn find_deleted(conn: &mut Conn, id: UserId) -> Result<Option<DeletedUser>> {
    let row: Option<Row> = users::table
        .find(id.0)
        .select((users::id, users::email, users::deleted_at))
        .first(conn)
        .optional()?;
    Ok(row.and_then(DeletedUser::of))
}

/// Deletes the row of an account, and those that refer to it.
pub fn delete_user(conn: &mut Conn, id: UserId) -> Result<bool> {
    Ok(diesel::delete(users::table.find(id.0)).execute(conn)? == 1)
}
