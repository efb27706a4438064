//! Tokens that are wrong in one respect and right in every other.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::verifiers::examples::{Example, for_each_language, refused};
use crate::verifiers::issuer::{Issuer, Key, message, now};

const PATIENT: Duration = Duration::from_secs(60);
const MAX_STALENESS: Duration = Duration::from_secs(4);
/// The examples ask once a second; the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(8);

/// Waits until the example says this about the token.
fn wait_for(example: &Example, token: &str, verdict: &(u16, String), limit: Duration) {
    let started = Instant::now();
    loop {
        let said = example.judge(token);
        if said == *verdict {
            return;
        }
        assert!(started.elapsed() < limit, "{said:?}, not {verdict:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

fn without(mut object: Value, field: &str) -> Value {
    object.as_object_mut().unwrap().remove(field).expect("something to remove");
    object
}

for_each_language! {
    fn only_the_right_header_is_taken(language) {
        let key = Key::new("first");
        let issuer = Issuer::start(&key);
        let Some(example) = language.start(&issuer.url, PATIENT) else { return };
        let (header, claims) = (key.header(), issuer.claims());
        let good = key.sign(&header, &claims);
        assert_eq!(example.judge_when_ready(&good), (200, "ada".to_owned()));
        let hostile = [
            with(header.clone(), "typ", json!("JWT")),
            with(header.clone(), "typ", json!("rt+jwt")),
            without(header.clone(), "typ"),
            with(header.clone(), "alg", json!("ES384")),
            with(header.clone(), "alg", json!("HS256")),
            with(header.clone(), "alg", json!("none")),
            with(header.clone(), "kid", json!("second")),
        ];
        for header in hostile {
            let token = key.sign(&header, &claims);
            assert_eq!(example.judge(&token), refused("token_invalid"), "{header}");
        }
        // No signature, under any spelling of none; another key's; none at all.
        for alg in ["none", "None", "NONE", "nOnE"] {
            let token = message(&with(header.clone(), "alg", json!(alg)), &claims) + ".";
            assert_eq!(example.judge(&token), refused("token_invalid"), "{alg}");
        }
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let other = Key::new("first").sign(&header, &claims);
        let changed = message(&header, &with(claims, "user_id", json!(1)));
        for token in [
            other,
            format!("{changed}.{signature}"),
            format!("{signed}."),
            signed.to_owned(),
            "nonsense".to_owned(),
            "a.b.c".to_owned(),
        ] {
            assert_eq!(example.judge(&token), refused("token_invalid"), "{token}");
        }
        assert_eq!(example.judge(&good).0, 200);
    }

    fn every_claim_is_checked(language) {
        let key = Key::new("first");
        let issuer = Issuer::start(&key);
        let Some(example) = language.start(&issuer.url, PATIENT) else { return };
        let claims = issuer.claims();
        assert_eq!(example.judge_when_ready(&key.sign(&key.header(), &claims)).0, 200);
        let mut hostile: Vec<Value> = ["iss", "aud", "sub", "iat", "exp", "jti", "sid", "user_id"]
            .map(|name| without(claims.clone(), name))
            .into();
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!(format!("{}/", issuer.url))),
            ("aud", json!("https://evil.example")),
            ("sub", json!(7)),
            ("sid", json!(["a session"])),
            ("sid", json!(null)),
            ("jti", json!(1)),
            ("user_id", json!("7")),
            ("user_id", json!(7.5)),
            ("exp", json!("never")),
            ("iat", json!(now() + 60)),
        ] {
            hostile.push(with(claims.clone(), name, value));
        }
        for claims in hostile {
            let verdict = example.judge(&key.sign(&key.header(), &claims));
            assert_eq!(verdict, refused("token_invalid"), "{claims}");
        }
        let ended = |ago: i64| {
            let claims = with(claims.clone(), "iat", json!(now() - 300));
            key.sign(&key.header(), &with(claims, "exp", json!(now() - ago)))
        };
        assert_eq!(example.judge(&ended(2)).0, 200, "clocks may differ a little");
        assert_eq!(example.judge(&ended(8)), refused("token_expired"));
        let ahead = with(claims.clone(), "iat", json!(now() + 3));
        assert_eq!(example.judge(&key.sign(&key.header(), &ahead)).0, 200, "here as well");
    }

    fn sessions_and_accounts_that_ended_are_noticed_soon(language) {
        let key = Key::new("first");
        let issuer = Issuer::start(&key);
        let Some(example) = language.start(&issuer.url, PATIENT) else { return };
        let claims = issuer.claims();
        let token = key.sign(&key.header(), &claims);
        assert_eq!(example.judge_when_ready(&token).0, 200);
        let iat = claims["iat"].as_i64().unwrap();
        issuer.revoke(&json!([{"session_id": "a session", "revoked_at": iat}]), &json!([]));
        wait_for(&example, &token, &refused("token_revoked"), SOON);
        issuer.revoke(&json!([]), &json!([{"user_id": 8, "revoked_at": iat}]));
        wait_for(&example, &token, &(200, "ada".to_owned()), SOON);
        issuer.revoke(&json!([]), &json!([{"user_id": 7, "revoked_at": iat}]));
        wait_for(&example, &token, &refused("token_revoked"), SOON);
        // One issued afterwards counts: the account was enabled again.
        let later = key.sign(&key.header(), &with(claims, "iat", json!(iat + 1)));
        assert_eq!(example.judge(&later).0, 200);
    }

    fn a_poll_says_what_it_knows_already(language) {
        let key = Key::new("first");
        let issuer = Issuer::start(&key);
        let Some(example) = language.start(&issuer.url, MAX_STALENESS) else { return };
        let token = key.sign(&key.header(), &issuer.claims());
        assert_eq!(example.judge_when_ready(&token).0, 200);
        let started = Instant::now();
        // Longer than it believes an old list: 304 makes it new.
        while started.elapsed() < 2 * MAX_STALENESS {
            thread::sleep(Duration::from_millis(200));
            assert_eq!(example.judge(&token).0, 200);
        }
        assert!(issuer.unchanged_polls() >= 3, "{}", issuer.unchanged_polls());
    }

    fn without_revocations_it_does_not_guess(language) {
        let key = Key::new("first");
        let issuer = Issuer::start(&key);
        issuer.lose_revocations();
        let Some(example) = language.start(&issuer.url, MAX_STALENESS) else { return };
        let token = key.sign(&key.header(), &issuer.claims());
        thread::sleep(Duration::from_secs(2));
        assert_eq!(example.judge(&token), refused("unavailable"), "never asked with success");
        issuer.revoke(&json!([{"session_id": "another", "revoked_at": 0}]), &json!([]));
        wait_for(&example, &token, &(200, "ada".to_owned()), SOON);
        issuer.lose_revocations();
        assert_eq!(example.judge(&token).0, 200, "it knew a moment ago");
        wait_for(&example, &token, &refused("unavailable"), MAX_STALENESS + SOON);
        // What it has heard of stays true.
        let ended = with(issuer.claims(), "sid", json!("another"));
        assert_eq!(example.judge(&key.sign(&key.header(), &ended)), refused("token_revoked"));
        assert_eq!(example.judge("nonsense"), refused("token_invalid"));
        issuer.revoke(&json!([]), &json!([]));
        wait_for(&example, &token, &(200, "ada".to_owned()), SOON);
    }

    fn new_keys_are_fetched_but_not_for_every_request(language) {
        let (first, second) = (Key::new("first"), Key::new("second"));
        let issuer = Issuer::start(&first);
        let Some(example) = language.start(&issuer.url, PATIENT) else { return };
        let claims = issuer.claims();
        assert_eq!(example.judge_when_ready(&first.sign(&first.header(), &claims)).0, 200);
        assert_eq!(issuer.key_fetches(), 1);
        for number in 0..20 {
            let made_up = Key::new(&format!("made up {number}"));
            let token = made_up.sign(&made_up.header(), &claims);
            assert_eq!(example.judge(&token), refused("token_invalid"));
        }
        assert!(issuer.key_fetches() <= 2, "{} fetches", issuer.key_fetches());
        issuer.publish(&[&second, &first]);
        let token = second.sign(&second.header(), &claims);
        wait_for(&example, &token, &(200, "ada".to_owned()), Duration::from_secs(15));
        assert!(issuer.key_fetches() <= 3, "{} fetches", issuer.key_fetches());
    }
}
