//! A purge of sessions that ended long ago, while users log in: how long SQLite's writer is held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::QueryableByName;
use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::service::Service;

/// The most that a step of a purge should hold the writer for.
const GOAL: Duration = Duration::from_millis(20);
/// The pause between two tries to take the write lock.
const PAUSE: Duration = Duration::from_micros(100);
/// The pause between two looks at what is left.
const LOOK: Duration = Duration::from_millis(500);

/// One session in five ended so long ago that it is purged.
const END: &str = "UPDATE sessions SET ended_at = 1, end_reason = 'logged_out' WHERE rowid % 5 = 0";
const LEFT: &str = "SELECT count(*) AS count FROM sessions WHERE ended_at = 1";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Starts a service with so many users and prints what its first purge takes.
pub fn measure(users: u32) {
    let mut over = 0;
    let service = Service::start_after(users, None, |database| {
        let mut conn = connect(database);
        conn.batch_execute(END).unwrap();
        conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        over = count_left(&mut conn);
    });
    let started = Instant::now();
    let is_done = AtomicBool::new(false);
    let (log_ins, (holds, gaps)) = thread::scope(|scope| {
        let log_ins = scope.spawn(|| log_in_until(&service, &is_done));
        let holds = scope.spawn(|| watch_writer(&service.database(), &is_done));
        let mut conn = connect(&service.database());
        while count_left(&mut conn) > 0 {
            thread::sleep(LOOK);
        }
        // The purge ends with the log of SQLite.
        thread::sleep(2 * LOOK);
        is_done.store(true, Ordering::Relaxed);
        (log_ins.join().unwrap(), holds.join().unwrap())
    });
    println!("Purge of {over} sessions of {users} users: {:.0?}.\n", started.elapsed());
    println!("| | number | median | 99th percentile | longest | above {GOAL:?} |");
    println!("| --- | --- | --- | --- | --- | --- |");
    print_row("log-in", log_ins);
    print_row("writer held", holds);
    print_row("time between two looks at the writer (noise)", gaps);
}

fn connect(database: &str) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(database.trim_start_matches("sqlite://")).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
    conn
}

fn count_left(conn: &mut SqliteConnection) -> i64 {
    diesel::sql_query(LEFT).get_result::<Count>(conn).unwrap().count
}

/// Logs users in one after the other and returns how long each took.
fn log_in_until(service: &Service, is_done: &AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 1.. {
        if is_done.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        service.log_in(number);
        times.push(began.elapsed());
    }
    times
}

/// Tries to take the write lock again and again. Returns how long it was held each time, and the
/// times between two tries: a hold that is not longer than those may be the scheduler's.
fn watch_writer(database: &str, is_done: &AtomicBool) -> (Vec<Duration>, Vec<Duration>) {
    let mut conn = connect(database);
    conn.batch_execute("PRAGMA busy_timeout = 0").unwrap();
    let (mut holds, mut gaps) = (Vec::new(), Vec::new());
    let (mut since, mut last): (Option<Instant>, _) = (None, Instant::now());
    while !is_done.load(Ordering::Relaxed) {
        if conn.batch_execute("BEGIN IMMEDIATE").is_ok() {
            conn.batch_execute("ROLLBACK").unwrap();
            holds.extend(since.take().map(|since| since.elapsed()));
        } else {
            since.get_or_insert_with(Instant::now);
        }
        gaps.push(last.elapsed());
        last = Instant::now();
        thread::sleep(PAUSE);
    }
    (holds, gaps)
}

fn print_row(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1));
    let shown = |time: Option<&Duration>| {
        time.map_or_else(String::new, |time| format!("{:.1} ms", time.as_secs_f64() * 1_000.0))
    };
    let beyond = times.iter().filter(|time| **time > GOAL).count();
    let (median, high, longest) = (shown(at(50)), shown(at(99)), shown(times.last()));
    println!("| {name} | {} | {median} | {high} | {longest} | {beyond} |", times.len());
}
