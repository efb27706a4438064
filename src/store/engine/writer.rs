//! SQLite's one writer: a thread that takes jobs from a queue and commits up to 32 of them with one
//! disk flush. The queue is fair, and waiting jobs share the flush. A pool of writers polls for the
//! lock instead, and some wait for seconds.

use std::any::Any;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use diesel::connection::{Connection as _, InstrumentationEvent, SimpleConnection as _};

use crate::store::engine::connection::{self, Manager};
use crate::store::engine::health::{Obstacle, log_statement};
use crate::store::engine::transaction::{
    Durability, begin, commit, in_transaction, roll_back_savepoints, set_durability,
};
use crate::store::engine::wake_up::WakeUp;
use crate::store::{Conn, Error, Result};

const QUEUE_LENGTH: usize = 1024;
const JOBS_PER_COMMIT: usize = 32;
/// Number of pages of a log that is copied into the file, as SQLite's own default.
const LONG_LOG: i32 = 1_000;
/// Number of commits after which the length of the log is read.
const LOOK_AFTER_COMMITS: u32 = 8;

pub(crate) struct Writer {
    queue: SyncSender<Task>,
}

/// A task of the thread.
enum Task {
    Job(Box<dyn Job>),
    /// The log is emptied after the commit of the jobs before it. The reply says whether it is.
    EmptyLog(SyncSender<Result<bool>>),
}

/// Work whose outcome is returned after the commit.
trait Job: Send {
    fn durability(&self) -> Durability;
    /// Runs the work in a savepoint.
    fn run(&mut self, conn: &mut Conn);
    /// Returns the outcome; `committed` says whether the batch is on disk.
    fn answer(self: Box<Self>, committed: &Result<()>);
}

/// The `Result` of a job. All jobs share one type of channel: each would add 20 KB of code.
type Outcome = Box<dyn Any + Send>;

struct TypedJob<T, E, F> {
    durability: Durability,
    work: Option<F>,
    outcome: Option<std::result::Result<T, E>>,
    reply: SyncSender<Outcome>,
}

impl<T, E, F> Job for TypedJob<T, E, F>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
    F: FnOnce(&mut Conn) -> std::result::Result<T, E> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, conn: &mut Conn) {
        if let Some(work) = self.work.take() {
            self.outcome = Some(in_transaction(conn, work));
        }
    }

    fn answer(self: Box<Self>, committed: &Result<()>) {
        let outcome = match (self.outcome, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(_)) | None, Err(error)) => Err(Error::unavailable(&error).into()),
            (None, Ok(())) => Err(Error::Internal("a database job did not run".into()).into()),
        };
        // The caller may have gone. The work is done.
        drop(self.reply.send(Box::new(outcome)));
    }
}

impl Writer {
    /// Starts the thread. It ends when the last handle is dropped.
    pub(crate) fn start(manager: Manager, wake_up: WakeUp) -> Result<Self> {
        let (queue, tasks) = sync_channel(QUEUE_LENGTH);
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || write_until_closed(&manager, &wake_up, &tasks))
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { queue })
    }

    pub(crate) fn run<T, E>(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, outcome) = sync_channel(1);
        // Its lines in the log belong to the request that waits for it.
        let span = tracing::Span::current();
        let work = move |conn: &mut Conn| span.in_scope(|| work(conn));
        let job = Box::new(TypedJob { durability, work: Some(work), outcome: None, reply });
        self.order(Task::Job(job))?;
        let outcome = outcome.recv().map_err(|_| ended())?;
        *outcome
            .downcast()
            .map_err(|_| Error::Internal("the outcome of a job has another type".into()))?
    }

    /// Empties the log after the commit of all earlier jobs. Returns false if others use it.
    pub(crate) fn empty_log(&self) -> Result<bool> {
        let (reply, emptied) = sync_channel(1);
        self.order(Task::EmptyLog(reply))?;
        emptied.recv().map_err(|_| ended())?
    }

    fn order(&self, task: Task) -> Result<()> {
        self.queue.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => Error::Unavailable("the write queue is full".into()),
            TrySendError::Disconnected(_) => ended(),
        })
    }
}

fn ended() -> Error {
    Error::Internal("the writer has ended".into())
}

