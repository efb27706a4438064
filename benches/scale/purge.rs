//! The first purge of a service with rows of every kind that are due, while users log in: how long
//! each transaction takes. On SQLite that is the time for which the one writer is held; the time
//! that it ran on a processor meanwhile does not depend on what else the machine does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double};
use diesel::{PgConnection, QueryableByName, SqliteConnection, sql_query};

use crate::service::Service;

/// The most that a step of a purge should hold the writer for.
const GOAL: Duration = Duration::from_millis(20);
/// The pause between two looks at the writer.
const PAUSE: Duration = Duration::from_micros(100);
/// The pause between two looks at what is left.
const LOOK: Duration = Duration::from_millis(20);

/// Rows that a purge processes, in the order of the purge.
struct Stage {
    name: &'static str,
    /// Statement that makes rows due. They get a time just after the epoch.
    make_due: &'static str,
    /// The rows that are due, found by an index.
    due: &'static str,
}

const STAGES: [Stage; 10] = [
    Stage {
        name: "rows of a deleted account",
        make_due: "UPDATE outbox SET user_id = 2 WHERE user_id % 2 = 0; \
                   UPDATE challenges SET user_id = 2 WHERE kind = 'disavow' AND user_id % 2 = 0; \
                   UPDATE users SET deleted_at = 1, is_active = FALSE WHERE id = 2",
        due: "users WHERE deleted_at IS NOT NULL",
    },
    Stage {
        name: "accounts to enable",
        make_due: "UPDATE users SET is_active = FALSE, disabled_until = 1 WHERE id % 50 = 3",
        due: "users WHERE disabled_until = 1",
    },
    Stage {
        name: "expired registrations",
        make_due: "UPDATE challenges SET expires_at = 1 \
                   WHERE kind = 'registration' AND user_id % 5 = 0",
        due: "challenges WHERE expires_at = 1 AND email_norm IS NOT NULL",
    },
    Stage {
        name: "challenges",
        make_due: "UPDATE challenges SET expires_at = 1 \
                   WHERE kind <> 'registration' AND user_id % 5 = 1",
        due: "challenges WHERE kind IN ('registration', 'disavow', 'social_login') \
              AND expires_at = 1",
    },
    Stage {
        name: "replaced refresh tokens",
        make_due: "UPDATE refresh_tokens SET used_at = 1, generation = 1 WHERE generation = 0",
        due: "refresh_tokens WHERE used_at = 1 AND generation % 16 <> 0",
    },
    Stage {
        name: "sessions with their refresh tokens",
        make_due: "UPDATE sessions SET ended_at = 1, end_reason = 'logged_out' \
                   WHERE user_id % 5 = 0",
        due: "sessions WHERE ended_at = 1",
    },
    Stage {
        name: "names that were given up",
        make_due: "INSERT INTO released_names (user_id, name_hash, released_at) \
                   SELECT user_id, token_hash, 1 FROM known_devices",
        due: "released_names WHERE released_at = 1",
    },
    Stage {
        name: "limits",
        make_due: "UPDATE limits SET resets_at = 1",
        due: "limits WHERE resets_at = 1",
    },
    Stage {
        name: "mails",
        make_due: "UPDATE outbox SET finished_at = 1 WHERE user_id <> 2",
        due: "outbox WHERE finished_at = 1",
    },
    Stage {
        name: "events",
        make_due: "UPDATE events SET at = 1 WHERE user_id % 5 = 0",
        due: "events WHERE at = 1",
    },
];

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Age {
    #[diesel(sql_type = Double)]
    seconds: f64,
}

/// A connection beside the service.
enum Beside {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Beside {
    fn connect(database: &str) -> Self {
        match database.strip_prefix("sqlite://") {
            Some(path) => {
                let mut conn = SqliteConnection::establish(path).unwrap();
                conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
                Self::Sqlite(conn)
            }
            None => Self::Postgres(PgConnection::establish(database).unwrap()),
        }
    }

    fn execute(&mut self, sql: &str) {
        match self {
            Self::Sqlite(conn) => conn.batch_execute(sql).unwrap(),
            Self::Postgres(conn) => conn.batch_execute(sql).unwrap(),
        }
    }

    fn count(&mut self, from: &str) -> i64 {
        let query = sql_query(format!("SELECT count(*) AS count FROM {from}"));
        let count: Count = match self {
            Self::Sqlite(conn) => query.get_result(conn).unwrap(),
            Self::Postgres(conn) => query.get_result(conn).unwrap(),
        };
        count.count
    }

