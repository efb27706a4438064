//! What has to happen by itself: learning what other instances did, forgetting what is over.

use std::time::Duration;

use super::{Error, Flows, Result};
use crate::domain::{Counted, FEW_FAILURES, Limits, OneTimeToken};
use crate::security::access_token::Refusal;
use crate::store::{
    Conn, events, limits, one_time_tokens, outbox, registrations, sessions, signing_keys, users,
};

/// How long the trace of a registration says "expired" rather than "unknown".
const REMEMBER_REGISTRATIONS: Duration = Duration::from_hours(7 * 24);
/// How long a refresh token of an ended session says "revoked" or "expired" rather than "unknown".
const REMEMBER_SESSIONS: Duration = Duration::from_hours(30 * 24);
/// How long a mail that was sent or given up can be looked up, and with it the address.
const REMEMBER_MAIL: Duration = Duration::from_hours(30 * 24);
/// How many rows one transaction forgets, where strangers can make many.
const ROWS_AT_ONCE: u32 = 1_000;

/// What waits, and how far this instance is behind.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Mails that wait to be sent.
    pub mails_waiting: i64,
    /// Mails that were given up.
    pub mails_dead: i64,
    /// How long ago the ended sessions were read.
    pub revocations_age: Duration,
}

impl Flows {
    /// Brings the set of ended sessions and the signing keys in step with the database.
    pub fn sync(&self) -> Result<()> {
        let now = self.now();
        let since = self.gate.revocations.unseen_since(now);
        let (ended, rights, keys) = self.db.read(|conn| {
            let ended = sessions::list_ended_since(conn, since)?;
            let rights = users::list_rights_changed_since(conn, since)?;
            Ok::<_, Error>((ended, rights, signing_keys::list_keys(conn)?))
        })?;
        self.gate.revocations.sync(&ended, &rights, now);
        self.take_keys(keys);
        Ok(())
    }

    /// Whether requests can be served: the database answers, and access tokens can be checked.
    pub fn check_readiness(&self) -> Result<()> {
        self.db.ping()?;
        if self.gate.revocations.is_current(self.now()) {
            Ok(())
        } else {
            Err(Refusal::Unknowable.into())
        }
    }

    /// What operators watch.
    pub fn backlog(&self) -> Result<Backlog> {
        let (mails_waiting, mails_dead) = self.db.read(outbox::count_open)?;
        let revocations_age = self.gate.revocations.age(self.now());
        Ok(Backlog { mails_waiting, mails_dead, revocations_age })
    }

    /// Forgets what is over.
    pub fn purge(&self) -> Result<()> {
        let now = self.now();
        // Each by itself: a transaction that holds rows of several tables can meet others that take them in
        // another order.
        let over = now.before(REMEMBER_REGISTRATIONS);
        self.db.write(move |conn| registrations::purge(conn, now, over))?;
        // Wrong codes are remembered beyond the token they were tried on.
        let over = now.before(OneTimeToken::MEMORY);
        self.db.write(move |conn| one_time_tokens::purge(conn, over))?;
        let over = now.before(REMEMBER_SESSIONS);
        self.db.write(move |conn| sessions::purge(conn, over))?;
        let few_end = Limits::few_failures_end(now);
        let purge = move |conn: &mut Conn| {
            let counted = Counted::LoginInARow;
            limits::purge(conn, now, counted, FEW_FAILURES, few_end, ROWS_AT_ONCE)
        };
        // The writers of others come between.
        while self.db.write(purge)? {}
        let over = now.before(REMEMBER_MAIL);
        self.db.write(move |conn| outbox::purge(conn, over))?;
        let forget_before = now.before(self.policy.event_retention);
        let purge = move |conn: &mut Conn| events::purge(conn, forget_before, ROWS_AT_ONCE);
        while self.db.write(purge)? {}
        Ok(self.db.forget_deleted()?)
    }
}
