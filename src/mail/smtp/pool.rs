//! Pool of connections to the mail server, each used for many mails. [`Admission`] decides which
//! mail gets one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio_rustls::TlsConnector;

use super::admission::{Admission, Bounds, FailureCounts};
use super::connection::Connection;
use super::preemption::Deliveries;
use crate::jobs::Progress;
use crate::mail::envelope::{FailureClass, FailureScope, SendError};
use crate::mail::smtp::settings::SmtpSettings;

/// The number of mails after which a connection is replaced: servers bound it too.
const MAILS_PER_CONNECTION: u32 = 100;
/// A connection that was idle for longer may have been ended by the server.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// The connections of one mail server.
pub(super) struct Pool {
    settings: SmtpSettings,
    tls: TlsConnector,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    idle: Vec<Idle>,
    admission: Admission,
    deliveries: Deliveries,
}

/// Use of the connections to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionUse {
    /// Open connections.
    pub open: usize,
    /// Connections that the server admits at a time, as far as it has shown.
    pub admitted: usize,
    /// Connections that it did not admit since the start.
    pub refused: u64,
}

/// A connection that no mail uses.
struct Idle {
    connection: Connection,
    /// True if mails went over it.
    is_used: bool,
    slot: ConnectionSlot,
}

/// An idle connection that was checked out for a mail.
struct Checkout {
    idle: Idle,
    preempted: oneshot::Receiver<()>,
}

/// A connection for one mail.
pub(super) struct Pooled {
    pub connection: Connection,
    /// True if the server may have ended the session since the last use.
    pub may_be_over: bool,
    /// Received if the mail is preempted.
    pub preempted: oneshot::Receiver<()>,
    slot: ConnectionSlot,
    turn: Turn,
}

impl Pooled {
    fn new(Checkout { idle, preempted }: Checkout, turn: Turn) -> Self {
        let Idle { mut connection, is_used, slot } = idle;
        let may_be_over = is_used || connection.idle_since.elapsed() > FRESH_FOR;
        connection.idle_since = Instant::now();
        Self { connection, may_be_over, preempted, slot, turn }
    }

    /// Ends the session.
    pub(super) async fn end(self) {
        let Self { connection, slot, turn, .. } = self;
        drop(turn);
        connection.quit().await;
        drop(slot);
    }
}

/// Counts as one open connection until it is dropped. (The pool holds idle ones itself.)
struct ConnectionSlot {
    pool: Weak<Pool>,
    is_opening: bool,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        pool.change(|state| {
            if self.is_opening {
                state.admission.opened();
            }
            state.admission.closed();
        });
    }
}

/// A mail that waits for a connection or uses one.
struct Turn {
    pool: Weak<Pool>,
    domain: String,
    seen: FailureCounts,
    progress: Progress,
    /// The id of the delivery, if it uses a connection.
    delivery: Option<u64>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.change(|state| {
                state.admission.leave(&self.domain, self.delivery.is_some());
                if let Some(delivery) = self.delivery {
                    state.deliveries.end(delivery);
                }
            });
        }
    }
}

impl Pool {
    pub(super) fn new(settings: SmtpSettings, tls: TlsConnector) -> Arc<Self> {
        let bounds = Bounds { connections: settings.connections, retry: settings.connection_retry };
        let admission = Admission::new(bounds, Instant::now());
        let deliveries = Deliveries::new(settings.preempt_after);
        let state = Mutex::new(State { idle: Vec::new(), admission, deliveries });
        Arc::new(Self { settings, tls, state, changed: Notify::new() })
    }

    pub(super) const fn settings(&self) -> &SmtpSettings {
        &self.settings
    }

    pub(super) fn connection_use(&self) -> ConnectionUse {
        let state = self.state();
        let it = &state.admission;
        ConnectionUse { open: it.open(), admitted: it.admitted(), refused: it.refused() }
    }

    /// Opens a connection that does not belong to the pool.
    pub(super) async fn open(&self) -> Result<Connection, SendError> {
        Connection::open(&self.settings, &self.tls).await
    }

