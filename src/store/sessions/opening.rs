//! Opening of a session, with its refresh token, device and event. On Postgres it is one statement.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};

use crate::domain::{
    Device, EndReason, EventContext, EventId, EventKind, Session, SessionId, TokenHash, Transport,
    UserId, UtcTime,
};
use crate::store::schema::sessions;
use crate::store::sessions::known_devices;
use crate::store::sessions::refresh_tokens::insert_refresh_token;
use crate::store::{Conn, Result, events};

/// A session that is opened.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// The session to insert.
    pub session: &'a Session,
    /// Its first refresh token.
    pub refresh_token: TokenHash,
    /// Expiry of that token.
    pub refresh_expires_at: UtcTime,
    /// The device token that the client presented.
    pub presented: Option<TokenHash>,
    /// The device token of the client, if the presented one is not of this user.
    pub device: TokenHash,
    /// Number of known devices that are kept.
    pub keep_devices: i64,
    /// Number of sessions that stay open, this one included.
    pub keep_sessions: i64,
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// True if the presented device token is of this user.
    pub is_known_device: bool,
    /// True if the user logged in before on a device with that label and network; `None` if the
    /// user never logged in before.
    pub knows_label: Option<bool>,
    /// The sessions that were ended because the user had too many.
    pub ended: Vec<SessionId>,
}

/// Opens a session of a user who is locked: stores it with its token, its device and its event, and
/// ends the oldest sessions beyond the permitted number.
pub fn open_session(conn: &mut Conn, opening: &Opening<'_>) -> Result<Opened> {
    let Conn::Postgres(postgres) = conn else { return open_in_steps(conn, opening) };
    let (is_known_device, logged_in_before, knows_label, ended): (bool, bool, bool, Vec<String>) =
        Open::of(opening).get_result(postgres)?;
    Ok(Opened {
        is_known_device,
        knows_label: logged_in_before.then_some(knows_label),
        ended: ended.into_iter().map(SessionId).collect(),
    })
}

fn open_in_steps(conn: &mut Conn, opening: &Opening<'_>) -> Result<Opened> {
    let Opening { session, refresh_token, presented, device, .. } = opening;
    let (user, now) = (session.user_id, session.created_at);
    let mut is_known_device = false;
    if let Some(token) = presented {
        is_known_device = known_devices::find_owner(conn, token)? == Some(user);
    }
    let knows_label = knows_device(conn, user, &session.device)?;
    let token = presented.as_ref().filter(|_| is_known_device).unwrap_or(device);
    known_devices::remember(conn, user, token, opening.keep_devices, now)?;
    insert_session(conn, session)?;
    let expires_at = opening.refresh_expires_at;
    insert_refresh_token(conn, refresh_token, &session.id, expires_at, 0)?;
    let ended = end_oldest_sessions(conn, user, opening.keep_sessions, now)?;
    let context = EventContext::of(user, now).on(&session.device).in_session(&session.id);
    events::record(conn, &context, EventKind::LoggedIn, &session.amr.to_string())?;
    Ok(Opened { is_known_device, knows_label, ended })
}

/// Returns whether a user logged in before at all, and whether on that device.
fn knows_device(conn: &mut Conn, user: UserId, device: &Device) -> Result<Option<bool>> {
    let of_user = || sessions::table.filter(sessions::user_id.eq(user.0)).select(sessions::id);
    if of_user().first::<String>(conn).optional()?.is_none() {
        return Ok(None);
    }
    let same = of_user()
        .filter(sessions::device.eq(&device.label))
        .filter(sessions::network.eq(&device.network));
    Ok(Some(same.first::<String>(conn).optional()?.is_some()))
}

