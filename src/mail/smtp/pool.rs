//! Connections to the mail server: not more than are allowed, each used for many mails.
//!
//! Where the server admits fewer than the setting, the pool makes do with those that it has and
//! tries one more every minute.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use crate::mail::outgoing::{SendError, Verdict};
use crate::mail::smtp::settings::SmtpSettings;

/// The number of mails after which a connection is replaced: servers bound it too.
const MAILS_PER_CONNECTION: u32 = 100;
/// Time after which a lower bound of the server is tried again.
const CEILING_PERIOD: Duration = Duration::from_secs(60);

/// The connections of one mail server.
pub(super) struct Pool {
    settings: SmtpSettings,
    tls: TlsConnector,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    idle: Vec<Pooled>,
    open: usize,
    ceiling: usize,
    lowered_at: Instant,
}

/// A connection and its place in the count of those that are open.
pub(super) struct Pooled {
    pub connection: Connection,
    /// True if mails went over it before this one.
    pub is_reused: bool,
    _place: Place,
}

impl Pooled {
    /// Ends the session.
    pub(super) async fn end(self) {
        self.connection.quit().await;
    }
}

/// Counts as one open connection until it is dropped. (The pool holds idle ones itself.)
struct Place(Weak<Pool>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.state().open -= 1;
            pool.changed.notify_one();
        }
    }
}

enum Next {
    Reuse(Box<Pooled>),
    Open(Place),
    Wait,
}

impl Pool {
    pub(super) fn new(settings: SmtpSettings, tls: TlsConnector) -> Arc<Self> {
        let state = State {
            idle: Vec::new(),
            open: 0,
            ceiling: settings.connections,
            lowered_at: Instant::now(),
        };
        Arc::new(Self { settings, tls, state: Mutex::new(state), changed: Notify::new() })
    }

    pub(super) const fn settings(&self) -> &SmtpSettings {
        &self.settings
    }

    /// Opens a connection that does not belong to the pool.
    pub(super) async fn open(&self) -> Result<Connection, SendError> {
        Connection::open(&self.settings, &self.tls).await
    }

    /// Returns an idle connection or a new one; waits while as many are in use as may be.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Pooled, SendError> {
        loop {
            let changed = self.changed.notified();
            match self.next() {
                Next::Reuse(pooled) => return Ok(*pooled),
                Next::Open(place) => match self.open().await {
                    Ok(connection) => {
                        return Ok(Pooled { connection, is_reused: false, _place: place });
                    }
                    Err(error) => {
                        drop(place);
                        if !self.makes_do(&error) {
                            return Err(error);
                        }
                    }
                },
                Next::Wait => changed.await,
            }
        }
    }

    fn next(self: &Arc<Self>) -> Next {
        let mut state = self.state();
        if let Some(pooled) = state.idle.pop() {
            return Next::Reuse(Box::new(pooled));
        }
        let is_lowered = state.ceiling < self.settings.connections;
        if is_lowered && state.lowered_at.elapsed() >= CEILING_PERIOD {
            state.ceiling += 1;
            state.lowered_at = Instant::now();
        }
        if state.open >= state.ceiling {
            return Next::Wait;
        }
        state.open += 1;
        Next::Open(Place(Arc::downgrade(self)))
    }

    /// Returns true where a further connection failed but others are open: their next free one is
    /// waited for.
    fn makes_do(&self, error: &SendError) -> bool {
        let mut state = self.state();
        let others = state.open;
        if others == 0 || error.verdict == Verdict::Configuration {
            return false;
        }
        // Told when the ceiling falls, which is at most once in its period.
        if others < state.ceiling {
            tracing::warn!(
                connections = others,
                %error,
                "the mail server admits no further connection; see HALLPASS_SMTP_CONNECTIONS"
            );
        }
        state.ceiling = others;
        state.lowered_at = Instant::now();
        true
    }

    /// Keeps a connection for the next mail, or ends it when it has done its share.
    pub(super) async fn release(&self, mut pooled: Pooled) {
        if pooled.connection.accepted >= MAILS_PER_CONNECTION {
            return pooled.end().await;
        }
        pooled.is_reused = true;
        self.state().idle.push(pooled);
        self.changed.notify_one();
    }

    /// Ends the connections that were of no use for so long.
    pub(super) async fn close_idle(&self, unused_for: Duration) {
        let is_over = |pooled: &mut Pooled| pooled.connection.idle_since.elapsed() >= unused_for;
        let over: Vec<Pooled> = self.state().idle.extract_if(.., is_over).collect();
        futures_util::future::join_all(over.into_iter().map(Pooled::end)).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
