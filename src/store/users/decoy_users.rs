//! Decoy users for unknown user names ([ADR 15](../../docs/adr/0015-constant-time-responses.md)).

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::domain::UserId;
use crate::store::schema::users;
use crate::store::{Conn, Result};

/// Pseudo-random position of an account on a ring of 2^31 - 1 positions. It is indexed.
pub(in crate::store) const PLACE: &str =
    "((id % 2147483647) * (id % 2147483647) % 2147483647 * 1103515245) % 2147483647";

/// Returns the account at the position `key`, or the next one on the ring. All accounts are equally
/// likely, whatever gaps the user ids have. A new or deleted account changes the decoy of one
/// neighbour only.
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
    fn the_index_has_the_expression_of_the_query() {
        for migration in [
            include_str!("../../../migrations/sqlite/2026-11-25-000001_stand_ins/up.sql"),
            include_str!("../../../migrations/postgres/2026-11-25-000001_stand_ins/up.sql"),
        ] {
            assert!(migration.contains(&format!("({PLACE})")), "{migration}");
        }
    }
}
