//! Hostile responses of a provider, and hostile users. The rules for id tokens themselves are
//! tested in `tests/social/hostile_tokens.rs`.

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
    }
}
