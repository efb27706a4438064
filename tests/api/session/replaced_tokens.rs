//! Replaced refresh tokens: the rows that are kept, and the answers to those without a row.

use std::time::Duration;

use crate::support::{DAY, HOUR, PASSWORD, SECOND, TestApp, Tokens, World, on_both};

const MINA: &str = "mina@example.com";

/// Refreshes so many times, and returns every token of the session, the oldest first.
fn refresh_often(app: &TestApp, first: Tokens, times: usize) -> Vec<Tokens> {
    let mut all = vec![first];
    for _ in 0..times {
        let next = app.refresh(&all.last().unwrap().refresh).is(200).tokens();
        all.push(next);
    }
    all
}

/// Lets the purge forget what it may of tokens that were replaced just now.
fn forget_replaced(world: &World) {
    world.advance(HOUR + SECOND);
    world.purge();
}

on_both! {
    fn a_page_that_stays_open_leaves_few_tokens(world) {
        let app = world.app();
        let mut tokens = app.person(&world, MINA);
        // A day and a half, one refresh in ten minutes.
        for round in 0..216 {
            world.advance(Duration::from_mins(10));
            tokens = app.refresh(&tokens.refresh).is(200).tokens();
            if round % 36 == 35 {
                world.purge();
            }
        }
        // Those of the last hour, each 16th, and the current one.
        let kept = world.count("refresh_tokens");
        assert!((14..=24).contains(&kept), "{kept} tokens are kept");
        app.refresh(&tokens.refresh).is(200);
    }

    fn every_replaced_token_tells_of_theft_however_many_came_after_it(world) {
        let app = world.app_with(&[("HALLPASS_SESSIONS_PER_USER", "50")]);
        app.person(&world, MINA);
        for presented in [0, 1, 15, 16, 17, 31, 34] {
            let first = app.log_in(MINA, PASSWORD).is(200).tokens();
            let all = refresh_often(&app, first, 35);
            forget_replaced(&world);
            let kept = format!("refresh_tokens WHERE session_id = '{}'", all[0].session);
            assert_eq!(world.count(&kept), 4, "0, 16, 32 and the current one");
            app.refresh(&all[presented].refresh).refused(401, "refresh_token_reused");
            app.refresh(&all[35].refresh).refused(401, "refresh_token_revoked");
            app.refresh(&all[presented].refresh).refused(401, "refresh_token_revoked");
        }
        assert_eq!(world.count("events WHERE kind = 'refresh_token_reused'"), 7);
        assert_eq!(world.count("outbox WHERE kind = 'refresh_token_reused'"), 7);
    }

    fn the_tokens_of_the_last_hour_are_all_kept(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let all = refresh_often(&app, first, 5);
        world.advance(SECOND * 20);
        world.purge();
        assert_eq!(world.count("refresh_tokens"), 6);
        // Within the grace, a tab that comes late is told that it was superseded, and nothing ends.
        app.refresh(&all[3].refresh).refused(401, "refresh_token_superseded");
        assert_eq!(app.refresh(&all[4].refresh).is(200).tokens().refresh, all[5].refresh);
        app.refresh(&all[5].refresh).is(200);
    }

    fn a_token_that_is_not_kept_logs_its_session_out_too(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let all = refresh_often(&app, first, 70);
        forget_replaced(&world);
        app.revoke(&all[3].refresh).is(204);
        app.refresh(&all[70].refresh).refused(401, "refresh_token_revoked");
        app.refresh(&all[3].refresh).refused(401, "refresh_token_revoked");
    }

    fn a_token_that_is_not_kept_has_expired_with_its_session(world) {
        let app = world.app_with(&[("HALLPASS_SESSION_TTL", "1d")]);
        let first = app.person(&world, MINA);
        let all = refresh_often(&app, first, 70);
        forget_replaced(&world);
        world.advance(DAY);
        app.refresh(&all[3].refresh).refused(401, "refresh_token_expired");
        app.refresh(&all[70].refresh).refused(401, "refresh_token_expired");
    }

    fn replaced_tokens_go_a_day_after_their_own_time(world) {
        let app = world.app_with(&[("HALLPASS_REFRESH_TOKEN_TTL", "2h")]);
        let first = app.person(&world, MINA);
        let mut last = refresh_often(&app, first, 64).pop().unwrap();
        for _ in 0..28 {
            world.advance(HOUR);
            last = app.refresh(&last.refresh).is(200).tokens();
        }
        world.purge();
        // Of the first 65 none, the 80th, those of the last hour, and the current one.
        assert_eq!(world.count("refresh_tokens"), 4);
        app.refresh(&last.refresh).is(200);
    }

    fn tokens_of_the_version_before_go_a_day_after_their_own_time(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        // They do not tell how many came before them.
        let all = refresh_often(&app, tokens, 100);
        world.execute("UPDATE refresh_tokens SET generation = 0");
        forget_replaced(&world);
        assert_eq!(world.count("refresh_tokens"), 101);
        world.advance(6 * DAY);
        let last = app.refresh(&all[100].refresh).is(200).tokens();
        world.advance(2 * DAY + 2 * HOUR);
        world.purge();
        assert_eq!(world.count("refresh_tokens"), 1);
        app.refresh(&last.refresh).is(200);
    }

    fn a_proof_opens_no_door_after_the_log_out_even_when_its_token_is_long_replaced(world) {
        let app = world.app_with(&[("HALLPASS_REFRESH_TOKEN_TTL", "1h")]);
        let token = app.register(MINA);
        let proof = world.proof(MINA, 1);
        let first = app.verify_code(&token, &proof.code).is(200).tokens();
        let mut last = first;
        for _ in 0..25 {
            world.advance(Duration::from_mins(55));
            last = app.refresh(&last.refresh).is(200).tokens();
            world.purge();
        }
        app.revoke(&last.refresh).is(204);
        app.verify_code(&token, &proof.code).refused(401, "one_time_token_invalid");
    }

    fn a_made_up_token_stays_unknown(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        forget_replaced(&world);
        let made_up = format!("hpr_{}", "A".repeat(43));
        app.refresh(&made_up).refused(401, "refresh_token_unknown");
        app.revoke(&made_up).is(204);
        app.refresh(&tokens.refresh).is(200);
    }
}
