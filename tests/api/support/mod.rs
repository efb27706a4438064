//! Support of the API tests: a world (database, clock, mailbox), services that run in it, and
//! clients that check every response against the OpenAPI document.

pub mod account;
mod answer;
mod app;
pub mod bulk_users;
pub mod contract;
pub mod cookies;
mod faults;
mod mail;
pub mod meanwhile;
pub mod raw;
mod tables;
mod world;

pub use answer::Answer;
pub use app::{TestApp, Tokens, settled};
pub use mail::{Proof, link_token, proof_in, with_another_code};
pub use world::World;

/// A password that the policy accepts.
pub const PASSWORD: &str = "plum tree at dusk";

pub const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
pub const HOUR: std::time::Duration = std::time::Duration::from_hours(1);
pub const DAY: std::time::Duration = std::time::Duration::from_hours(24);

/// Returns one second less.
pub fn shortly_before(span: std::time::Duration) -> std::time::Duration {
    span.checked_sub(SECOND).expect("a span of more than a second")
}

/// Defines two tests of one function: on SQLite and on Postgres.
macro_rules! on_both {
    ($($(#[$meta:meta])* fn $name:ident($world:ident) $story:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "not every story needs everything")]
            use super::*;

            fn story($world: crate::support::World) $story

            #[test]
            fn sqlite() {
                story(crate::support::World::sqlite());
            }

            #[test]
            fn postgres() {
                if let Some(world) = crate::support::World::postgres() {
                    story(world);
                }
            }
        }
    )*};
}
pub(crate) use on_both;

/// Checks a response that was not received by [`TestApp`] against the document.
pub fn contract_of(method: &str, path: &str, answer: Answer) -> Answer {
    contract::check(method, path, &answer);
    answer
}

/// Runs `work` in `count` threads that start at the same time, and returns their results.
pub fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread panicked")).collect()
    })
}

/// Repeats `look` until it returns a value. The pauses become longer: a look is often a request,
/// which takes processor time from what is waited for.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let time_out = std::time::Duration::from_secs(60);
    let longest = std::time::Duration::from_millis(50);
    let mut pause = std::time::Duration::from_millis(4);
    let started = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < time_out, "timed out waiting for {what}");
        std::thread::sleep(pause);
        pause = longest.min(pause * 3 / 2);
    }
}
