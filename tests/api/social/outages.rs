//! A provider that does not work concerns its own paths only.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{MINA, RETURN_TO, Site};
use crate::scripted_provider::Answer;
use crate::support::{PASSWORD, on_both, wait_for};

on_both! {
    fn a_provider_that_is_down_is_unavailable_and_the_same_request_succeeds_later(world) {
        let site = Site::new(&world);
        site.app.person(&world, MINA);
        for down in [
            Answer::Reply(500, "oops".to_owned()),
            Answer::Reply(503, String::new()),
            Answer::Reply(200, "<html>".to_owned()),
            Answer::Redirect("/elsewhere".to_owned()),
            Answer::Huge,
        ] {
            let flow = site.start("test");
            site.provider.on("/token", down);
            let refused = site.finish(&flow).refused(503, "provider_unavailable");
            assert!(refused.header("retry-after").is_some());
            // Another code does not take its place meanwhile.
            site.finish_with(&flow, &[], &json!({"code": "code-2"})).refused(401, "code_invalid");
            site.grant(&site.claims(&flow, "mina"));
            site.finish(&flow).is(200);
        }
        assert_eq!(site.provider.requests("/elsewhere").len(), 0);
    }

    fn a_provider_that_is_slow_is_waited_for_in_bounds(world) {
        let site = Site::new(&world);
        let mut config = Site::config(&world, &site.provider, &[]);
        config.social.timeout = Duration::from_millis(300);
        let site = Site { app: world.app_of(config), ..site };
        for slow in [Answer::Silence, Answer::Trickle] {
            let flow = site.start("test");
            site.provider.on("/token", slow);
            let began = Instant::now();
            site.finish(&flow).refused(503, "provider_unavailable");
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
            site.grant(&site.claims(&flow, "mina"));
            site.finish(&flow).is(200);
        }
        let at = "/.well-known/openid-configuration";
        site.provider.on(at, Answer::Trickle);
        let body = json!({"return_to": RETURN_TO});
        site.app.post("/v1/social/doubtful/start", &body).refused(503, "provider_unavailable");
    }

    fn repetitions_that_wait_for_a_slow_provider_are_bounded(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        let gate = Arc::new(Mutex::new(()));
        let id_token = site.key.sign(&site.claims(&flow, "mina"));
        let of_provider = Arc::clone(&gate);
        site.provider.respond("/token", move |_| {
            drop(of_provider.lock().unwrap());
            Answer::json(&json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token}))
        });
        let closed = gate.lock().unwrap();
        let refused = AtomicUsize::new(0);
        let finish = || {
            let answer = site.finish(&flow);
            refused.fetch_add(usize::from(answer.status == 503), Ordering::SeqCst);
            answer
        };
        let answers = thread::scope(|scope| {
            let mut requests = vec![scope.spawn(finish)];
            wait_for("the call", || (!site.provider.requests("/token").is_empty()).then_some(()));
            requests.extend((0..24).map(|_| scope.spawn(finish)));
            // All others wait. The rest of the service has threads enough.
            wait_for("the refusals", || (refused.load(Ordering::SeqCst) == 8).then_some(()));
            drop(closed);
            requests.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
        });
        let mut sessions: Vec<String> = Vec::new();
        for answer in answers {
            match answer.status {
                503 => assert_eq!(answer.code(), "provider_unavailable"),
                _ => sessions.push(answer.is(200).tokens().session),
            }
        }
        assert_eq!(sessions.len(), 17);
        sessions.dedup();
        assert_eq!(sessions.len(), 1);
    }

    fn a_provider_without_metadata_cannot_be_started_at(world) {
        let site = Site::new(&world);
        site.app.person(&world, MINA);
        let at = "/.well-known/openid-configuration";
        let body = json!({"return_to": RETURN_TO});
        site.provider.on(at, Answer::Reply(502, String::new()));
        site.app.post("/v1/social/test/start", &body).refused(503, "provider_unavailable");
        let mut other = site.provider.metadata();
        other["issuer"] = json!("https://evil.example");
        site.provider.on(at, Answer::json(&other));
        site.app.post("/v1/social/doubtful/start", &body).refused(503, "provider_unavailable");
        // The others go on.
        site.app.get("/readyz").is(200);
        site.app.get("/v1/social/providers").is(200);
        site.app.log_in(MINA, PASSWORD).is(200);
        site.provider.on(at, Answer::json(&site.provider.metadata()));
        world.advance(crate::support::SECOND * 5);
        site.app.post("/v1/social/test/start", &body).is(200);
    }

    fn requests_that_a_provider_does_not_answer_use_up_no_limit(world) {
        let site = Site::with(&world, &[("HALLPASS_LIMITS", "on"), ("HALLPASS_LIMIT_NETWORK", "10/1m")]);
        let at = "/.well-known/openid-configuration";
        site.provider.on(at, Answer::Reply(502, String::new()));
        let id_token = site.key.sign(&json!({
            "iss": site.provider.issuer(), "sub": "mina", "aud": "ios", "nonce": "n",
            "iat": site.now, "exp": site.now + 300,
        }));
        let (native, start) = (json!({"id_token": id_token, "nonce": "n"}), json!({"return_to": RETURN_TO}));
        for _ in 0..15 {
            site.app.post("/v1/social/test/token", &native).refused(503, "provider_unavailable");
            site.app.post("/v1/social/test/start", &start).refused(503, "provider_unavailable");
        }
        site.provider.on(at, Answer::json(&site.provider.metadata()));
        world.advance(crate::support::SECOND * 5);
        let flow = site.start("test");
        site.provider.on("/token", Answer::Reply(503, String::new()));
        for _ in 0..15 {
            site.finish(&flow).refused(503, "provider_unavailable");
        }
        site.grant(&site.claims(&flow, "mina"));
        site.finish(&flow).is(200);
    }

    fn a_provider_that_refuses_the_client_is_not_the_fault_of_the_user(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        let error = json!({"error": "invalid_client", "error_description": "wrong secret"});
        site.provider.on("/token", Answer::Reply(401, error.to_string()));
        let refused = site.finish(&flow).refused(503, "provider_unavailable");
        assert!(!refused.shown().contains("wrong secret"));
        let error = json!({"error": "invalid_grant", "error_description": "call 555"});
        site.provider.on("/token", Answer::Reply(400, error.to_string()));
        let refused = site.finish(&flow).refused(401, "code_invalid");
        assert!(!refused.shown().contains("555"));
    }

    fn providers_on_this_network_are_not_called_unless_that_is_allowed(world) {
        // Any attempt to connect counts: the listener speaks no TLS.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let issuer = format!("https://{}", listener.local_addr().unwrap());
        for (setting, is_called) in [("off", false), ("on", true)] {
            let mut config = world.config(&[
                ("HALLPASS_SOCIAL_OIDC_TEST_ISSUER", issuer.as_str()),
                ("HALLPASS_SOCIAL_OIDC_TEST_CLIENT_ID", "client-1"),
                ("HALLPASS_SOCIAL_RETURN_URLS", RETURN_TO),
                ("HALLPASS_SOCIAL_ALLOW_PRIVATE", setting),
            ]);
            config.social.timeout = Duration::from_millis(300);
            let body = json!({"return_to": RETURN_TO});
            let answer = world.app_of(config).post("/v1/social/test/start", &body);
            answer.refused(503, "provider_unavailable");
            assert_eq!(listener.accept().is_ok(), is_called, "{setting}");
        }
    }
}
