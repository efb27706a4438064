//! Refresh and log-out.

use std::time::Duration;

use hallpass::config::{Config, Timing};

use crate::support::{DAY, HOUR, PASSWORD, SECOND, on_both, shortly_before};

const MINA: &str = "mina@example.com";

on_both! {
    fn a_refresh_token_is_exchanged_for_the_next_pair_of_the_same_session(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        assert!(first.refresh.starts_with("hpr_"));
        let answer = app.refresh(&first.refresh).is(200);
        let second = answer.tokens();
        assert_eq!(answer.text("token_type"), "Bearer");
        assert_eq!(answer.json()["expires_in"], 300);
        assert_eq!(answer.json()["refresh_expires_in"], 7 * 86_400);
        assert_eq!(first.session, second.session);
        assert_ne!(first.refresh, second.refresh);
        assert_ne!(first.access, second.access);
        app.me(&first.access).is(200);
        app.me(&second.access).is(200);
    }

    fn two_tabs_get_the_same_successor_for_thirty_seconds(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let second = app.refresh(&first.refresh).is(200).tokens();
        for wait in [Duration::ZERO, SECOND, SECOND * 29] {
            world.advance(wait);
            let again = app.refresh(&first.refresh).is(200).tokens();
            assert_eq!((&again.refresh, &again.session), (&second.refresh, &second.session));
            app.me(&again.access).is(200);
        }
        // A repetition takes nothing from the one who came first.
        app.refresh(&second.refresh).is(200);
    }

    fn a_repeated_answer_tells_the_life_that_the_successor_really_has(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        app.refresh(&first.refresh).is(200);
        world.advance(SECOND * 20);
        let again = app.refresh(&first.refresh).is(200);
        assert_eq!(again.json()["refresh_expires_in"], 7 * 86_400 - 20);
    }

    fn a_replay_after_the_grace_ends_the_session_and_tells_the_owner(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let other = app.log_in(MINA, PASSWORD).is(200).tokens();
        let second = app.refresh(&first.refresh).is(200).tokens();
        world.advance(SECOND * 31);
        app.token_verify(&second.access).is(200);
        app.refresh(&first.refresh).refused(401, "refresh_token_reused");
        app.token_verify(&second.access).refused(401, "token_revoked");
        app.me(&first.access).refused(401, "token_revoked");
        app.refresh(&second.refresh).refused(401, "refresh_token_revoked");
        app.refresh(&first.refresh).refused(401, "refresh_token_revoked");
        let notice = world.mails_to(MINA, 2).swap_remove(1);
        assert!(notice.subject.contains("ecurity notice"), "{}", notice.subject);
        // The owner's other sessions go on, and one theft is one mail.
        app.me(&other.access).is(200);
        app.refresh(&other.refresh).is(200);
        assert_eq!(world.count("outbox WHERE kind <> 'registration'"), 1);
    }

    fn a_token_whose_successor_is_in_use_is_superseded_and_the_session_continues(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let second = app.refresh(&first.refresh).is(200).tokens();
        let third = app.refresh(&second.refresh).is(200).tokens();
        app.refresh(&first.refresh).refused(401, "refresh_token_superseded");
        app.me(&third.access).is(200);
        app.refresh(&third.refresh).is(200);
    }

    fn without_a_grace_every_replay_is_theft(world) {
        let app = world.app_with(&[("HALLPASS_REFRESH_GRACE", "0s")]);
        let first = app.person(&world, MINA);
        app.refresh(&first.refresh).is(200);
        world.advance(SECOND);
        app.refresh(&first.refresh).refused(401, "refresh_token_reused");
    }

    fn an_unused_refresh_token_lasts_seven_days_to_the_second(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let late = app.log_in(MINA, PASSWORD).is(200).tokens();
        world.advance(shortly_before(7 * DAY));
        app.refresh(&tokens.refresh).is(200);
        world.advance(SECOND);
        app.refresh(&late.refresh).refused(401, "refresh_token_expired");
        world.advance(SECOND);
        app.refresh(&late.refresh).refused(401, "refresh_token_expired");
    }

    fn a_session_in_regular_use_lasts_thirty_days_to_the_second(world) {
        let app = world.app();
        let mut tokens = app.person(&world, MINA);
        for _ in 0..5 {
            world.advance(5 * DAY);
            tokens = app.refresh(&tokens.refresh).is(200).tokens();
        }
        world.advance(shortly_before(shortly_before(5 * DAY)));
        let last = app.refresh(&tokens.refresh).is(200);
        assert_eq!(last.json()["refresh_expires_in"], 2);
        world.advance(SECOND);
        let last = app.refresh(&last.tokens().refresh).is(200);
        assert_eq!(last.json()["refresh_expires_in"], 1);
        world.advance(SECOND);
        app.refresh(&last.tokens().refresh).refused(401, "refresh_token_expired");
    }

    fn an_unknown_token_has_its_own_code(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        for token in ["", "hpr_", "hpr_nonsense", &tokens.access, &tokens.refresh[4..]] {
            app.refresh(token).refused(401, "refresh_token_unknown");
        }
    }

    fn logging_out_ends_the_session_at_once(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.me(&tokens.access).is(200);
        app.revoke(&tokens.refresh).is(204);
        app.me(&tokens.access).refused(401, "token_revoked");
        app.token_verify(&tokens.access).refused(401, "token_revoked");
        app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
        app.revoke(&tokens.refresh).is(204);
        app.revoke("hpr_unknown").is(204);
        app.revoke("").is(204);
    }

    fn a_replaced_token_logs_its_session_out_too(world) {
        let app = world.app();
        let first = app.person(&world, MINA);
        let second = app.refresh(&first.refresh).is(200).tokens();
        app.revoke(&first.refresh).is(204);
        app.me(&second.access).refused(401, "token_revoked");
        app.refresh(&second.refresh).refused(401, "refresh_token_revoked");
    }

    fn a_log_out_outlives_a_restart(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let other = app.log_in(MINA, PASSWORD).is(200).tokens();
        app.revoke(&tokens.refresh).is(204);
        drop(app);
        let app = world.app();
        app.token_verify(&tokens.access).refused(401, "token_revoked");
        app.me(&other.access).is(200);
        app.refresh(&other.refresh).is(200);
    }

    fn what_was_forgotten_long_after_its_end_is_unknown(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.advance(30 * DAY + HOUR);
        app.refresh(&tokens.refresh).refused(401, "refresh_token_expired");
        world.advance(30 * DAY);
        drop(app);
        // A new instance forgets at its start.
        let config = world.config(&[]);
        let timing = Timing { first_purge: Duration::ZERO, ..config.timing };
        let app = world.app_of(Config { timing, ..config });
        let code = crate::support::wait_for("the purge", || {
            Some(app.refresh(&tokens.refresh).code()).filter(|it| it != "refresh_token_expired")
        });
        assert_eq!(code, "refresh_token_unknown");
        assert_eq!(world.count("refresh_tokens"), 0);
    }
}