    /// Returns a connection for a mail to this domain, and waits until there is one. If all are in
    /// use, a mail that is not of a slow domain preempts one that delays it.
    ///
    /// # Errors
    ///
    /// If no connection can be opened while none is open, and if another mail to the domain fails
    /// in a way that affects this one.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        domain: &str,
        progress: &Progress,
    ) -> Result<Pooled, SendError> {
        let seen = self.state().admission.wait(domain, progress.is_slow());
        let (pool, progress) = (Arc::downgrade(self), progress.clone());
        let mut turn = Turn { pool, domain: domain.to_owned(), seen, progress, delivery: None };
        let mut waits_since = Instant::now();
        loop {
            let changed = self.changed.notified();
            if let Some(checkout) = self.take(&mut turn)? {
                // Another mail may be the next for another idle one.
                self.changed.notify_waiters();
                return Ok(Pooled::new(checkout, turn));
            }
            self.open_another();
            if waits_since.elapsed() >= self.settings.preempt_after / 2 && self.preempt_for(&turn) {
                waits_since = Instant::now();
            }
            // A time-out is no error: the state is examined again either way.
            let _ = tokio::time::timeout(self.settings.preempt_after / 4, changed).await;
        }
    }

    fn take(&self, turn: &mut Turn) -> Result<Option<Checkout>, SendError> {
        let mut state = self.state();
        let State { idle, admission, deliveries } = &mut *state;
        if let Some(error) = admission.failure(&turn.domain, turn.seen) {
            return Err(error);
        }
        if idle.is_empty() || !admission.take(&turn.domain) {
            return Ok(None);
        }
        let (delivery, preempted) = deliveries.begin(&turn.domain, &turn.progress);
        turn.delivery = Some(delivery);
        Ok(idle.pop().map(|idle| Checkout { idle, preempted }))
    }

    /// Preempts a mail that delays the one of `turn`. Returns whether there was one.
    fn preempt_for(&self, turn: &Turn) -> bool {
        let mut state = self.state();
        let State { idle, admission, deliveries } = &mut *state;
        let all_are_in_use = idle.is_empty() && admission.is_full();
        all_are_in_use
            && !turn.progress.is_slow()
            && deliveries.preempt_oldest(&turn.domain, Instant::now())
    }

    /// Opens a connection in the background, if one more may be open: the mail that waits takes
    /// whichever connection is free first.
    fn open_another(self: &Arc<Self>) {
        if self.state().admission.begin_opening(Instant::now()) {
            let slot = ConnectionSlot { pool: Arc::downgrade(self), is_opening: true };
            tokio::spawn(Arc::clone(self).open_idle(slot));
        }
    }

    async fn open_idle(self: Arc<Self>, mut slot: ConnectionSlot) {
        match self.open().await {
            Ok(connection) => self.change(|state| {
                slot.is_opening = false;
                state.admission.opened();
                state.idle.push(Idle { connection, is_used: false, slot });
            }),
            Err(error) => self.record_failure(&error),
        }
    }

    /// Records that a connection cannot be opened. While others are open, the mails wait for those.
    fn record_failure(&self, error: &SendError) {
        let is_configuration = error.class == FailureClass::Configuration;
        self.change(|state| {
            let has_others = state.admission.open() > 1;
            if !is_configuration && (has_others || error.scope == FailureScope::Server) {
                // Logged when the number falls, which is at most once in its period.
                if let Some(connections) = state.admission.not_admitted(Instant::now()) {
                    tracing::warn!(
                        connections,
                        %error,
                        "the mail server admits no further connection; see HALLPASS_SMTP_CONNECTIONS"
                    );
                }
            }
            if is_configuration || !has_others {
                state.admission.fail_all(error);
            }
        });
    }

    /// Ends the waiting of the other mails to the domain of `pooled`.
    pub(super) fn fail_waiting(&self, pooled: &Pooled, error: &SendError) {
        self.change(|state| state.admission.fail_domain(&pooled.turn.domain, error));
    }

    /// Keeps a connection for the next mail after one that was accepted.
    pub(super) fn release_after_success(&self, pooled: Pooled) {
        let prepared_in = pooled.connection.prepared_in;
        self.state().deliveries.record_accepted(&pooled.turn.domain, prepared_in, Instant::now());
        self.release(pooled);
    }

    /// Keeps a connection for the next mail, or ends it after its last one. It does not wait for
    /// the reply to QUIT: an accepted mail is sent again if its attempt is cancelled meanwhile.
    pub(super) fn release(&self, pooled: Pooled) {
        if pooled.connection.accepted >= MAILS_PER_CONNECTION {
            tokio::spawn(pooled.end());
            return;
        }
        let Pooled { connection, slot, turn, .. } = pooled;
        self.change(|state| state.idle.push(Idle { connection, is_used: true, slot }));
        drop(turn);
    }

    /// Ends the connections that no mail has used for so long.
    pub(super) async fn close_idle(&self, unused_for: Duration) {
        let is_over = |idle: &mut Idle| idle.connection.idle_since.elapsed() >= unused_for;
        let over: Vec<Idle> = self.state().idle.extract_if(.., is_over).collect();
        let ends = over.into_iter().map(|Idle { connection, slot, .. }| async move {
            connection.quit().await;
            drop(slot);
        });
        futures_util::future::join_all(ends).await;
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
