//! Several services on one database.

use std::collections::HashSet;

use crate::support::{PASSWORD, SECOND, at_once, on_both, proof_in, wait_for};

const MINA: &str = "mina@example.com";

on_both! {
    fn a_log_out_on_one_is_seen_by_the_others_soon(world) {
        let (one, other) = (world.app(), world.app());
        let tokens = one.person(&world, MINA);
        other.me(&tokens.access).is(200);
        one.revoke(&tokens.refresh).is(204);
        one.token_verify(&tokens.access).refused(401, "token_revoked");
        let started = std::time::Instant::now();
        wait_for("the other service to notice", || {
            Some(other.token_verify(&tokens.access)).filter(|it| it.code() == "token_revoked")
        });
        assert!(started.elapsed().as_millis() < 2_500, "{:?}", started.elapsed());
        other.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
    }

    fn a_theft_that_one_notices_ends_the_session_on_the_others(world) {
        let (one, other) = (world.app(), world.app());
        let first = one.person(&world, MINA);
        let second = other.refresh(&first.refresh).is(200).tokens();
        world.advance(SECOND * 31);
        one.refresh(&first.refresh).refused(401, "refresh_token_reused");
        other.refresh(&second.refresh).refused(401, "refresh_token_revoked");
        wait_for("the other service to notice", || {
            Some(other.token_verify(&second.access)).filter(|it| it.code() == "token_revoked")
        });
        world.mails_to(MINA, 2);
    }

    fn tabs_that_reach_different_instances_get_the_same_successor(world) {
        let apps = [world.app(), world.app()];
        let mut tokens = apps[0].person(&world, MINA);
        for _ in 0..4 {
            let answers = at_once(20, |number| apps[number % 2].refresh(&tokens.refresh));
            let next: Vec<_> = answers.into_iter().map(|it| it.is(200).tokens()).collect();
            let refresh: HashSet<&String> = next.iter().map(|it| &it.refresh).collect();
            assert_eq!(refresh.len(), 1);
            tokens = next[0].clone();
            apps[1].me(&tokens.access).is(200);
        }
        world.advance(SECOND * 30);
        let again = apps[1].refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(apps[0].refresh(&tokens.refresh).is(200).tokens().refresh, again.refresh);
    }

    fn a_registration_on_one_instance_is_verified_on_another_once(world) {
        let apps = [world.app(), world.app(), world.app()];
        for round in 0..3 {
            let email = format!("p{round}@example.com");
            let token = apps[0].register(&email);
            let code = world.proof(&email, 1).code;
            let answers = at_once(12, |number| apps[number % 3].verify_code(&token, &code));
            let sessions: HashSet<String> =
                answers.into_iter().map(|it| it.is(200).tokens().session).collect();
            assert_eq!(sessions.len(), 1);
            apps[2].log_in(&email, PASSWORD).is(200);
        }
        assert_eq!(world.count("users"), 3);
    }

    fn a_mail_is_sent_once_however_many_send(world) {
        let apps = [world.app(), world.app(), world.app()];
        at_once(30, |number| apps[number % 3].register(&format!("p{number}@example.com")));
        for number in 0..30 {
            world.mails_to(&format!("p{number}@example.com"), 1);
        }
        world.settle_mail();
        for number in 0..30 {
            let mails = world.mails_so_far(&format!("p{number}@example.com"));
            assert_eq!(mails.len(), 1);
            assert!(proof_in(&mails[0]).is_some());
        }
    }

    fn the_tables_are_created_once_by_the_first_instance(world) {
        let world = world.without_tables();
        let url = hallpass::store::DatabaseUrl::parse(&world.database_url).unwrap();
        let made = at_once(8, |_| hallpass::store::migrate(&url).unwrap());
        assert_eq!(made.iter().filter(|names| !names.is_empty()).count(), 1, "{made:?}");
        assert_eq!(world.count("users"), 0);
    }

    fn four_that_start_at_once_on_an_empty_database_agree(world) {
        let world = world.without_tables();
        let apps = at_once(4, |_| world.app());
        let tokens = apps[0].person(&world, MINA);
        for app in &apps {
            app.me(&tokens.access).is(200);
            assert_eq!(app.get("/.well-known/jwks.json").body, apps[0].get("/.well-known/jwks.json").body);
        }
        assert_eq!(world.count("signing_keys"), 1);
        let next = apps[3].refresh(&tokens.refresh).is(200).tokens();
        apps[1].me(&next.access).is(200);
    }
}
