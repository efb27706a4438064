//! Hostile responses of a provider, and hostile users. The rules for id tokens themselves are
//! tested in `tests/social/hostile_tokens.rs`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{CLIENT, MINA, Site, with};
use crate::scripted_provider::{Answer, Key, ScriptedProvider};
use crate::support::on_both;

on_both! {
    fn no_session_comes_of_an_id_token_that_breaks_a_rule(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        let now = world.now();
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", Value::Null),
            ("aud", json!("another-client")),
            ("aud", json!([CLIENT, "another-client"])),
            ("azp", json!("another-client")),
            ("nonce", json!("of-another-flow")),
            ("nonce", Value::Null),
            ("exp", json!(now - 61)),
            ("iat", json!(now + 600)),
            ("sub", Value::Null),
            ("sub", json!(7)),
            ("sub", json!("a\u{0}b")),
        ] {
            let flow = site.start("test");
            site.grant(&with(site.claims(&flow, "mina"), &[(name, value.clone())]));
            site.finish(&flow).refused(401, "code_invalid");
        }
        let flow = site.start("test");
        let claims = site.claims(&flow, "mina").to_string();
        let part = crate::scripted_provider::encode;
        let unsigned = format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims));
        site.provider.grant(&unsigned);
        site.finish(&flow).refused(401, "code_invalid");
        // HMAC, whose secret is the public key of the provider.
        let flow = site.start("test");
        let header = part(r#"{"alg":"HS256","kid":"k"}"#);
        let message = format!("{header}.{}", part(&site.claims(&flow, "mina").to_string()));
        let secret = hmac::Key::new(hmac::HMAC_SHA256, site.key.public.to_string().as_bytes());
        let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes()));
        site.provider.grant(&format!("{message}.{tag}"));
        site.finish(&flow).refused(401, "code_invalid");
        let flow = site.start("test");
        site.provider.grant(&Key::es256("k").sign(&site.claims(&flow, "mina")));
        site.finish(&flow).refused(401, "code_invalid");
        let flow = site.start("test");
        site.provider.on("/token", Answer::json(&json!({"access_token": "at-1"})));
        site.finish(&flow).refused(401, "code_invalid");
        assert_eq!((world.count("users"), world.count("identities")), (1, 0));
        assert_eq!(site.identities(&mina).len(), 0);
    }

    fn equal_subjects_of_two_issuers_are_two_identities(world) {
        let site = Site::new(&world);
        let key = Key::es256("k");
        let other = ScriptedProvider::openid(&[&key]);
        let issuer = other.issuer();
        let both = Site::another(&world, &site.provider, &[
            ("HALLPASS_SOCIAL_OIDC_OTHER_ISSUER", &issuer),
            ("HALLPASS_SOCIAL_OIDC_OTHER_CLIENT_ID", CLIENT),
            ("HALLPASS_SOCIAL_OIDC_OTHER_TRUST_EMAIL", "off"),
        ]);
        let mina = site.log_in("mina").is(200).tokens();
        let both = Site { app: both, ..site };
        let flow = both.start("other");
        let claims = with(both.claims(&flow, "mina"), &[("iss", json!(issuer))]);
        other.grant(&key.sign(&claims));
        // Nothing is verified at this issuer: a mail, and no session of the account.
        both.finish(&flow).is(202);
        assert_eq!(both.identities(&mina).len(), 1);
        // An id token of one issuer is none of the other, also if it claims to be.
        let flow = both.start("other");
        other.grant(&key.sign(&with(both.claims(&flow, "mina"), &[])));
        both.finish(&flow).refused(401, "code_invalid");
        let flow = both.start("test");
        both.provider.grant(&key.sign(&both.claims(&flow, "mina")));
        both.finish(&flow).refused(401, "code_invalid");
    }

    fn id_tokens_with_unknown_keys_cause_few_fetches(world) {
        let site = Site::new(&world);
        site.log_in("mina").is(200);
        let forged = |nonce: &str, audience: &str, number: usize| {
            let header = with(site.key.header(), &[("kid", json!(format!("unknown-{number}")))]);
            let now = world.now();
            let claims = json!({
                "iss": site.provider.issuer(), "sub": "mina", "aud": audience, "iat": now,
                "exp": now + 300, "nonce": nonce,
            });
            site.key.sign_parts(&header, &claims.to_string())
        };
        for number in 0..20 {
            let flow = site.start("test");
            site.provider.grant(&forged(&flow.query["nonce"], CLIENT, number));
            site.finish(&flow).refused(401, "code_invalid");
            let body = json!({"id_token": forged("n", "ios", number), "nonce": "n"});
            site.app.post("/v1/social/test/token", &body).refused(401, "one_time_token_invalid");
        }
        assert_eq!(site.provider.requests("/keys").len(), 1);
        assert_eq!(world.count("sessions"), 1);
    }

    fn an_address_is_trusted_for_the_domains_that_are_set(world) {
        let domains = [("HALLPASS_SOCIAL_OIDC_TEST_TRUST_EMAIL", "Example.COM,bücher.example")];
        let site = Site::with(&world, &domains);
        let mina = site.app.person(&world, MINA);
        for (number, email) in ["MINA@EXAMPLE.com", "Mina@example.com"].into_iter().enumerate() {
            let claims = [("email", json!(email))];
            let linked = site.log_in_with("test", &format!("mina-{number}"), &claims).is(200);
            assert_eq!(linked.tokens().user_id(), mina.user_id());
        }
        for (subject, email) in [("a", "a@xn--bcher-kva.example"), ("b", "b@Bücher.example")] {
            site.log_in_with("test", subject, &[("email", json!(email))]).is(200);
        }
        for email in [
            "mina@sub.example.com", "mina@badexample.com", "mina@example.com.evil.example",
            "mina@example.co", "mina@bucher.example",
            // Cyrillic.
            "mina@ex\u{430}mple.com",
        ] {
            site.log_in_with("test", "thief", &[("email", json!(email))]).is(202);
        }
        for email in [
            "mina@example.com.", "mina@example.com\u{0}", "mina@example.com@evil.example",
            "mina@evil.example,mina@example.com", "<mina@example.com>", "mina@[example.com]",
            "\"mina@example.com\"@evil.example", "ｍina@example.com", "mina@example.com\n",
        ] {
            let faults = site.log_in_with("test", "thief", &[("email", json!(email))]).faults();
            assert_eq!(faults[0].1, "required", "{email}");
        }
        assert_eq!(site.identities(&mina).len(), 2);
    }

    fn an_address_that_looks_like_the_one_of_an_account_is_another_one(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        // Spellings of one address: letter case, and what a domain ignores (UTS #46).
        for (number, email) in ["MINA@EXAMPLE.COM", "mina@\u{200b}example.com"].into_iter().enumerate() {
            let spelled = [("email", json!(email))];
            let linked = site.log_in_with("test", &format!("mina-{number}"), &spelled).is(200);
            assert_eq!(linked.tokens().user_id(), mina.user_id(), "{email}");
        }
        // Cyrillic i, dotless i, accents, a dot, a tag, neighbours of the domain.
        for (number, email) in [
            "m\u{456}na@example.com", "m\u{131}na@example.com", "min\u{e1}@example.com",
            "mi\u{301}na@example.com", "m.ina@example.com", "mina+x@example.com",
            "mina@example.co", "mina@example.com.example", "mina@ex\u{430}mple.com",
            "mina@www.example.com", "mina \u{200b}@example.com", " mina@example.com",
            "mina@example.com ", "mina\u{a0}@example.com",
            "mina\u{ad}@example.com", "mina(comment)@example.com", "mina@example.com\t",
        ].into_iter().enumerate() {
            let answer = site.log_in_with("test", &format!("thief-{number}"), &[("email", json!(email))]);
            let is_other = answer.status == 200 && answer.tokens().user_id() != mina.user_id();
            assert!(is_other || answer.status == 422, "{email:?}: {}", answer.status);
        }
        assert_eq!(site.identities(&mina).len(), 2);
    }

    fn flags_that_are_not_true_verify_no_address(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        for (number, flag) in [
            json!(1), json!("1"), json!("True"), json!("true "), json!([true]), json!({}), json!(0),
            json!("false"), json!("null"), json!("yes"),
        ].into_iter().enumerate() {
            let claims = [("email", json!(MINA)), ("email_verified", flag.clone())];
            let answer = site.log_in_with("test", &format!("thief-{number}"), &claims);
            answer.is(202);
        }
        assert_eq!(site.identities(&mina).len(), 0);
    }

    fn an_id_token_that_never_expires_is_good_once(world) {
        let site = Site::new(&world);
        let claims = json!({
            "iss": site.provider.issuer(), "sub": "mina", "aud": "ios", "iat": world.now(),
            "exp": i64::MAX, "nonce": "n", "email": MINA, "email_verified": true,
        });
        let body = json!({"id_token": site.key.sign(&claims), "nonce": "n"});
        site.app.post("/v1/social/test/token", &body).is(200);
        world.advance(crate::support::DAY * 400);
        world.purge();
        let again = site.app.post("/v1/social/test/token", &body);
        again.refused(401, "one_time_token_invalid");
    }

    fn a_finished_flow_is_over_whatever_comes_back(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        site.grant(&site.claims(&flow, "mina"));
        let first = site.finish(&flow).is(200).tokens();
        // The provider is made to send the browser once more, with another user's code.
        let state = &flow.query["state"];
        let callback = format!("/v1/social/test/callback?state={state}&code=another");
        site.app.get(&callback).is(303);
        site.grant(&site.claims(&flow, "ravi"));
        site.finish_with(&flow, &[], &json!({"code": "another"})).refused(401, "code_invalid");
        let requests = site.provider.requests("/token").len();
        assert_eq!(site.finish(&flow).is(200).tokens().user_id(), first.user_id());
        assert_eq!(site.provider.requests("/token").len(), requests);
        // The token of a flow is no state, and that of another flow no token of this one.
        let (one, other) = (site.start("test"), site.start("test"));
        let swapped = json!({"flow_token": other.token});
        site.finish_with(&one, &[], &swapped).refused(401, "one_time_token_invalid");
        let same = json!({"state": one.token});
        site.finish_with(&one, &[], &same).refused(401, "one_time_token_invalid");
        assert_eq!(world.count("users"), 1);
    }

    fn a_profile_of_another_user_than_the_id_token_is_refused(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        site.grant(&with(site.claims(&flow, "mina"), &[("email", Value::Null)]));
        let profile = json!({"sub": "ravi", "email": "ravi@example.com", "email_verified": true});
        site.provider.on("/userinfo", Answer::json(&profile));
        site.finish(&flow).refused(401, "code_invalid");
        let flow = site.start("test");
        site.grant(&with(site.claims(&flow, "ravi"), &[("email", Value::Null)]));
        let tokens = site.finish(&flow).is(200).tokens();
        assert_eq!(tokens.claims()["email"], "ravi@example.com");
    }

    fn texts_of_a_provider_reach_no_client_and_no_mail_header(world) {
        let site = Site::new(&world);
        for email in ["a@b.example\r\nBcc: x@y.example", "\"x\"@evil", "a@[127.0.0.1]", "a@localhost"] {
            let flow = site.start("test");
            site.grant(&with(site.claims(&flow, "mina"), &[("email", json!(email))]));
            let faults = site.finish(&flow).faults();
            assert_eq!(faults, [("email".to_owned(), "required".to_owned())], "{email}");
        }
    }

    fn malformed_requests_name_their_faults(world) {
        let site = Site::new(&world);
        let faults = site.app.post("/v1/social/test/finish", &json!({"other": 1})).faults();
        let expected = [
            ("code", "required"), ("flow_token", "required"), ("other", "unknown_field"),
            ("state", "required"),
        ];
        assert_eq!(faults, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
        let flow = site.start("test");
        for (fields, field) in [
            (json!({"code": ""}), "code"),
            (json!({"code": "x".repeat(5000)}), "code"),
            (json!({"state": "x".repeat(300)}), "state"),
            (json!({"iss": 7}), "iss"),
            (json!({"email": "nobody"}), "email"),
            (json!({"use_cookie": "yes"}), "use_cookie"),
        ] {
            assert_eq!(site.finish_with(&flow, &[], &fields).faults()[0].0, field);
        }
        // Lengths are counted in code points.
        site.finish_with(&flow, &[], &json!({"state": "é".repeat(255)})).is(401);
    }
}
