//! Health of the database as the statements of a connection show it: whether it accepts writes, and
//! whether a failed transaction may be repeated.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use diesel::connection::InstrumentationEvent;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tracing::Level;

/// An obstacle to all writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The server is a standby, or an operator has closed it for writes.
    ReadOnly = 1,
    /// Writes fail, for example on a full disk.
    Failure = 2,
}

/// Last known state of writes: possible or not. Shared by all connections of a pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteState {
    /// The bits of the obstacles.
    obstacles: Arc<AtomicU8>,
    is_doubtful: Arc<AtomicBool>,
}

impl WriteState {
    pub(crate) fn can_write(&self) -> bool {
        self.obstacles.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn has(&self, obstacle: Obstacle) -> bool {
        self.obstacles.load(Ordering::Relaxed) & obstacle as u8 != 0
    }

    /// Asks for a trial write: a write failed for a reason that Diesel does not name.
    pub(crate) fn doubt(&self) {
        self.is_doubtful.store(true, Ordering::Relaxed);
    }

    /// Returns whether a trial write was asked for since the last call.
    pub(crate) fn take_doubt(&self) -> bool {
        self.is_doubtful.swap(false, Ordering::Relaxed)
    }

    /// Records whether there is an obstacle. A change of whether writes are possible is logged
    /// once.
    pub(crate) fn note(&self, obstacle: Obstacle, is_there: bool) {
        let bit = obstacle as u8;
        let before = if is_there {
            self.obstacles.fetch_or(bit, Ordering::Relaxed)
        } else {
            self.obstacles.fetch_and(!bit, Ordering::Relaxed)
        };
        let after = if is_there { before | bit } else { before & !bit };
        match (before == 0, after == 0) {
            (true, false) => tracing::error!("writes are impossible: the database accepts none"),
            (false, true) => tracing::info!("writes are possible again"),
            _ => {}
        }
    }
}

/// Trust in the connections of a pool that were checked a moment ago. All of them share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust(Arc<Mutex<Option<Instant>>>);

impl Trust {
    /// Ends the trust in all connections that were checked before now.
    pub(crate) fn withdraw(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Returns whether a connection that was checked at that time is trusted.
    pub(crate) fn covers(&self, proven: Instant) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|since| since < proven)
    }
}

/// A failed statement, by what can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Other transactions were in the way (SQLSTATE 40001): the same transaction may succeed now.
    Conflict,
    /// Diesel does not distinguish them. A deadlock (40P01) and a lock time-out (55P03) are among
    /// them, and messages are in the language of the server.
    Unknown,
    /// The server accepts no writes (25006): it has become a standby, or an operator has closed it.
    ReadOnly,
    /// The connection, or its state at a pooler, is gone (57P01 to 57P03, class 08).
    Connection,
}

impl Fault {
    fn of(error: &DieselError) -> Option<Self> {
        let DieselError::DatabaseError(kind, info) = error else { return None };
        match kind {
            DatabaseErrorKind::SerializationFailure => Some(Self::Conflict),
            DatabaseErrorKind::ReadOnlyTransaction => Some(Self::ReadOnly),
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                Some(Self::Connection)
            }
            DatabaseErrorKind::Unknown if is_of_prepared_statement(info.message()) => {
                Some(Self::Connection)
            }
            DatabaseErrorKind::Unknown => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// Returns whether a message is about a prepared statement that another connection made, or did not
/// make. The cause is a pooler that hands each transaction to another server process.
pub(crate) fn is_of_prepared_statement(message: &str) -> bool {
    message.contains("__diesel_stmt_")
}

/// The first fault of the transaction under way. Diesel reports every failed statement here, before
/// anything makes another error of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<Fault>>>);

impl Faults {
    pub(crate) fn first(&self) -> Option<Fault> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the instrumentation of a connection.
    pub(crate) fn listener(&self) -> impl FnMut(InstrumentationEvent<'_>) + Send + 'static {
        let faults = self.clone();
        move |event| {
            log_statement(&event);
            let InstrumentationEvent::FinishQuery { error: Some(error), .. } = event else {
                return;
            };
            if let Some(fault) = Fault::of(error) {
                let mut first = faults.0.lock().unwrap_or_else(PoisonError::into_inner);
                // Later faults only say that the transaction is aborted.
                first.get_or_insert(fault);
            }
        }
    }
}

/// Logs the text of a statement that begins, which has placeholders for its values.
pub(crate) fn log_statement(event: &InstrumentationEvent<'_>) {
    let InstrumentationEvent::StartQuery { query, .. } = event else { return };
    if tracing::enabled!(Level::TRACE) {
        let text = query.to_string();
        let sql = text.split_once(" -- binds").map_or(text.as_str(), |(sql, _)| sql).trim();
        tracing::trace!(sql, "statement");
    }
}
