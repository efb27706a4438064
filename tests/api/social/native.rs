//! Log-in of native apps with an id token.

use serde_json::{Value, json};

use super::{MINA, Site, with};
use crate::support::{Answer, at_once, on_both};

const NONCE: &str = "nonce-of-the-app";

fn claims(site: &Site, world: &crate::support::World, subject: &str) -> Value {
    let now = world.now();
    json!({
        "iss": site.provider.issuer(), "sub": subject, "aud": "ios", "iat": now, "exp": now + 300,
        "nonce": NONCE, "email": format!("{subject}@example.com"), "email_verified": true,
    })
}

fn present(site: &Site, token: &str, nonce: &str) -> Answer {
    site.app.post("/v1/social/test/token", &json!({"id_token": token, "nonce": nonce}))
}

on_both! {
    fn an_id_token_of_an_app_is_good_for_one_log_in(world) {
        let site = Site::new(&world);
        let token = site.key.sign(&claims(&site, &world, "mina"));
        let tokens = present(&site, &token, NONCE).is(200).tokens();
        assert_eq!(tokens.claims()["amr"], json!(["fed"]));
        present(&site, &token, NONCE).refused(401, "one_time_token_invalid");
        assert_eq!(world.count("sessions"), 1);
        // The browser's flow leads to the same account.
        assert_eq!(site.log_in("mina").is(200).tokens().user_id(), tokens.user_id());
        // It is remembered for as long as it could be presented.
        world.advance(crate::support::SECOND * 359);
        world.purge();
        present(&site, &token, NONCE).refused(401, "one_time_token_invalid");
        world.advance(crate::support::HOUR * 2);
        world.purge();
        present(&site, &token, NONCE).refused(401, "one_time_token_invalid");
        assert_eq!(world.count("sessions"), 2);
    }

    fn of_many_who_present_one_id_token_one_gets_a_session(world) {
        let site = Site::new(&world);
        site.log_in("mina").is(200);
        let token = site.key.sign(&claims(&site, &world, "mina"));
        let answers = at_once(8, |_| present(&site, &token, NONCE));
        assert_eq!(answers.iter().filter(|it| it.status == 200).count(), 1);
        for refused in answers.into_iter().filter(|it| it.status != 200) {
            refused.refused(401, "one_time_token_invalid");
        }
        assert_eq!(world.count("sessions"), 2);
    }

    fn an_id_token_must_be_for_an_app_and_have_its_nonce(world) {
        let site = Site::new(&world);
        let good = claims(&site, &world, "mina");
        for changes in [
            ("aud", json!("client-1")), ("aud", json!(["ios", "other"])), ("azp", json!("other")),
            ("nonce", json!("other")), ("nonce", Value::Null), ("iss", json!("https://evil.example")),
            ("exp", json!(world.now() - 120)), ("sub", json!("")),
        ] {
            let token = site.key.sign(&with(good.clone(), std::slice::from_ref(&changes)));
            present(&site, &token, NONCE).refused(401, "one_time_token_invalid");
        }
        for nonsense in ["x", "x.y", "x.y.z", "..", &"x".repeat(10_000)] {
            present(&site, nonsense, NONCE).refused(401, "one_time_token_invalid");
        }
        let token = site.key.sign(&good);
        present(&site, &token, "other").refused(401, "one_time_token_invalid");
        let at_other = json!({"id_token": token, "nonce": NONCE});
        site.app.post("/v1/social/doubtful/token", &at_other).refused(404, "not_found");
        assert_eq!(world.count("users"), 0);
        present(&site, &token, NONCE).is(200);
    }

    fn a_library_may_hash_the_nonce_of_an_app_on_its_way_to_the_provider(world) {
        // printf nonce-of-the-app | sha256sum
        const HASHED: &str = "4b7dde37eb1f5c0fe0c410e57e516cefb7c07ea7d7d38524fe2df4a803d75283";
        let site = Site::new(&world);
        let token = |subject: &str, nonce: &str| {
            let claims = with(claims(&site, &world, subject), &[("nonce", json!(nonce))]);
            site.key.sign(&claims)
        };
        let right = token("mina", HASHED);
        for other in ["other", &HASHED.to_uppercase(), &HASHED[1..]] {
            present(&site, &right, other).refused(401, "one_time_token_invalid");
        }
        present(&site, &right, NONCE).is(200);
        present(&site, &right, HASHED).refused(401, "one_time_token_invalid");
        // The app itself can have hashed it.
        present(&site, &token("ravi", HASHED), HASHED).is(200);
        // A hash as its own hash would be a nonce that no app made.
        present(&site, &token("noor", NONCE), HASHED).refused(401, "one_time_token_invalid");
        // A browser's flow has its nonce as it is.
        let flow = site.start("test");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, flow.query["nonce"].as_bytes());
        let hashed = digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        site.grant(&with(site.claims(&flow, "mina"), &[("nonce", json!(hashed))]));
        site.finish(&flow).refused(401, "code_invalid");
    }

    fn an_id_token_without_a_verified_address_leads_to_a_verification(world) {
        let site = Site::new(&world);
        let unverified = with(claims(&site, &world, "mina"), &[("email_verified", json!(false))]);
        let token = site.key.sign(&unverified);
        let pending = present(&site, &token, NONCE).is(202).text("registration_token");
        present(&site, &token, NONCE).refused(401, "one_time_token_invalid");
        let code = world.proof(MINA, 1).code;
        let tokens = site.app.verify_code(&pending, &code).is(200).tokens();
        assert_eq!(site.identities(&tokens).len(), 1);
    }
}
