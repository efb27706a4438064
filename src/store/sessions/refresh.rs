//! The exchange of a refresh token for its successor.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Text};

use crate::domain::{Session, SessionId, TokenHash, Transport, User, UtcTime};
use crate::store::engine::cached::Cached;
use crate::store::schema::{refresh_tokens, sessions as sessions_table, users as users_table};
use crate::store::sessions::refresh_tokens::insert_refresh_token;
use crate::store::{Conn, Result, sessions, users};

/// Exchange of a refresh token for its successor.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The token that was presented.
    pub token: TokenHash,
    /// The token that replaces it.
    pub successor: TokenHash,
    /// The transport of both.
    pub transport: Transport,
    /// Latest expiry of the successor, unless its session ends before.
    pub expires_at: UtcTime,
    /// Room for user name, e-mail address and roles in access tokens, in bytes of JSON.
    pub room: i64,
    /// Time of the exchange.
    pub now: UtcTime,
}

/// A refresh token that was exchanged.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// Its session, as it was before.
    pub session: Session,
    /// The user.
    pub user: User,
    /// Expiry of the successor.
    pub expires_at: UtcTime,
}

/// Exchanges a refresh token that is unused, and whose session is open and bound to the transport
/// or to none, and records the use in the session. Of concurrent calls exactly one gets the
/// session. On Postgres it is one statement, which a refusal afterwards would not undo, so a token
/// of an account whose names and roles may need more room than [`Exchange::room`] is not exchanged.
pub fn exchange(conn: &mut Conn, exchange: &Exchange) -> Result<Option<Exchanged>> {
    let exchanged: Option<Rows> = match conn {
        Conn::Postgres(postgres) => Statement::of(exchange).get_result(postgres).optional()?,
        Conn::Sqlite(_) => exchange_in_steps(conn, exchange)?,
    };
    Ok(exchanged.map(|(expires_at, session, user)| Exchanged {
        session: session.into(),
        user: user.into(),
        expires_at: UtcTime::from_micros(expires_at),
    }))
}

/// Expiry of the successor, session and user.
type Rows = (i64, sessions::Row, users::Row);

/// [`exchange`] on Postgres. The rows of the account, of the token and of the session are locked
/// first, so that the conditions hold for what other transactions committed meanwhile. The lock of
/// the account is shared. A concurrent change of rights therefore either waits for this exchange
/// and reads its `last_seen_at` (`rights::find_latest_use`), or commits first, and the token has
/// the new rights.
///
/// It is no `sql_query`, whose statement would be parsed and planned each time.
struct Statement<'a> {
    exchange: &'a Exchange,
    transport: &'static str,
    expires_at: i64,
    now: i64,
    latest: i64,
}

impl<'a> Statement<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        let (expires_at, now) = (exchange.expires_at.micros(), exchange.now.micros());
        let latest = sessions::latest_use(exchange.now).micros();
        Self { exchange, transport: exchange.transport.name(), expires_at, now, latest }
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH given (token_hash, successor, transport, expires_at, now, latest, room) AS (VALUES (",
        );
        out.push_bind_param::<Binary, _>(&self.exchange.token.0)?;
        out.push_sql("::bytea, ");
        out.push_bind_param::<Binary, _>(&self.exchange.successor.0)?;
        out.push_sql("::bytea, ");
        out.push_bind_param::<Text, _>(self.transport)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.expires_at)?;
        out.push_sql("::bigint, ");
        out.push_bind_param::<BigInt, _>(&self.now)?;
        out.push_sql("::bigint, ");
        out.push_bind_param::<BigInt, _>(&self.latest)?;
        out.push_sql("::bigint, ");
        out.push_bind_param::<BigInt, _>(&self.exchange.room)?;
        out.push_sql("::bigint");
        out.push_sql(EXCHANGE);
        sessions_table::all_columns.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        users_table::all_columns.walk_ast(out.reborrow())?;
        out.push_sql(
            " FROM current JOIN sessions ON sessions.id = session_id \
             CROSS JOIN LATERAL (SELECT (account).*) AS users",
        );
        Ok(())
    }
}

