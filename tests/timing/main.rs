//! Responses for known and unknown users are alike: in status, headers, length, body and time. The
//! tests measure, so nothing else may run beside them:
//!
//! ```console
//! cargo test --test timing -- --ignored --test-threads=1 --nocapture
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    reason = "a surprise ends the test; the shared parts have more than is needed here"
)]

#[path = "../support/client.rs"]
mod client;
mod connection;
#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/scratch.rs"]
mod scratch;
#[path = "../support/scripted_provider.rs"]
mod scripted_provider;
#[path = "../support/service.rs"]
mod service;
mod slow_smtp;
mod verdict;
mod world;

use std::time::Duration;

use connection::Connection;
use verdict::{Arm, Measured, is_alike, median_of_five};
use world::{Mail, World};

/// The plans of Postgres by default, as in production.
const PLAN_CACHE_MODE: &str = "auto";

/// True if this build has the Django REST adapter.
const HAS_DRF: bool = cfg!(feature = "drf-jwt");
/// Requests in each arm.
const REQUESTS: usize = 400;
/// The same in the control, whose difference is great.
const REQUESTS_OF_CONTROL: usize = 60;
/// The users whose names are spelled differently.
const PEOPLE: usize = 60;
/// Looks at a user whose spellings differ. Each takes 30 of the 100 failed log-ins of a name.
const LOOKS: u8 = 3;
/// The delay that the control adds.
const ADDED: Duration = Duration::from_millis(5);

/// A request about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    LogInByAddress,
    LogInByName,
    LogInAtDjangoAdapter,
    Register,
    /// Known users have a pending registration.
    Resend,
    /// Known users have verified their address.
    ResendToAccount,
    Reset,
    /// A reset with a wrong code. Known users have a valid one.
    ConfirmReset,
    /// A social log-in at a provider whose addresses are not trusted. Known users have an account.
    SocialFinish,
    /// The same social log-in. Known users have a pending registration.
    SocialFinishOfPending,
    /// A social log-in with an id token. Known users have an account.
    SocialToken,
}

const QUESTIONS: [Question; 11] = [
    Question::LogInByAddress,
    Question::LogInByName,
    Question::LogInAtDjangoAdapter,
    Question::Register,
    Question::Resend,
    Question::ResendToAccount,
    Question::Reset,
    Question::ConfirmReset,
    Question::SocialFinish,
    Question::SocialFinishOfPending,
    Question::SocialToken,
];

impl Question {
    /// Returns true if the state of the mail server makes no difference: no mail is requested, or
    /// the same as by `SocialFinish`. Such a question is measured with one state only, to save
    /// time.
    fn is_independent_of_mail(self) -> bool {
        matches!(self, Self::ConfirmReset | Self::SocialFinishOfPending | Self::SocialToken)
    }

    /// The status of the responses in both arms.
    fn answered_with(self) -> u16 {
        match self {
            Self::LogInByAddress | Self::LogInByName | Self::ConfirmReset => 401,
            Self::LogInAtDjangoAdapter => 400,
            Self::Register
            | Self::Resend
            | Self::ResendToAccount
            | Self::Reset
            | Self::SocialFinish
            | Self::SocialFinishOfPending
            | Self::SocialToken => 202,
        }
    }
}

/// Sends requests about users of both arms in random order. `added` is added to the times of known
/// users.
fn measure(world: &World, question: Question, requests: usize, added: Duration) -> Measured {
    let warm_up = requests / 8;
    let round = world.next_round();
    world.add_known_users(round, question, requests + warm_up);
    let mut connection = Connection::to(world.address());
    let mut measured = Measured::default();
    for (arm, number) in verdict::shuffled(requests + warm_up) {
        let request = world.request(round, question, arm, number);
        let delay = if arm == Arm::Known { added } else { Duration::ZERO };
        let answer = connection.ask(&request, delay);
        assert_eq!(answer.status, question.answered_with(), "{question:?}: {}", answer.look);
        measured.looks_alike(arm, &answer);
        if number >= warm_up {
            measured.times_of(arm).push(answer.took);
        }
    }
    measured
}