    fn is_any(&mut self, from: &str) -> bool {
        self.count(&format!("(SELECT 1 FROM {from} LIMIT 1) AS rows")) > 0
    }
}

/// Observations of one stage.
#[derive(Clone, Default)]
struct Seen {
    rows: i64,
    took: Duration,
    holds: Vec<Duration>,
    /// The longest time on a processor during one hold.
    longest_run: Duration,
}

/// A transaction of the service.
struct Hold {
    stage: usize,
    took: Duration,
    /// Time on a processor, on SQLite.
    ran: Duration,
}

/// Starts a service with so many users and prints what its first purge takes.
pub fn measure(users: u32, postgres: Option<String>) {
    let is_postgres = postgres.is_some();
    let mut seen = vec![Seen::default(); STAGES.len() + 1];
    let service = Service::start_after(users, postgres, |database| {
        let mut beside = Beside::connect(database);
        for (stage, seen) in STAGES.iter().zip(&mut seen) {
            beside.execute(stage.make_due);
            seen.rows = beside.count(stage.due);
        }
        beside.execute(if is_postgres {
            "VACUUM ANALYZE"
        } else {
            "PRAGMA wal_checkpoint(TRUNCATE)"
        });
    });
    let database = service.database();
    let (is_done, now) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (log_ins, holds) = thread::scope(|scope| {
        let log_ins = scope.spawn(|| log_in_until(&service, &is_done));
        let holds = scope.spawn(|| match Beside::connect(&database) {
            Beside::Sqlite(conn) => watch_writer(conn, &service, &now, &is_done),
            Beside::Postgres(conn) => watch_transactions(conn, &now, &is_done),
        });
        let mut beside = Beside::connect(&database);
        for (number, (stage, seen)) in STAGES.iter().zip(&mut seen).enumerate() {
            let began = Instant::now();
            now.store(number, Ordering::Relaxed);
            while beside.is_any(stage.due) {
                thread::sleep(LOOK);
            }
            seen.took = began.elapsed();
        }
        // The purge ends with the log of SQLite.
        now.store(STAGES.len(), Ordering::Relaxed);
        thread::sleep(Duration::from_secs(1));
        is_done.store(true, Ordering::Relaxed);
        (log_ins.join().unwrap(), holds.join().unwrap())
    });
    for Hold { stage, took, ran } in holds {
        seen[stage].holds.push(took);
        seen[stage].longest_run = seen[stage].longest_run.max(ran);
    }
    print_table(users, is_postgres, seen, log_ins);
}

/// Logs users in one after the other and returns how long each took.
fn log_in_until(service: &Service, is_done: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    // Others are deleted or disabled.
    for number in (3..).filter(|number| number % 50 != 2) {
        if is_done.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        service.log_in(number);
        times.push(began.elapsed());
    }
    times
}

/// Tries to take the write lock again and again. Returns how long it was held each time.
fn watch_writer(
    mut conn: SqliteConnection,
    service: &Service,
    now: &AtomicUsize,
    is_done: &AtomicBool,
) -> Vec<Hold> {
    conn.batch_execute("PRAGMA busy_timeout = 0").unwrap();
    let run = || service.writer_time().unwrap_or_default();
    let (mut holds, mut since): (_, Option<(Instant, Duration)>) = (Vec::new(), None);
    while !is_done.load(Ordering::Relaxed) {
        if conn.batch_execute("BEGIN IMMEDIATE").is_ok() {
            conn.batch_execute("ROLLBACK").unwrap();
            let hold = since.take().map(|(since, ran)| Hold {
                stage: now.load(Ordering::Relaxed),
                took: since.elapsed(),
                ran: run().saturating_sub(ran),
            });
            holds.extend(hold);
        } else {
            since.get_or_insert_with(|| (Instant::now(), run()));
        }
        thread::sleep(PAUSE);
    }
    holds
}

/// Looks at the age of the oldest transaction of the service again and again. Returns the largest
/// age of each.
fn watch_transactions(
    mut conn: PgConnection,
    now: &AtomicUsize,
    is_done: &AtomicBool,
) -> Vec<Hold> {
    let oldest = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 \
                  AS seconds FROM pg_stat_activity \
                  WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    let (mut ages, mut last) = (Vec::new(), Duration::ZERO);
    while !is_done.load(Ordering::Relaxed) {
        let age: Age = sql_query(oldest).get_result(&mut conn).unwrap();
        let age = Duration::from_secs_f64(age.seconds.max(0.0));
        if age < last {
            let stage = now.load(Ordering::Relaxed);
            ages.push(Hold { stage, took: last, ran: Duration::ZERO });
        }
        last = age;
        thread::sleep(PAUSE);
    }
    ages
}

fn print_table(users: u32, is_postgres: bool, seen: Vec<Seen>, log_ins: Vec<Duration>) {
    let (database, what) =
        if is_postgres { ("Postgres", "transactions") } else { ("SQLite", "writer held") };
    println!("Purge with {users} users on {database}.\n");
    println!(
        "| stage | rows | took | {what} | median | 99th percentile | longest | above {GOAL:?} | \
         longest run |"
    );
    println!("|{}", " --- |".repeat(9));
    let names = STAGES.iter().map(|stage| stage.name).chain(["end"]);
    for (name, Seen { rows, took, holds, longest_run }) in names.zip(seen) {
        print_row(&format!("{name} | {rows} | {:.1} s", took.as_secs_f64()), holds, longest_run);
    }
    print_row("log-ins meanwhile | | ", log_ins, Duration::ZERO);
    println!();
}

fn print_row(name: &str, mut times: Vec<Duration>, longest_run: Duration) {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last());
    let shown = |time: Option<&Duration>| {
        time.map_or_else(String::new, |time| format!("{:.1} ms", time.as_secs_f64() * 1_000.0))
    };
    let beyond = times.iter().filter(|time| **time > GOAL).count();
    let (median, high, longest) = (shown(at(50)), shown(at(99)), shown(times.last()));
    let run = shown(Some(&longest_run).filter(|run| !run.is_zero()));
    println!("| {name} | {} | {median} | {high} | {longest} | {beyond} | {run} |", times.len());
}