/// The statement after its values.
const EXCHANGE: &str = ")), \
    current AS ( \
        SELECT given.*, session_id, users AS account, generation + 1 AS generation, \
            LEAST(given.expires_at, sessions.expires_at) AS ends_at \
        FROM given JOIN refresh_tokens USING (token_hash) \
            JOIN sessions ON sessions.id = session_id JOIN users ON users.id = user_id \
        WHERE used_at IS NULL AND refresh_tokens.expires_at > now AND is_active \
            AND ended_at IS NULL AND sessions.expires_at > now \
            AND COALESCE(sessions.transport, given.transport) = given.transport \
            AND 6 * (octet_length(username) + COALESCE(octet_length(email), 0)) \
                + 3 * octet_length(roles) <= room \
        FOR SHARE OF users FOR NO KEY UPDATE OF refresh_tokens, sessions), \
    consumed AS ( \
        UPDATE refresh_tokens SET used_at = now FROM current \
        WHERE refresh_tokens.token_hash = current.token_hash), \
    inserted AS ( \
        INSERT INTO refresh_tokens (token_hash, session_id, expires_at, generation) \
        SELECT successor, session_id, ends_at, generation FROM current), \
    touched AS ( \
        UPDATE sessions SET last_seen_at = GREATEST(now, LEAST(last_seen_at, latest)), \
            transport = current.transport FROM current \
        WHERE sessions.id = session_id) \
    SELECT ends_at, ";

impl QueryId for Statement<'_> {
    type QueryId = Statement<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Statement<'_> {
    type SqlType = (BigInt, sessions_table::SqlType, users_table::SqlType);
}

impl RunQueryDsl<PgConnection> for Statement<'_> {}

/// [`exchange`] on SQLite, where no other transaction writes meanwhile.
fn exchange_in_steps(conn: &mut Conn, exchange: &Exchange) -> Result<Option<Rows>> {
    let Exchange { token, successor, transport, expires_at, room, now } = exchange;
    let current: Option<(i64, sessions::Row, users::Row)> = refresh_tokens::table
        .find(&token.0)
        .inner_join(sessions_table::table.on(sessions_table::id.eq(refresh_tokens::session_id)))
        .inner_join(users_table::table.on(users_table::id.eq(sessions_table::user_id)))
        .filter(refresh_tokens::used_at.is_null())
        .filter(refresh_tokens::expires_at.gt(now.micros()))
        .filter(sessions_table::ended_at.is_null())
        .filter(
            sessions_table::transport.is_null().or(sessions_table::transport.eq(transport.name())),
        )
        .filter(sessions_table::expires_at.gt(now.micros()))
        .filter(users_table::is_active)
        .select((refresh_tokens::generation, sessions_table::all_columns, users_table::all_columns))
        .first(conn)
        .optional()?;
    let Some((generation, session, user)) =
        current.filter(|(_, _, user)| room_taken(user) <= *room)
    else {
        return Ok(None);
    };
    let consumption = diesel::update(refresh_tokens::table.find(&token.0))
        .set(refresh_tokens::used_at.eq(now.micros()));
    Cached(consumption).execute(conn)?;
    let expires_at = (*expires_at).min(UtcTime::from_micros(session.expires_at));
    let id = SessionId(session.id.clone());
    insert_refresh_token(conn, successor, &id, expires_at, generation + 1)?;
    let latest = sessions::latest_use(*now).micros();
    let last_seen_at = now.micros().max(session.last_seen_at.min(latest));
    let use_of_session = diesel::update(sessions_table::table.find(&session.id)).set((
        sessions_table::last_seen_at.eq(last_seen_at),
        sessions_table::transport.eq(transport.name()),
    ));
    Cached(use_of_session).execute(conn)?;
    Ok(Some((expires_at.micros(), session, user)))
}

/// Returns the most room that names and roles may need: JSON takes up to six bytes for a byte of
/// text (`\u0001`), and roles, which need no escape, are in two claims with separators.
fn room_taken(user: &users::Row) -> i64 {
    let email = user.email.as_ref().map_or(0, String::len);
    let room = 6 * (user.username.len() + email) + 3 * user.roles.len();
    i64::try_from(room).unwrap_or(i64::MAX)
}
