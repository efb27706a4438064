//! Rotation of signing keys while services run and users stay logged in.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hallpass::clock::ManualClock;
use hallpass::domain::UtcTime;
use hallpass::flows::{Flows, RotateError};
use jsonwebtoken::decode_header;

use crate::support::{
    DAY, PASSWORD, SECOND, TestApp, World, at_once, on_both, shortly_before, wait_for,
};

const MINA: &str = "mina@example.com";
const MINUTE: Duration = Duration::from_secs(60);

/// Services that leave the schedule to the test.
const OFF: &[(&str, &str)] = &[("HALLPASS_KEY_ROTATION", "off")];

/// An instance whose background work the test does itself.
fn instance(world: &World, settings: &[(&str, &str)]) -> Flows {
    let clock = Arc::new(world.clock.clone());
    let flows = hallpass::app::build_flows(&world.config(settings), clock).unwrap();
    // What a service does at its start: where there is no key yet, it makes the first.
    flows.rotate_keys_if_due().unwrap();
    flows
}

/// Returns an instance whose clock is ahead by `span`, before its first sync.
fn instance_ahead(world: &World, span: Duration) -> Flows {
    let clock = ManualClock::at(UtcTime::from_seconds(world.now()));
    clock.advance(span);
    hallpass::app::build_flows(&world.config(OFF), Arc::new(clock)).unwrap()
}

fn kids(app: &TestApp) -> Vec<String> {
    let keys = app.get("/.well-known/jwks.json").is(200).json();
    let kid = |key: &serde_json::Value| key["kid"].as_str().unwrap().to_owned();
    keys["keys"].as_array().unwrap().iter().map(kid).collect()
}

