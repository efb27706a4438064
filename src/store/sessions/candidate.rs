//! Search for the account that a log-in names. On Postgres it is one statement, one round trip.

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::domain::{Email, TokenHash, User, UserId};
use crate::store::schema::users as users_table;
use crate::store::{Conn, Result, users};

/// Pseudo-random position of an account on a ring of 2^31 - 1 positions. It is indexed. All
/// accounts are equally likely to be the next one of a position, whatever gaps the user ids have
/// ([ADR 15](../../../docs/adr/0015-constant-time-responses.md)).
const PLACE: &str =
    "((id % 2147483647) * (id % 2147483647) % 2147483647 * 1103515245) % 2147483647";

/// Name of an account as a client submits it. Keys that it does not have are empty, and are looked
/// up all the same, so that all names take the same time. No account has them.
#[derive(Clone, Debug)]
pub struct Named {
    username: String,
    email: String,
}

impl Named {
    /// Returns the account with that user name, in any letter case.
    pub fn username(name: &str) -> Self {
        Self { username: users::key_of_name(name).unwrap_or_default(), email: String::new() }
    }

    /// Returns the account with that user name, or else the one with that e-mail address.
    pub fn username_or_email(name: &str) -> Self {
        let email = Email::parse(name).map(|email| email.normalised().to_owned());
        Self { email: email.unwrap_or_default(), ..Self::username(name) }
    }
}

/// A log-in whose account is looked up.
#[derive(Clone, Debug)]
pub struct Login {
    /// The token of a known device.
    pub device: Option<TokenHash>,
    /// The name.
    pub named: Named,
    /// Another spelling of the name.
    pub spelling: Named,
    /// Position of its decoy user.
    pub decoy_key: u32,
}

/// The account of a log-in.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Owner of the known device.
    pub device_owner: Option<UserId>,
    /// The account that is named.
    pub named: Option<UserId>,
    /// The account whose password is compared: that one, or else the one of the other spelling, or
    /// else the decoy user.
    pub compared: Option<User>,
}

/// Finds the account that is named.
pub fn find_named(conn: &mut Conn, named: &Named) -> Result<Option<UserId>> {
    let find = Find { named, spelling: named, device: &[], place: 0 };
    Ok(find.load(conn)?.named())
}

/// Finds the account of a log-in. Known and unknown names cause the same look-ups.
pub fn find_candidate(conn: &mut Conn, login: &Login) -> Result<Candidate> {
    let Login { device, named, spelling, decoy_key } = login;
    let device = device.as_ref().map_or(&[][..], |token| &token.0);
    let found = Find { named, spelling, device, place: i64::from(decoy_key >> 1) }.load(conn)?;
    let named = found.named();
    let Found { device_owner, compared, .. } = found;
    Ok(Candidate {
        device_owner: device_owner.map(UserId),
        named,
        compared: compared.map(User::from),
    })
}

#[derive(Queryable)]
struct Found {
    device_owner: Option<i64>,
    by_username: Option<i64>,
    by_email: Option<i64>,
    _spelling_username: Option<i64>,
    _spelling_email: Option<i64>,
    _decoy: Option<i64>,
    _first: Option<i64>,
    compared: Option<users::Row>,
}

impl Found {
    fn named(&self) -> Option<UserId> {
        self.by_username.or(self.by_email).map(UserId)
    }
}

/// The statement of [`find_candidate`]. All ids are in its result, so that none is left out because
/// an earlier one exists.
struct Find<'a> {
    named: &'a Named,
    spelling: &'a Named,
    device: &'a [u8],
    place: i64,
}

impl Find<'_> {
    fn load(self, conn: &mut Conn) -> Result<Found> {
        Ok(match conn {
            Conn::Postgres(postgres) => self.get_result(postgres)?,
            Conn::Sqlite(sqlite) => self.get_result(sqlite)?,
        })
    }
}

impl<DB: Backend> QueryFragment<DB> for Find<'_>
where
    str: ToSql<Text, DB>,
    [u8]: ToSql<Binary, DB>,
    i64: ToSql<BigInt, DB>,
    <users_table::table as Table>::AllColumns: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        // Materialized, or Postgres would leave out the look-ups after the first that succeeds.
        out.push_sql(
            "WITH found AS MATERIALIZED ( \
             SELECT (SELECT user_id FROM known_devices WHERE token_hash = ",
        );
        out.push_bind_param::<Binary, _>(self.device)?;
        for (column, key, name) in [
            ("username_norm", &self.named.username, "by_username"),
            ("email_norm", &self.named.email, "by_email"),
            ("username_norm", &self.spelling.username, "spelling_username"),
            ("email_norm", &self.spelling.email, "spelling_email"),
        ] {
            out.push_sql(if name == "by_username" { ") AS device_owner, " } else { ", " });
            out.push_sql("(SELECT id FROM users WHERE ");
            out.push_sql(column);
            out.push_sql(" = ");
            out.push_bind_param::<Text, _>(key.as_str())?;
            out.push_sql(") AS ");
            out.push_sql(name);
        }
        out.push_sql(", (SELECT id FROM users WHERE ");
        out.push_sql(PLACE);
        out.push_sql(" >= ");
        out.push_bind_param::<BigInt, _>(&self.place)?;
        for end in [" LIMIT 1) AS decoy, (SELECT id FROM users", " LIMIT 1) AS first_decoy"] {
            out.push_sql(" ORDER BY ");
            out.push_sql(PLACE);
            out.push_sql(end);
        }
        out.push_sql(") SELECT found.*, ");
        users_table::all_columns.walk_ast(out.reborrow())?;
        out.push_sql(
            " FROM found LEFT JOIN users ON users.id = COALESCE(by_username, by_email, \
             spelling_username, spelling_email, decoy, first_decoy)",
        );
        Ok(())
    }
}

impl QueryId for Find<'_> {
    type QueryId = Find<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Find<'_> {
    type SqlType = (
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<users_table::SqlType>,
    );
}

impl<Connection> RunQueryDsl<Connection> for Find<'_> {}

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
