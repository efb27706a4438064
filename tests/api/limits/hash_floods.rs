//! Floods of requests that hash a password, the most expensive work that a client can cause: no
//! client may keep others from logging in.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hallpass::config::{Config, Timing};
use serde_json::json;

use crate::api::limits::attempts::{HOME, LIMITED, limited_with};
use crate::api::limits::failed_writes::{FEW, TRIES, prepare};
use crate::api::limits::hashing_requests::THAT_HASH;
use crate::support::account::{PASSWORD_CHANGED, RESET};
use crate::support::{Answer, HOUR, PASSWORD, TestApp, Tokens, World, on_both, settled};

const MINA: &str = "mina@example.com";
const EVE: &str = "eve@example.com";
/// A hash takes longer than a request that is refused, so the queue of a flood stays full.
const COSTLY: [(&str, &str); 1] = [("HALLPASS_BCRYPT_COST", "7")];

/// Starts a service with one thread for these hashes: a flood of few clients fills its queue.
fn costly(world: &World, settings: &[(&str, &str)]) -> TestApp {
    with_hash_threads(world, 1, &[&COSTLY[..], settings].concat())
}

/// Starts a service whose queue of passwords is full at all times.
fn overloaded(world: &World, settings: &[(&str, &str)]) -> TestApp {
    with_hash_threads(world, 0, settings)
}

fn with_hash_threads(world: &World, hash_threads: usize, settings: &[(&str, &str)]) -> TestApp {
    let config = world.config(&[&LIMITED[..], settings].concat());
    world.app_of(Config { hash_threads, ..config })
}

fn with_refusal_pause(world: &World, hash_threads: usize, refusal_pause: Duration) -> TestApp {
    let config = world.config(&LIMITED);
    let timing = Timing { refusal_pause, ..config.timing };
    world.app_of(Config { hash_threads, timing, ..config })
}

fn log_in_from(app: &TestApp, from: &str, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    app.post_with("/v1/token-auth", &[("x-forwarded-for", from)], &body)
}

/// A flood takes the whole machine: at once, each test would find what the others leave.
static FLOODS: Mutex<()> = Mutex::new(());

/// Runs `flood` on so many threads, again and again, while `meanwhile` runs.
fn during(threads: usize, flood: impl Fn(usize, usize) + Sync, meanwhile: impl FnOnce()) {
    let _flood = FLOODS.lock().unwrap_or_else(PoisonError::into_inner);
    let is_over = AtomicBool::new(false);
    // Closed when each thread has run it once, or has failed.
    let (begun, has_begun) = mpsc::channel::<()>();
    thread::scope(|scope| {
        for number in 0..threads {
            let (flood, is_over, begun) = (&flood, &is_over, begun.clone());
            scope.spawn(move || {
                flood(number, 0);
                drop(begun);
                for round in 1.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    flood(number, round);
                }
            });
        }
        drop(begun);
        let _closed = has_begun.recv();
        // Also when `meanwhile` panics: a flood without end would hide that.
        let _end = AtItsEnd(&is_over);
        meanwhile();
    });
}

/// Sets a flag when it is dropped.
struct AtItsEnd<'a>(&'a AtomicBool);

impl Drop for AtItsEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