fn kid_of(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

/// Waits until the service publishes `count` keys, and returns their ids.
fn wait_for_keys(app: &TestApp, count: usize) -> Vec<String> {
    wait_for("the keys to change", || Some(kids(app)).filter(|kids| kids.len() == count))
}

/// Waits until a service has synced with the database.
fn let_it_look() {
    std::thread::sleep(Duration::from_millis(500));
}

on_both! {
    fn the_schedule_replaces_keys_to_the_second_and_logs_no_user_out(world) {
        let app = world.app_with(OFF);
        let scheduler = instance(&world, &[("HALLPASS_KEY_ROTATION", "3d")]);
        let mut tokens = app.person(&world, MINA);
        let old = kid_of(&tokens.access);
        assert_eq!(kids(&app), [old.as_str()]);

        world.advance(shortly_before(2 * DAY));
        scheduler.rotate_keys_if_due().unwrap();
        assert_eq!(world.count("signing_keys"), 1);
        world.advance(SECOND);
        scheduler.rotate_keys_if_due().unwrap();
        scheduler.rotate_keys_if_due().unwrap();
        assert_eq!(world.count("signing_keys"), 2);
        let published = wait_for_keys(&app, 2);
        let new = published[1].clone();
        assert_eq!(published, [old.as_str(), new.as_str()]);

        world.advance(shortly_before(DAY));
        tokens = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(kid_of(&tokens.access), old);
        assert_eq!(kids(&app), published);
        let last_of_old = tokens.access.clone();
        world.advance(SECOND);
        assert_eq!(kids(&app), [new.as_str(), old.as_str()]);
        tokens = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(kid_of(&tokens.access), new);
        app.me(&tokens.access).is(200);

        // The old one's last token counts to its end, and the key until the longest possible.
        world.advance(303 * SECOND);
        app.me(&last_of_old).is(200);
        world.advance(SECOND);
        app.me(&last_of_old).refused(401, "token_expired");
        world.advance(600 * SECOND);
        assert_eq!(kids(&app), [new.as_str(), old.as_str()]);
        world.advance(SECOND);
        assert_eq!(kids(&app), [new.as_str()]);
        app.me(&last_of_old).refused(401, "token_invalid");
        world.advance(shortly_before(DAY));
        scheduler.sync().unwrap();
        scheduler.rotate_keys_if_due().unwrap();
        assert_eq!(world.count("signing_keys"), 2);
        world.advance(SECOND);
        wait_for("the old key to be removed", || (world.count("signing_keys") == 1).then_some(()));
        tokens = app.refresh(&tokens.refresh).is(200).tokens();
        app.me(&tokens.access).is(200);
    }

    fn a_service_follows_the_schedule_by_itself(world) {
        let app = world.app_with(&[("HALLPASS_KEY_ROTATION", "1d")]);
        let tokens = app.person(&world, MINA);
        let first = kid_of(&tokens.access);
        // With the shortest period there always is a next key.
        let published = wait_for_keys(&app, 2);
        assert_eq!(published[0], first);
        world.advance(DAY);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(kid_of(&tokens.access), published[1]);
        assert_eq!(wait_for_keys(&app, 3)[0], published[1]);
    }

    fn of_instances_that_make_the_next_key_at_the_same_moment_one_does(world) {
        let settings = [("HALLPASS_KEY_ROTATION", "30d")];
        let instances = [(); 3].map(|()| instance(&world, &settings));
        world.advance(29 * DAY);
        for round in 0..20 {
            at_once(3, |number| instances[number].rotate_keys_if_due().unwrap());
            let waiting = format!("signing_keys WHERE signs_from > {}", world.now() * 1_000_000);
            assert_eq!(world.count(&waiting), 1, "round {round}");
            at_once(3, |number| instances[number].sync().unwrap());
            for _ in 0..2 {
                let keys = instances.each_ref().map(Flows::public_keys);
                assert!(keys[0] == keys[1] && keys[1] == keys[2], "round {round}: {keys:?}");
                world.advance(DAY);
            }
            world.advance(28 * DAY);
        }
        assert_eq!(world.count("signing_keys"), 2, "those that are over are removed");
    }

    fn three_services_publish_and_sign_with_the_same_key_at_every_moment(world) {
        let apps = [(); 3].map(|()| world.app_with(OFF));
        let operator = instance(&world, OFF);
        let tokens = apps[0].person(&world, MINA);
        let old = kid_of(&tokens.access);
        let rotation = operator.rotate_keys().unwrap();
        assert_eq!(rotation.signs_from.seconds(), world.now() + 20 * 60);
        for app in &apps {
            assert_eq!(wait_for_keys(app, 2), [old.as_str(), rotation.kid.as_str()]);
        }
        let signer = |app: &TestApp| {
            let access = app.log_in(MINA, PASSWORD).is(200).tokens().access;
            for other in &apps {
                other.token_verify(&access).is(200);
            }
            kid_of(&access)
        };
        world.advance(shortly_before(20 * MINUTE));
        assert_eq!(apps.each_ref().map(signer), [(); 3].map(|()| old.clone()));
        world.advance(SECOND);
        assert_eq!(apps.each_ref().map(signer), [(); 3].map(|()| rotation.kid.clone()));
    }

    fn an_operators_rotation_brings_the_next_key_forward_and_makes_no_second_one(world) {
        let scheduler = instance(&world, &[("HALLPASS_KEY_ROTATION", "1d")]);
        scheduler.rotate_keys_if_due().unwrap();
        assert_eq!(world.count("signing_keys"), 2);
        let first = scheduler.rotate_keys().unwrap();
        assert_eq!(first.signs_from.seconds(), world.now() + 20 * 60);
        world.advance(5 * MINUTE);
        assert_eq!(scheduler.rotate_keys().unwrap(), first);
        assert_eq!(world.count("signing_keys"), 2);
        // Several operators at once agree as well.
        world.advance(15 * MINUTE);
        let operators = [(); 3].map(|()| instance(&world, OFF));
        let rotations = at_once(3, |number| operators[number].rotate_keys().unwrap());
        assert!(rotations[0] != first);
        assert!(rotations.iter().all(|it| *it == rotations[0]), "{rotations:?}");
        assert_eq!(world.count("signing_keys"), 3);
    }

    fn compromised_keys_are_replaced_at_once(world) {
        let apps = [(); 2].map(|()| world.app_with(OFF));
        let operator = instance(&world, OFF);
        operator.rotate_keys().unwrap();
        let tokens = apps[0].person(&world, MINA);
        wait_for_keys(&apps[1], 2);
        let rotation = operator.replace_keys().unwrap();
        for app in &apps {
            wait_for("the only key", || (kids(app) == [rotation.kid.as_str()]).then_some(()));
            app.me(&tokens.access).refused(401, "token_invalid");
        }
        let next = apps[1].refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(kid_of(&next.access), rotation.kid);
        assert_eq!(next.session, tokens.session);
        apps[0].me(&next.access).is(200);
    }

    fn a_token_counts_under_the_name_of_its_own_key_only(world) {
        let app = world.app_with(OFF);
        let operator = instance(&world, OFF);
        let token = app.person(&world, MINA).access;
        operator.rotate_keys().unwrap();
        let next = wait_for_keys(&app, 2)[1].clone();
        let (header, rest) = token.split_once('.').unwrap();
        let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        for kid in [next.as_str(), "unknown", "", "../../etc/passwd", "' OR 1=1 --"] {
            let forged = header.replace(&kid_of(&token), kid);
            assert_ne!(forged, header);
            let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(forged));
            app.token_verify(&forged).refused(401, "token_invalid");
        }
        app.token_verify(&token).is(200);
    }

    fn a_key_that_cannot_be_opened_stops_no_service_that_runs_but_a_start(world) {
        let app = world.app_with(OFF);
        let tokens = app.person(&world, MINA);
        let known = kids(&app);
        // The name is sealed in, so under another one a key does not open.
        world.execute(
            "INSERT INTO signing_keys (kid, algorithm, sealed_private_key, public_jwk, created_at, \
             signs_from) SELECT 'foreign', algorithm, sealed_private_key, public_jwk, \
             created_at + 1, signs_from + 1 FROM signing_keys",
        );
        world.advance(20 * MINUTE);
        let_it_look();
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(kids(&app), known);
        app.me(&tokens.access).is(200);
        let config = world.config(OFF);
        let refused = hallpass::app::build_flows(&config, Arc::new(world.clock.clone()));
        let refused = refused.err().expect("no start").to_string();
        assert!(refused.contains("HALLPASS_SECRET"), "{refused}");

        // It stands for none, so the key that signs is not over.
        world.advance(2 * DAY);
        let_it_look();
        assert_eq!(world.count("signing_keys"), 2);

        // With none left that it could use, it signs with those it has, and makes another.
        world.execute("DELETE FROM signing_keys");
        let made = wait_for("a new key", || Some(kids(&app)).filter(|kids| *kids != known));
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!([kid_of(&tokens.access)], *made);
        app.me(&tokens.access).is(200);
    }

    fn keys_of_the_version_before_go_on_and_are_replaced_in_their_time(world) {
        let tokens = world.app_with(OFF).person(&world, MINA);
        world.execute("UPDATE signing_keys SET signs_from = 0");
        world.advance(2 * DAY);
        let app = world.app_with(OFF);
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(kid_of(&next.access), kid_of(&tokens.access));
        let scheduler = instance(&world, &[("HALLPASS_KEY_ROTATION", "30d")]);
        scheduler.rotate_keys_if_due().unwrap();
        assert_eq!(world.count("signing_keys"), 1);
        world.advance(27 * DAY);
        scheduler.rotate_keys_if_due().unwrap();
        assert_eq!(wait_for_keys(&app, 2)[0], kid_of(&tokens.access));
    }

    fn services_with_the_algorithm_before_believe_the_new_one(world) {
        let es256 = world.app_with(OFF);
        world.advance(SECOND);
        let eddsa = world.app_with(&[OFF, &[("HALLPASS_JWT_ALGORITHM", "EdDSA")]].concat());
        let old = es256.person(&world, MINA);
        let new = eddsa.refresh(&old.refresh).is(200).tokens();
        assert_ne!(kid_of(&new.access), kid_of(&old.access));
        wait_for_keys(&es256, 2);
        es256.me(&new.access).is(200);
        eddsa.me(&old.access).is(200);
        drop(es256);
        // A day is enough to give all instances the new setting.
        world.advance(shortly_before(DAY));
        assert_eq!(kids(&eddsa), [kid_of(&new.access), kid_of(&old.access)]);
        world.advance(SECOND);
        assert_eq!(kids(&eddsa), [kid_of(&new.access)]);
    }

    fn an_instance_whose_clock_is_ahead_takes_no_key_away(world) {
        let app = world.app_with(OFF);
        let hasty = instance_ahead(&world, 120 * MINUTE);
        let tokens = app.person(&world, MINA);
        instance(&world, OFF).rotate_keys().unwrap();
        hasty.sync().unwrap();
        hasty.rotate_keys_if_due().unwrap();
        assert_eq!(world.count("signing_keys"), 2);
        let_it_look();
        app.me(&tokens.access).is(200);
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(kid_of(&next.access), kid_of(&tokens.access));
    }

    fn a_first_key_that_a_clock_ahead_has_made_is_replaced_in_twenty_minutes_all_the_same(world) {
        instance_ahead(&world, DAY).rotate_keys_if_due().unwrap();
        let app = world.app_with(OFF);
        let early = app.person(&world, MINA);
        let operator = instance(&world, OFF);
        let rotation = operator.rotate_keys().unwrap();
        assert_eq!(rotation.signs_from.seconds(), world.now() + 20 * 60);
        assert_ne!(rotation.kid, kid_of(&early.access));
        assert_eq!(operator.rotate_keys().unwrap(), rotation);
        assert_eq!(wait_for_keys(&app, 2), [kid_of(&early.access), rotation.kid.clone()]);
        world.advance(20 * MINUTE);
        let next = app.log_in(MINA, PASSWORD).is(200).tokens();
        assert_eq!(kid_of(&next.access), rotation.kid);
    }

    fn keys_of_every_algorithm_take_over(world) {
        for algorithm in ["ES256", "EdDSA", "RS256"] {
            let settings = [OFF, &[("HALLPASS_JWT_ALGORITHM", algorithm)]].concat();
            let app = world.app_with(&settings);
            let tokens = app.person(&world, &format!("{algorithm}@example.com"));
            let rotation = instance(&world, &settings).rotate_keys().unwrap();
            wait_for("the next key", || kids(&app).contains(&rotation.kid).then_some(()));
            world.advance(20 * MINUTE);
            let next = app.refresh(&tokens.refresh).is(200).tokens();
            let header = decode_header(&next.access).unwrap();
            assert_eq!(header.kid, Some(rotation.kid));
            assert_eq!(format!("{:?}", header.alg), algorithm);
            app.me(&next.access).is(200);
        }
    }

    fn to_a_shared_secret_and_back_access_tokens_are_void_and_people_stay_logged_in(world) {
        let shared = [
            ("HALLPASS_JWT_ALGORITHM", "HS256"),
            ("HALLPASS_JWT_SECRET", "shared with the services that check tokens"),
        ];
        let mut tokens = world.app_with(OFF).person(&world, MINA);
        for settings in [&shared[..], OFF] {
            let app = world.app_with(settings);
            app.me(&tokens.access).refused(401, "token_invalid");
            let next = app.refresh(&tokens.refresh).is(200).tokens();
            assert_eq!(next.session, tokens.session);
            app.me(&next.access).is(200);
            tokens = next;
        }
    }

    fn a_shared_secret_is_the_operators_to_rotate(world) {
        let settings = [
            ("HALLPASS_JWT_ALGORITHM", "HS256"),
            ("HALLPASS_JWT_SECRET", "shared with the services that check tokens"),
        ];
        let operator = instance(&world, &settings);
        operator.rotate_keys_if_due().unwrap();
        for refused in [operator.rotate_keys(), operator.replace_keys()] {
            assert!(matches!(refused, Err(RotateError::SharedSecret)), "{refused:?}");
        }
        assert_eq!(world.count("signing_keys"), 0);
        let tokens = world.app_with(&settings).person(&world, MINA);
        let changed = ("HALLPASS_JWT_SECRET", "another one, given to all the services");
        let app = world.app_with(&[settings[0], changed]);
        app.me(&tokens.access).refused(401, "token_invalid");
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        app.me(&next.access).is(200);
    }
}
