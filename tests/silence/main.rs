//! Known and unknown are answered alike: in status, headers, length, body and time. This measures, so
//! nothing else may run beside it:
//!
//! ```console
//! cargo test --test silence -- --ignored --test-threads=1 --nocapture
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    reason = "a surprise ends the test; the shared parts have more than is needed here"
)]

#[path = "../process/api.rs"]
mod api;
mod connection;
#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../process/service.rs"]
mod service;
mod slow_smtp;
mod verdict;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connection::Connection;
use verdict::{Arm, Measured, auc, is_silent};
use world::{Mail, World};

/// Requests in each arm.
const REQUESTS: usize = 400;
/// Requests in each arm that are not counted.
const WARM_UP: usize = 50;
/// What the control adds.
const ADDED: Duration = Duration::from_millis(5);

/// What is asked about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    LogIn,
    Register,
    Resend,
    Reset,
}

const QUESTIONS: [Question; 4] =
    [Question::LogIn, Question::Register, Question::Resend, Question::Reset];

/// Asks in random order about people of both arms; `added` goes into the time of the known ones.
fn measure(world: &World, question: Question, added: Duration) -> Measured {
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    let round = ROUND.fetch_add(1, Ordering::Relaxed);
    let mut connection = Connection::to(world.address());
    let mut measured = Measured::default();
    for (arm, number) in verdict::shuffled(REQUESTS + WARM_UP) {
        let request = World::request(round, question, arm, number);
        let delay = if arm == Arm::Known { added } else { Duration::ZERO };
        let answer = connection.ask(&request, delay);
        measured.looks_alike(arm, &answer);
        if number >= WARM_UP {
            measured.times_of(arm).push(answer.took);
        }
    }
    measured
}

/// 400 in each arm make an AUC that is off by 0.02 by chance alone, so one of seventy measurements of
/// equal arms lies outside. What does so is measured anew: two of three on the same side are no chance.
fn is_silent_of_three(world: &World, question: Question, added: Duration, name: &str) -> bool {
    let (mut below, mut above) = (0, 0);
    for _ in 0..3 {
        let measured = measure(world, question, added);
        let auc = auc(&measured.known, &measured.unknown);
        println!("{name}, {question:?}: AUC {auc:.3}, {}", measured.medians());
        match auc {
            auc if is_silent(auc) => return true,
            auc if auc < 0.5 => below += 1,
            _ => above += 1,
        }
        if below.max(above) == 2 {
            return false;
        }
    }
    true
}

fn known_and_unknown_are_alike(database: &str, mail: Mail, world: &World) {
    let name = format!("{database}, mail {mail:?}");
    let loud: Vec<Question> = QUESTIONS
        .into_iter()
        .filter(|question| !is_silent_of_three(world, *question, Duration::ZERO, &name))
        .collect();
    assert!(loud.is_empty(), "{name}: {loud:?} tell by their time who is known");
}

fn on_sqlite(mail: Mail) {
    known_and_unknown_are_alike("SQLite", mail, &World::on_sqlite(mail));
}

fn on_postgres(mail: Mail) {
    if let Some(world) = World::on_postgres(mail) {
        known_and_unknown_are_alike("Postgres", mail, &world);
    }
}

#[test]
#[ignore = "measures time: alone, as the head of this file says"]
fn sqlite_with_a_mail_server_that_answers() {
    on_sqlite(Mail::Works);
}

#[test]
#[ignore = "measures time: alone, as the head of this file says"]
fn sqlite_with_a_slow_mail_server() {
    on_sqlite(Mail::Slow);
}

#[test]
#[ignore = "measures time: alone, as the head of this file says"]
fn sqlite_without_a_mail_server() {
    on_sqlite(Mail::Down);
}

#[test]
#[ignore = "measures time: alone, as the head of this file says"]
fn postgres_with_a_mail_server_that_answers() {
    on_postgres(Mail::Works);
}

#[test]
#[ignore = "measures time: alone, as the head of this file says"]
fn postgres_with_a_slow_mail_server() {
    on_postgres(Mail::Slow);
}

#[test]
#[ignore = "measures time: alone, as the head of this file says"]
fn postgres_without_a_mail_server() {
    on_postgres(Mail::Down);
}

#[test]
#[ignore = "measures time: alone, as the head of this file says"]
fn five_milliseconds_are_heard() {
    let world = World::on_sqlite(Mail::Works);
    for question in QUESTIONS {
        let heard = !is_silent_of_three(&world, question, ADDED, "control with 5 ms added");
        assert!(heard, "{question:?}: this test would not hear a leak");
    }
}
