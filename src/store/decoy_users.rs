//! Decoy users for unknown user names ([ADR 15](../../docs/adr/0015-constant-time-responses.md)).

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::schema::users;
use super::{Conn, Result};
use crate::domain::UserId;

/// Pseudo-random place of an account on a ring of 2^31 - 1 places. It is indexed.
const PLACE: &str =
    "((id % 2147483647) * (id % 2147483647) % 2147483647 * 1103515245) % 2147483647";

/// The account at the place `key`, or the next one on the ring. Any is as likely as any other,
/// whatever gaps the numbers have. One that joins takes over from a single other one, and so does
/// one when another goes.
pub fn find(conn: &mut Conn, key: u32) -> Result<Option<UserId>> {
    let place = || sql::<BigInt>(PLACE);
    let ring = || users::table.order(place()).select(users::id);
    let next = ring().filter(place().ge(i64::from(key >> 1))).first(conn).optional()?;
    let found = match next {
        Some(id) => Some(id),
        None => ring().first(conn).optional()?,
    };
    Ok(found.map(UserId))
}

#[cfg(test)]
mod tests {
    use super::PLACE;

    #[test]
    fn the_index_is_of_the_places_that_are_asked_for() {
        for migration in [
            include_str!("../../migrations/sqlite/2026-11-25-000001_stand_ins/up.sql"),
            include_str!("../../migrations/postgres/2026-11-25-000001_stand_ins/up.sql"),
        ] {
            assert!(migration.contains(&format!("({PLACE})")), "{migration}");
        }
    }
}
