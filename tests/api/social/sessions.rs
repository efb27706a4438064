//! The session of a flow: bound to one browser, one code and one result.

use serde_json::json;

use super::{CODE, Flow, RETURN_TO, Site, with};
use crate::support::{SECOND, on_both, shortly_before};

on_both! {
    fn the_same_request_gets_the_same_session_and_another_code_none(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        site.grant(&site.claims(&flow, "mina"));
        let first = site.finish(&flow).is(200).tokens();
        for _ in 0..3 {
            let again = site.finish(&flow).is(200).tokens();
            assert_eq!((again.session, again.refresh), (first.session.clone(), first.refresh.clone()));
        }
        site.finish_with(&flow, &[], &json!({"code": "code-2"})).refused(401, "code_invalid");
        assert_eq!(site.provider.requests("/token").len(), 1, "the code was exchanged twice");
        assert_eq!(world.count("sessions"), 1);
        // After a log-out it opens none.
        site.app.revoke(&first.refresh).is(204);
        site.finish(&flow).refused(401, "one_time_token_invalid");
        world.advance(SECOND * 600);
        site.finish(&flow).refused(401, "one_time_token_expired");
    }

    fn a_request_that_is_repeated_after_a_refresh_stays_in_the_session(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        site.grant(&site.claims(&flow, "mina"));
        let first = site.finish(&flow).is(200).tokens();
        let next = site.app.refresh(&first.refresh).is(200).tokens();
        // Two tabs that finish once more, long after the grace period of the first token.
        world.advance(SECOND * 300);
        let again = [(); 2].map(|()| site.finish(&flow).is(200).tokens());
        for tokens in &again {
            assert_eq!(tokens.session, first.session);
            site.app.me(&tokens.access).is(200);
        }
        // Whichever tab refreshes when, none is logged out.
        let mut tabs = [next.refresh, again[0].refresh.clone(), again[1].refresh.clone()];
        for _ in 0..3 {
            for refresh in &mut tabs {
                world.advance(SECOND * 60);
                let tokens = site.app.refresh(refresh).is(200).tokens();
                assert_eq!(tokens.session, first.session);
                *refresh = tokens.refresh;
            }
        }
        assert_eq!(world.count("sessions"), 1);
        // One log-out ends all of it, and a stolen token too.
        site.app.refresh(&again[1].refresh).refused(401, "refresh_token_reused");
        for refresh in &tabs {
            site.app.refresh(refresh).refused(401, "refresh_token_revoked");
        }
        site.finish(&flow).refused(401, "one_time_token_expired");
    }

    fn a_code_is_useless_without_the_browser_that_started_the_flow(world) {
        let site = Site::new(&world);
        // Log-in CSRF: the response of the attacker's flow, finished in the victim's browser.
        let (attacker, victim) = (site.start("test"), site.start("test"));
        site.grant(&site.claims(&attacker, "attacker"));
        for fields in [
            json!({"state": attacker.query["state"]}),
            json!({"flow_token": attacker.token, "state": victim.query["state"]}),
            json!({"flow_token": "hps_made-up"}),
            json!({"flow_token": attacker.query["state"]}),
            json!({"state": "x"}),
        ] {
            site.finish_with(&victim, &[], &fields).refused(401, "one_time_token_invalid");
        }
        assert_eq!(site.provider.requests("/token").len(), 0);
        // Code injection: the right flow with the code of another. The nonce is the other's.
        site.finish(&victim).refused(401, "code_invalid");
        let request = site.provider.requests("/token").remove(0);
        assert_eq!(request.field("code").as_deref(), Some(CODE));
        assert_eq!(world.count("users"), 0);
        // It is over, even for the right code.
        site.grant(&site.claims(&victim, "victim"));
        site.finish(&victim).refused(401, "code_invalid");
        site.finish_with(&victim, &[], &json!({"code": "code-2"})).refused(401, "code_invalid");
    }

    fn a_flow_is_of_one_provider_and_two_tabs_have_two(world) {
        let site = Site::new(&world);
        let (one, other) = (site.start("test"), site.start("doubtful"));
        let at = |provider: &str| Flow { provider: provider.to_owned(), ..one.clone() };
        site.finish(&at("doubtful")).refused(401, "one_time_token_invalid");
        site.finish(&at("unknown")).refused(404, "not_found");
        site.grant(&site.claims(&other, "ravi"));
        site.finish(&other).is(202);
        site.grant(&site.claims(&one, "mina"));
        site.finish(&one).is(200);
    }

    fn a_flow_must_be_finished_in_ten_minutes(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        world.advance(shortly_before(SECOND * 600));
        let claims = site.claims(&flow, "mina");
        let now = world.now();
        site.grant(&with(claims, &[("iat", json!(now)), ("exp", json!(now + 60))]));
        site.finish(&flow).is(200);
        let flow = site.start("test");
        world.advance(SECOND * 600);
        site.finish(&flow).refused(401, "one_time_token_expired");
        assert_eq!(site.provider.requests("/token").len(), 1);
    }

    fn only_hashes_of_a_flow_are_stored(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        site.grant(&site.claims(&flow, "mina"));
        site.finish(&flow).is(200);
        let request = site.provider.requests("/token").remove(0);
        let verifier = request.field("code_verifier").unwrap();
        for secret in
            [&flow.token, &flow.query["state"], &flow.query["nonce"], &verifier, &"at-1".to_owned()]
        {
            assert_eq!(world.rows_with(secret), [""; 0]);
        }
    }

    fn in_cookie_mode_the_refresh_token_is_in_a_cookie(world) {
        let site = Site::with(&world, &[("HALLPASS_CORS_ORIGINS", "https://app.test")]);
        let page = [("origin", "https://app.test")];
        let evil = [("origin", "https://evil.example")];
        let body = json!({"return_to": RETURN_TO, "use_cookie": true});
        site.app.post_with("/v1/social/test/start", &evil, &body).refused(403, "origin_rejected");
        // As at the start, or as the end says.
        for (at_start, at_end, is_cookie) in [
            (json!(true), json!({}), true),
            (json!(false), json!({"use_cookie": true}), true),
            (json!(true), json!({"use_cookie": false}), false),
        ] {
            let body = json!({"return_to": RETURN_TO, "use_cookie": at_start});
            let flow = site.start_with("test", &page, &body);
            site.grant(&site.claims(&flow, "mina"));
            if is_cookie {
                site.finish_with(&flow, &evil, &at_end).refused(403, "origin_rejected");
            }
            let answer = site.finish_with(&flow, &page, &at_end).is(200);
            assert_eq!(answer.json().get("refresh_token").is_none(), is_cookie);
            assert_eq!(answer.json().get("device_token").is_none(), is_cookie);
            let cookies = answer.headers.get_all("set-cookie").iter().count();
            assert_eq!(cookies > 0, is_cookie);
        }
    }

    fn attempts_are_limited_like_log_ins(world) {
        let site = Site::with(&world, &[("HALLPASS_LIMITS", "on")]);
        let flow = site.start("test");
        for _ in 0..30 {
            let fields = json!({"flow_token": "hps_made-up"});
            site.finish_with(&flow, &[], &fields).refused(401, "one_time_token_invalid");
        }
        site.finish(&flow).refused(429, "rate_limited");
        for _ in 0..29 {
            site.start("test");
        }
        let body = json!({"return_to": RETURN_TO});
        site.app.post("/v1/social/test/start", &body).refused(429, "rate_limited");
        let body = json!({"id_token": "x.y.z", "nonce": "n"});
        site.app.post("/v1/social/test/token", &body).refused(429, "rate_limited");
        world.advance(SECOND * 60);
        site.grant(&site.claims(&flow, "mina"));
        site.finish(&flow).is(200);
    }
}