/// 400 in each arm make an AUC that is off by 0.02 by chance alone, so one of seventy measurements
/// of equal arms lies outside. What does so is measured four times more, and the one in the middle
/// counts.
fn is_told_apart(world: &World, question: Question, name: &str) -> bool {
    let look = || {
        let measured = measure(world, question, REQUESTS, Duration::ZERO);
        println!("{name}, {question:?}: AUC {:.3}, {}", measured.auc(), measured.medians());
        measured.auc()
    };
    let first = look();
    !is_alike(first) && !is_alike(median_of_five([first, look(), look(), look(), look()]))
}

/// Returns whether a response with a small delay would go unnoticed here.
fn is_not_heard(world: &World, question: Question, name: &str) -> bool {
    let measured = measure(world, question, REQUESTS_OF_CONTROL, ADDED);
    println!("{name}, {question:?}, control of 5 ms: AUC {:.3}", measured.auc());
    // Chance alone makes less of so few requests that are alike.
    measured.auc() < 0.65
}

fn known_and_unknown_are_alike(database: &str, mail: Mail, world: &World) {
    let name = format!("{database}, mail {mail:?}");
    let those = |are_so: fn(&World, Question, &str) -> bool| -> Vec<Question> {
        let asked = QUESTIONS
            .into_iter()
            .filter(|it| HAS_DRF || *it != Question::LogInAtDjangoAdapter)
            .filter(|it| mail == Mail::Works || !it.is_independent_of_mail());
        asked.filter(|question| are_so(world, *question, &name)).collect()
    };
    let unheard = those(is_not_heard);
    assert!(unheard.is_empty(), "{name}: this test would not hear a leak of {unheard:?}");
    let loud = those(is_told_apart);
    assert!(loud.is_empty(), "{name}: {loud:?} tell by their time who is known");
}

/// Asserts that all spellings of a name are compared with the same hash, for known and unknown
/// users. The shortest of a few times of each shows which hash it is.
fn spellings_take_the_same_time(world: &World) {
    let round = world.next_round();
    world.add_users_with_costly_hashes(round, PEOPLE);
    let mut connection = Connection::to(world.address());
    for arm in [Arm::Known, Arm::Unknown] {
        let mut best = |requests: &[Vec<u8>]| -> Vec<Duration> {
            let mut ask = |request| connection.ask(request, Duration::ZERO).took;
            requests.iter().map(|it| (0..3).map(|_| ask(it)).min().unwrap()).collect()
        };
        let differ = |number: &usize| {
            let mut shortest = vec![Duration::MAX];
            // Another hash takes longer at each look, a machine that is busy elsewhere does not.
            (0..LOOKS).all(|look| {
                let times = best(&World::spellings(round, arm, *number, look));
                shortest.resize(times.len(), Duration::MAX);
                shortest.iter_mut().zip(times).for_each(|(it, time)| *it = time.min(*it));
                let (slowest, fastest) = (shortest.iter().max(), shortest.iter().min());
                let (slowest, fastest) = (*slowest.unwrap(), *fastest.unwrap());
                // Another hash takes several times as long; the same on a busy machine up to 1.5
                // times, and a request without a costly one some milliseconds more.
                slowest > fastest + ADDED * 2 && slowest > fastest * 7 / 4
            })
        };
        let count = (0..PEOPLE).filter(differ).count();
        println!("{arm:?}: of {PEOPLE} people {count} take another time under another spelling");
        assert!(count <= PEOPLE / 20, "{arm:?}: {count}");
    }
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
fn spellings_of_an_address_take_the_same_time_on_sqlite() {
    spellings_take_the_same_time(&World::on_sqlite(Mail::Works));
}

#[test]
#[ignore = "measures time: alone, as the head of this file says"]
fn spellings_of_an_address_take_the_same_time_on_postgres() {
    if let Some(world) = World::on_postgres(Mail::Works) {
        spellings_take_the_same_time(&world);
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