fn insert_session(conn: &mut Conn, session: &Session) -> Result<()> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(session.id.as_str()),
            sessions::user_id.eq(session.user_id.0),
            sessions::amr.eq(session.amr.to_string()),
            sessions::created_at.eq(session.created_at.micros()),
            sessions::last_seen_at.eq(session.last_seen_at.micros()),
            sessions::expires_at.eq(session.expires_at.micros()),
            sessions::device.eq(&session.device.label),
            sessions::network.eq(&session.device.network),
            sessions::transport.eq(session.transport.map(Transport::name)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Ends the sessions of a user beyond the `keep` that were used last, and returns them.
fn end_oldest_sessions(
    conn: &mut Conn,
    user: UserId,
    keep: i64,
    now: UtcTime,
) -> Result<Vec<SessionId>> {
    let surplus: Vec<String> = sessions::table
        .filter(sessions::user_id.eq(user.0))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.gt(now.micros()))
        .order((sessions::last_seen_at.desc(), sessions::id.desc()))
        .select(sessions::id)
        .offset(keep)
        .limit(1_000)
        .load(conn)?;
    if surplus.is_empty() {
        return Ok(Vec::new());
    }
    let reason = EndReason::TooMany.name();
    let ended: Vec<String> = diesel::update(
        sessions::table.filter(sessions::id.eq_any(surplus)).filter(sessions::ended_at.is_null()),
    )
    .set((sessions::ended_at.eq(now.micros()), sessions::end_reason.eq(reason)))
    .returning(sessions::id)
    .get_results(conn)?;
    Ok(ended.into_iter().map(SessionId).collect())
}

/// [`open_session`] on Postgres. Its parts see the rows as they were before.
struct Open<'a> {
    opening: &'a Opening<'a>,
    presented: &'a [u8],
    amr: String,
    event: EventId,
    transport: Option<&'static str>,
    created_at: i64,
    expires_at: i64,
    refresh_expires_at: i64,
    other_devices: i64,
    other_sessions: i64,
}

impl<'a> Open<'a> {
    fn of(opening: &'a Opening<'a>) -> Self {
        let session = opening.session;
        Self {
            opening,
            presented: opening.presented.as_ref().map_or(&[][..], |token| &token.0),
            amr: session.amr.to_string(),
            event: EventId::new(session.created_at),
            transport: session.transport.map(Transport::name),
            created_at: session.created_at.micros(),
            expires_at: session.expires_at.micros(),
            refresh_expires_at: opening.refresh_expires_at.micros(),
            other_devices: opening.keep_devices.saturating_sub(1).max(0),
            other_sessions: opening.keep_sessions.saturating_sub(1).max(0),
        }
    }
}

impl QueryFragment<Pg> for Open<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.remember_device(&mut out)?;
        self.forget_devices(&mut out)?;
        self.insert_session(&mut out)?;
        self.insert_refresh_token(&mut out)?;
        self.record_event(&mut out)?;
        self.end_oldest_sessions(&mut out)?;
        self.select_result(&mut out)
    }
}

