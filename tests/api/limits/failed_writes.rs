//! A database that fails after a password was hashed: the request is answered 503 and uses up no
//! limit.

use crate::api::limits::attempts::limited_with;
use crate::api::limits::hashing_requests::{Prepare, Request, THAT_HASH};
use crate::support::{World, on_both, wait_for};

/// Fewer uses than [`TRIES`].
pub const FEW: [(&str, &str); 4] = [
    ("HALLPASS_LIMIT_NETWORK", "10/1m"),
    ("HALLPASS_LIMIT_MAIL_NETWORK", "10"),
    ("HALLPASS_LIMIT_MAIL_HOURLY", "20"),
    ("HALLPASS_LIMIT_MAIL_DAILY", "20"),
];
pub const TRIES: usize = 12;

/// Statements of the last write of each request that hashes. On reservations of limits they have no
/// effect.
const AFTER_THE_HASH: [(&str, &str); 2] = [("events", "INSERT"), ("outbox", "INSERT")];
/// Statement of the release of a single use.
const RELEASE: [(&str, &str); 1] = [("limits", "DELETE")];

/// Prepares each request that hashes, with the name of its kind and the network of its client.
pub fn prepare(
    world: &World,
    verification: &str,
    all: &[(&'static str, Prepare)],
) -> Vec<(&'static str, String, Request)> {
    let quiet = world.app();
    let root = quiet.superuser(world, &format!("root-{verification}@example.com"));
    let requests = all.iter().enumerate().map(|(index, (name, prepare))| {
        let email = format!("{verification}-{index}@example.com");
        (*name, format!("203.0.{index}.9"), prepare(world, &quiet, &root, &email))
    });
    requests.collect()
}

on_both! {
    fn a_write_that_fails_after_the_hash_uses_up_no_limit(world) {
        for (verification, all) in [("mandatory", &THAT_HASH[..]), ("none", &THAT_HASH[..1])] {
            let mode = [("HALLPASS_EMAIL_VERIFICATION", verification)];
            let app = limited_with(&world, &[&FEW[..], &mode].concat());
            let requests = prepare(&world, verification, all);
            world.fail(&AFTER_THE_HASH);
            for (name, from, request) in &requests {
                for number in 0..TRIES {
                    let answer = request.send(&app, from);
                    assert_eq!(answer.status, 503, "{name}, {number}: {answer:?}");
                }
            }
            world.mend(&AFTER_THE_HASH);
            for (name, from, request) in &requests {
                let answer = request.send(&app, from);
                assert!(answer.status < 300, "{name}: {answer:?}");
            }
        }
    }

    fn a_use_is_released_later_if_the_database_fails_at_that_too(world) {
        let app = limited_with(&world, &FEW);
        let requests = prepare(&world, "mandatory", &THAT_HASH);
        world.alter("DELETE FROM limits");
        let all = [AFTER_THE_HASH.as_slice(), &RELEASE].concat();
        world.fail(&all);
        // Three each, which use the same counters.
        for (name, from, request) in requests.iter().chain(&requests).chain(&requests) {
            let answer = request.send(&app, from);
            assert_eq!(answer.status, 503, "{name}: {answer:?}");
        }
        assert!(world.count("limits") > 0, "no use was counted");
        world.mend(&all);
        wait_for("the release of all uses", || (world.count("limits") == 0).then_some(()));
    }
}
