//! Generations of the rights of accounts. Access tokens contain the generation that they were issued in.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::schema::users;
use super::{Conn, Result};
use crate::domain::{UserId, UtcTime};

/// Begins a new generation of an account's rights and returns it.
pub fn renew(conn: &mut Conn, id: UserId, now: UtcTime) -> Result<Option<UtcTime>> {
    #[derive(QueryableByName)]
    struct Renewed {
        #[diesel(sql_type = BigInt)]
        rights_changed_at: i64,
    }
    let renewed = diesel::sql_query(
        "UPDATE users SET rights_changed_at = \
             CASE WHEN rights_changed_at >= $1 THEN rights_changed_at + 1 ELSE $1 END \
         WHERE id = $2 RETURNING rights_changed_at",
    )
    .bind::<BigInt, _>(now.micros())
    .bind::<BigInt, _>(id.0)
    .get_result::<Renewed>(conn)
    .optional()?;
    Ok(renewed.map(|it| UtcTime::from_micros(it.rights_changed_at)))
}

/// Lists the users whose rights changed since `since`, with the generation of their rights.
pub fn list_changed_since(conn: &mut Conn, since: UtcTime) -> Result<Vec<(UserId, UtcTime)>> {
    let rows: Vec<(i64, i64)> = users::table
        // Word for word the condition of the index `users_by_rights_change`.
        .filter(sql::<Bool>("rights_changed_at > 0"))
        .filter(users::rights_changed_at.ge(since.micros()))
        .select((users::id, users::rights_changed_at))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, at)| (UserId(id), UtcTime::from_micros(at))).collect())
}