fn write_until_closed(manager: &Manager, wake_up: &WakeUp, tasks: &Receiver<Task>) {
    let mut connection = None;
    while let Ok(first) = tasks.recv() {
        let (mut batch, mut emptiers) = (Vec::new(), Vec::new());
        let others = tasks.try_iter().take(JOBS_PER_COMMIT - 1);
        for task in iter::once(first).chain(others) {
            match task {
                Task::Job(job) => batch.push(job),
                Task::EmptyLog(reply) => emptiers.push(reply),
            }
        }
        if !batch.is_empty() {
            write_batch(manager, wake_up, &mut connection, batch);
        }
        if !emptiers.is_empty() {
            let emptied = open(manager, &mut connection)
                .and_then(|connection| connection::empty_log(&mut connection.conn));
            if emptied.is_err() {
                // Its time-out may still be that of the attempt.
                connection = None;
            }
            for reply in emptiers {
                // The caller may have gone.
                drop(reply.send(emptied.clone()));
            }
        } else if let Some(connection) = &mut connection {
            connection.copy_long_log();
        }
    }
}

fn write_batch(
    manager: &Manager,
    wake_up: &WakeUp,
    connection: &mut Option<Connection>,
    mut batch: Vec<Box<dyn Job>>,
) {
    let committed = open_and_commit(manager, connection, &mut batch);
    manager.writes().note(Obstacle::Failure, committed.is_err());
    wake_up.end_transaction(committed.is_ok());
    if let Err(error) = &committed {
        tracing::error!(%error, "cannot write to SQLite");
        // The state of the transaction is unknown. A new connection has none.
        *connection = None;
    }
    for job in batch {
        job.answer(&committed);
    }
}

/// The connection of the thread.
struct Connection {
    conn: Conn,
    /// That of its next commit. To set it takes as long as a small statement.
    durability: Durability,
    /// Number of commits since the length of the log was read.
    commits: u32,
}

impl Connection {
    fn open(manager: &Manager) -> Result<Self> {
        let mut conn = manager.open()?;
        // The undo log of a statement that may fail in part. A log-in would create a file for it.
        conn.batch_execute("PRAGMA temp_store = MEMORY")?;
        // SQLite would copy a long log in a commit, and the request of that commit would wait.
        conn.batch_execute("PRAGMA wal_autocheckpoint = 0")?;
        conn.set_instrumentation(|event: InstrumentationEvent<'_>| log_statement(&event));
        Ok(Self { conn, durability: Durability::Full, commits: 0 })
    }

    /// Copies the log into the file once it is long. The next commit then begins a new log, unless
    /// a reader needs the old one.
    fn copy_long_log(&mut self) {
        self.commits += 1;
        if self.commits < LOOK_AFTER_COMMITS {
            return;
        }
        self.commits = 0;
        let copied = connection::log_pages(&mut self.conn).and_then(|pages| {
            let is_long = pages >= LONG_LOG;
            if is_long { connection::copy_log(&mut self.conn) } else { Ok(()) }
        });
        if let Err(error) = copied {
            tracing::warn!(%error, "SQLite's log is not copied into the file; it is tried again");
        }
    }

    fn set_durability(&mut self, durability: Durability) -> Result<()> {
        if self.durability != durability {
            set_durability(&mut self.conn, durability)?;
            self.durability = durability;
        }
        Ok(())
    }
}

/// Returns the connection, which is opened if there is none.
fn open<'a>(
    manager: &Manager,
    connection: &'a mut Option<Connection>,
) -> Result<&'a mut Connection> {
    match connection {
        Some(connection) => Ok(connection),
        None => Ok(connection.insert(Connection::open(manager)?)),
    }
}

fn open_and_commit(
    manager: &Manager,
    connection: &mut Option<Connection>,
    batch: &mut [Box<dyn Job>],
) -> Result<()> {
    let connection = open(manager, connection)?;
    let all_lazy = batch.iter().all(|job| job.durability() == Durability::Lazy);
    connection.set_durability(if all_lazy { Durability::Lazy } else { Durability::Full })?;
    let conn = &mut connection.conn;
    begin(conn)?;
    for job in batch.iter_mut() {
        // A panic affects only its own job: its savepoint is rolled back, and the other jobs
        // continue.
        if catch_unwind(AssertUnwindSafe(|| job.run(conn))).is_err() {
            roll_back_savepoints(conn)?;
        }
    }
    commit(conn)
}