/// The parts of the statement.
impl Open<'_> {
    fn user(&self) -> &i64 {
        &self.opening.session.user_id.0
    }

    fn remember_device<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let (user, now) = (self.user(), &self.created_at);
        out.push_sql("WITH seen AS (UPDATE known_devices SET last_seen_at = ");
        out.push_bind_param::<BigInt, _>(now)?;
        out.push_sql(" WHERE token_hash = ");
        out.push_bind_param::<Binary, _>(self.presented)?;
        out.push_sql(" AND user_id = ");
        out.push_bind_param::<BigInt, _>(user)?;
        out.push_sql(
            " RETURNING token_hash), \
             remembered AS ( \
                 INSERT INTO known_devices (token_hash, user_id, created_at, last_seen_at) SELECT ",
        );
        out.push_bind_param::<Binary, _>(&self.opening.device.0)?;
        // Each cast is that of the value before.
        for (cast, value) in [("::bytea, ", user), ("::bigint, ", now), ("::bigint, ", now)] {
            out.push_sql(cast);
            out.push_bind_param::<BigInt, _>(value)?;
        }
        out.push_sql(
            "::bigint WHERE NOT EXISTS (SELECT FROM seen) \
             ON CONFLICT (token_hash) DO UPDATE SET last_seen_at = excluded.last_seen_at \
                 WHERE known_devices.user_id = excluded.user_id), ",
        );
        Ok(())
    }

    fn forget_devices<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "forgotten AS ( \
                 DELETE FROM known_devices WHERE NOT EXISTS (SELECT FROM seen) AND token_hash IN ( \
                     SELECT token_hash FROM known_devices WHERE user_id = ",
        );
        out.push_bind_param::<BigInt, _>(self.user())?;
        out.push_sql(" AND token_hash <> ");
        out.push_bind_param::<Binary, _>(&self.opening.device.0)?;
        out.push_sql(" ORDER BY last_seen_at DESC, token_hash LIMIT 100 OFFSET ");
        out.push_bind_param::<BigInt, _>(&self.other_devices)?;
        out.push_sql(")), ");
        Ok(())
    }

    fn insert_session<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let (session, now) = (self.opening.session, &self.created_at);
        out.push_sql(
            "opened AS (INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, \
             expires_at, device, network, transport) VALUES (",
        );
        out.push_bind_param::<Text, _>(session.id.as_str())?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(self.user())?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.amr)?;
        for time in [now, now, &self.expires_at] {
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(time)?;
        }
        for text in [&session.device.label, &session.device.network] {
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(text)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.transport)?;
        out.push_sql(")), ");
        Ok(())
    }

    fn insert_refresh_token<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "granted AS (INSERT INTO refresh_tokens \
             (token_hash, session_id, expires_at, generation) VALUES (",
        );
        out.push_bind_param::<Binary, _>(&self.opening.refresh_token.0)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.opening.session.id.as_str())?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.refresh_expires_at)?;
        out.push_sql(", 0)), ");
        Ok(())
    }

    fn record_event<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let session = self.opening.session;
        out.push_sql(
            "noted AS (INSERT INTO events \
             (user_id, at, id, kind, session_id, device, network, detail) VALUES (",
        );
        out.push_bind_param::<BigInt, _>(self.user())?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.created_at)?;
        for text in [
            self.event.as_str(),
            EventKind::LoggedIn.name(),
            session.id.as_str(),
            &session.device.label,
            &session.device.network,
            &self.amr,
        ] {
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(text)?;
        }
        out.push_sql(")), ");
        Ok(())
    }

    fn end_oldest_sessions<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let now = &self.created_at;
        out.push_sql("ended AS (UPDATE sessions SET ended_at = ");
        out.push_bind_param::<BigInt, _>(now)?;
        out.push_sql(", end_reason = ");
        out.push_bind_param::<Text, _>(EndReason::TooMany.name())?;
        out.push_sql(" WHERE ended_at IS NULL AND id IN (SELECT id FROM sessions WHERE user_id = ");
        out.push_bind_param::<BigInt, _>(self.user())?;
        out.push_sql(" AND ended_at IS NULL AND expires_at > ");
        out.push_bind_param::<BigInt, _>(now)?;
        out.push_sql(" ORDER BY last_seen_at DESC, id DESC LIMIT 1000 OFFSET ");
        out.push_bind_param::<BigInt, _>(&self.other_sessions)?;
        out.push_sql(") RETURNING id) ");
        Ok(())
    }

    fn select_result<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let (user, device) = (self.user(), &self.opening.session.device);
        out.push_sql(
            "SELECT EXISTS (SELECT FROM seen), \
             EXISTS (SELECT FROM sessions WHERE user_id = ",
        );
        out.push_bind_param::<BigInt, _>(user)?;
        out.push_sql("), EXISTS (SELECT FROM sessions WHERE user_id = ");
        out.push_bind_param::<BigInt, _>(user)?;
        out.push_sql(" AND device = ");
        out.push_bind_param::<Text, _>(&device.label)?;
        out.push_sql(" AND network = ");
        out.push_bind_param::<Text, _>(&device.network)?;
        out.push_sql("), ARRAY(SELECT id FROM ended)");
        Ok(())
    }
}

impl QueryId for Open<'_> {
    type QueryId = Open<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Open<'_> {
    type SqlType = (Bool, Bool, Bool, Array<Text>);
}

impl RunQueryDsl<PgConnection> for Open<'_> {}