on_both! {
    fn wrong_passwords_from_many_networks_of_one_host_keep_no_other_from_logging_in(world) {
        let app = costly(&world, &[("HALLPASS_LIMIT_NETWORK", "10000/1m")]);
        app.person(&world, MINA);
        app.person(&world, EVE);
        let device = log_in_from(&app, HOME, MINA, PASSWORD).is(200).text("device_token");
        let flood = |number: usize, round: usize| {
            let from = format!("2001:db8:0:{:x}::1", number % 16);
            let answer = log_in_from(&app, &from, &format!("user-{number}-{round}"), "wrong wrong");
            assert!([401, 503].contains(&answer.status), "{answer:?}");
        };
        during(24, flood, || {
            for _ in 0..3 {
                let body = json!({"username": MINA, "password": PASSWORD, "device_token": device});
                app.post_with("/v1/token-auth", &[("x-forwarded-for", "2001:db8:0:3::9")], &body).is(200);
                log_in_from(&app, HOME, EVE, PASSWORD).is(200);
            }
        });
    }

    fn wrong_passwords_from_more_networks_than_the_queue_has_places_keep_no_other_from_logging_in(world) {
        let app = costly(&world, &[("HALLPASS_LIMIT_NETWORK", "10000/1m")]);
        app.person(&world, EVE);
        let flood = |number: usize, round: usize| {
            let from = format!("2001:db8:{number:x}:{round:x}::1");
            let answer = log_in_from(&app, &from, &format!("user-{number}-{round}"), "wrong wrong");
            assert!([401, 503].contains(&answer.status), "{answer:?}");
        };
        during(40, flood, || {
            for _ in 0..5 {
                log_in_from(&app, HOME, EVE, PASSWORD).is(200);
            }
        });
    }

    fn one_account_with_many_known_devices_keeps_no_other_from_logging_in(world) {
        let app = costly(&world, &[("HALLPASS_LIMIT_NETWORK", "10000/1m")]);
        app.verify_code(&app.register_with(&json!({"email": EVE, "password": PASSWORD, "username": "eve"})), &world.proof(EVE, 1).code).is(200);
        app.person(&world, MINA);
        let log_in_on = |name: &str, device: &str| {
            let body = json!({"username": name, "password": PASSWORD, "device_token": device});
            app.post_with("/v1/token-auth", &[("x-forwarded-for", HOME)], &body)
        };
        // With that of the registration these are all that are remembered.
        let devices: Vec<String> = (0..19)
            .map(|_| log_in_from(&app, HOME, EVE, PASSWORD).is(200).text("device_token"))
            .collect();
        let own = log_in_from(&app, HOME, MINA, PASSWORD).is(200).text("device_token");
        let flood = |number: usize, round: usize| {
            let answer = log_in_on([EVE, "eve"][number % 2], &devices[(number + 7 * round) % 19]);
            assert!([200, 429, 503].contains(&answer.status), "{answer:?}");
        };
        during(12, flood, || {
            for _ in 0..4 {
                log_in_on(MINA, &own).is(200);
                log_in_from(&app, "192.0.2.1", MINA, PASSWORD).is(200);
            }
        });
    }

    fn one_logged_in_user_keeps_no_other_from_logging_in(world) {
        let app = costly(&world, &[]);
        let eve = app.person(&world, EVE);
        app.person(&world, MINA);
        let bearer = format!("Bearer {}", eve.access);
        let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", "198.51.100.7")];
        let flood = |number: usize, round: usize| {
            let (path, body) = match number % 2 {
                0 => ("/v1/password-change", json!({"new_password": format!("plum tree at dusk {number} {round}")})),
                _ => ("/v1/me/email", json!({"new_email": format!("e{number}-{round}@example.com"), "password": "wrong wrong"})),
            };
            app.post_with(path, &headers, &body);
        };
        during(20, flood, || {
            for _ in 0..5 {
                log_in_from(&app, HOME, MINA, PASSWORD).is(200);
            }
        });
    }

    fn a_user_has_a_bounded_number_of_passwords_hashed_and_notices_sent(world) {
        let app = limited_with(&world, &[]);
        let eve = app.person(&world, EVE);
        let mut changed = 0;
        for number in 0..30 {
            let answer = app.change_password(&eve.access, None, &format!("plum tree at dusk {number}"));
            changed += usize::from(answer.status == 204);
            if answer.status != 204 {
                answer.refused(429, "rate_limited");
            }
        }
        assert_eq!(changed, 20);
        world.settle_mail();
        assert_eq!(world.mails_about(EVE, PASSWORD_CHANGED).len(), 20);
        // Not even a right password is compared.
        let body = json!({"new_email": "new@example.com", "password": "plum tree at dusk 19"});
        app.as_holder("POST", "/v1/me/email", &eve.access, &body).refused(429, "rate_limited");
        app.as_holder("DELETE", "/v1/me", &eve.access, &json!({"password": "plum tree at dusk 19"}))
            .refused(429, "rate_limited");
        // The log-in and the reset are counted apart.
        app.log_in(EVE, "plum tree at dusk 19").is(200);
        world.advance(HOUR);
        let eve = app.log_in(EVE, "plum tree at dusk 19").is(200).tokens();
        app.change_password(&eve.access, None, PASSWORD).is(204);
    }

    fn resets_of_one_account_are_counted_from_all_networks_together(world) {
        let few = [("HALLPASS_LIMIT_MAIL_HOURLY", "20"), ("HALLPASS_LIMIT_MAIL_DAILY", "100")];
        let app = limited_with(&world, &few);
        app.person(&world, MINA);
        let thief = app.log_in(MINA, PASSWORD).is(200).tokens();
        // What a session hashes is counted apart.
        for number in 0..20 {
            app.change_password(&thief.access, None, &format!("plum tree at dusk {number}"));
        }
        app.change_password(&thief.access, None, PASSWORD).refused(429, "rate_limited");
        let reset = |number: usize| {
            let from = format!("10.{number}.0.1");
            let from = [("x-forwarded-for", from.as_str())];
            app.post_with("/v1/password-reset", &from, &json!({"email": MINA})).is(202);
            let token = world.link_about(MINA, RESET, number);
            let body = json!({"token": token, "new_password": format!("pear tree at dawn {number}")});
            app.post_with("/v1/password-reset/confirm", &from, &body)
        };
        for number in 1..=20 {
            reset(number).is(204);
        }
        reset(21).refused(429, "rate_limited");
        world.advance(HOUR);
        reset(22).is(204);
    }

    fn accounts_that_staff_create_with_a_password_are_counted(world) {
        let app = limited_with(&world, &[("HALLPASS_LIMIT_NETWORK", "10/1m")]);
        let staff = app.superuser(&world, "root@example.com");
        let bearer = format!("Bearer {}", staff.access);
        let create = |number: usize, password: Option<&str>| {
            let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", HOME)];
            let body = json!({"email": format!("p{number}@example.com"), "password": password});
            app.post_with("/v1/users", &headers, &body)
        };
        for number in 0..10 {
            create(number, Some(PASSWORD)).is(201);
        }
        create(10, Some(PASSWORD)).refused(429, "rate_limited");
        // An invitation hashes nothing.
        create(10, None).is(201);
    }

    fn one_member_of_staff_has_a_bounded_number_of_accounts_made_from_all_networks_together(world) {
        let app = limited_with(&world, &[]);
        let [first, second] = ["root@example.com", "boss@example.com"].map(|email| app.superuser(&world, email));
        let create = |by: &Tokens, number: usize| {
            let (bearer, from) = (format!("Bearer {}", by.access), format!("10.0.{number}.1"));
            let headers = [("authorization", bearer.as_str()), ("x-forwarded-for", from.as_str())];
            let body = json!({"email": format!("p{number}@example.com"), "password": PASSWORD});
            app.post_with("/v1/users", &headers, &body)
        };
        create(&first, 0).is(201);
        world.execute("UPDATE limits SET uses = uses + 598 WHERE name LIKE 'hashes_of_staff:%'");
        create(&first, 1).is(201);
        create(&first, 2).refused(429, "rate_limited");
        create(&second, 2).is(201);
        world.advance(HOUR);
        let first = app.log_in("root@example.com", PASSWORD).is(200).tokens();
        settled(|| create(&first, 3)).is(201);
    }

    fn known_devices_beyond_the_bound_of_their_network_have_no_precedence_in_it(world) {
        let app = costly(&world, &[("HALLPASS_LIMIT_NETWORK", "10/1m")]);
        let quiet = world.app();
        let home = "2001:db8:0:ffff::9";
        let log_in_on = |name: &str, device: &str| {
            let body = json!({"username": name, "password": PASSWORD, "device_token": device});
            app.post_with("/v1/token-auth", &[("x-forwarded-for", home)], &body)
        };
        let device_of = |name: &str| {
            quiet.person(&world, name);
            log_in_from(&app, home, name, PASSWORD).is(200).text("device_token")
        };
        let (first, last) = (device_of(MINA), device_of(EVE));
        let flood = |number: usize, round: usize| {
            let from = format!("2001:db8:0:{:x}::1", number * 200 + round % 200);
            log_in_from(&app, &from, &format!("user-{number}-{round}"), "wrong wrong");
        };
        let is_refused = |name: &str, device: &str| {
            let is_refused = |_| match log_in_on(name, device).status {
                200 => false,
                503 => true,
                status => panic!("{status}"),
            };
            let mut is_any_refused = false;
            during(24, flood, || is_any_refused = (0..9).any(is_refused));
            is_any_refused
        };
        assert!(!is_refused(MINA, &first), "a known device has no precedence");
        for name in ["a@example.com", "b@example.com", "c@example.com", "d@example.com"] {
            let device = device_of(name);
            for _ in 0..10 {
                log_in_on(name, &device).is(200);
            }
        }
        assert!(is_refused(EVE, &last), "devices beyond the bound have precedence");
    }

    fn no_request_that_finds_the_queue_full_uses_up_a_limit(world) {
        for (verification, all) in [("mandatory", &THAT_HASH[..]), ("none", &THAT_HASH[..1])] {
            let mode = [("HALLPASS_EMAIL_VERIFICATION", verification)];
            let settings = [&FEW[..], &mode].concat();
            let (full, idle) = (overloaded(&world, &settings), limited_with(&world, &settings));
            for (name, from, request) in prepare(&world, verification, all) {
                for number in 0..TRIES {
                    let answer = request.send(&full, &from);
                    assert_eq!(answer.status, 503, "{name}, {number}: {answer:?}");
                }
                let answer = request.send(&idle, &from);
                assert!(answer.status < 300, "{name}: {answer:?}");
            }
        }
    }

    fn a_client_that_asks_again_at_once_is_slowed_down_by_its_refusals(world) {
        let pause = Duration::from_millis(300);
        let full = with_refusal_pause(&world, 0, pause);
        let began = Instant::now();
        log_in_from(&full, HOME, MINA, PASSWORD).refused(503, "overloaded");
        assert!(began.elapsed() >= pause);
        let limited = with_refusal_pause(&world, 1, pause);
        for _ in 0..5 {
            log_in_from(&limited, HOME, MINA, "wrong").refused(401, "invalid_credentials");
        }
        let began = Instant::now();
        log_in_from(&limited, HOME, MINA, "wrong").refused(429, "rate_limited");
        assert!(began.elapsed() >= pause);
        // With this pause the test would not end.
        let patient = with_refusal_pause(&world, 1, HOUR);
        let tokens = patient.person(&world, EVE);
        for _ in 0..10 {
            patient.get_as(&tokens.access, "/v1/me/export").is(200);
        }
        patient.get_as(&tokens.access, "/v1/me/export").refused(429, "rate_limited");
        patient.log_in(EVE, "wrong").refused(401, "invalid_credentials");
    }

    fn attempts_that_the_service_had_no_time_for_are_given_back(world) {
        let few = [("HALLPASS_LIMIT_NETWORK", "60/1m")];
        let (full, idle) = (overloaded(&world, &few), limited_with(&world, &few));
        for number in 0..60 {
            log_in_from(&full, HOME, &format!("late-{number}"), PASSWORD)
                .refused(503, "overloaded");
            log_in_from(&idle, HOME, &format!("name-{number}"), PASSWORD)
                .refused(401, "invalid_credentials");
        }
        // What was compared stays counted.
        log_in_from(&idle, HOME, "name-60", PASSWORD).refused(429, "rate_limited");
    }
}
