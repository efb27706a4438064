//! Verification modes in which an account exists before its address is verified.

use serde_json::json;

use crate::support::{DAY, PASSWORD, on_both, proof_in};

const MINA: &str = "mina@example.com";
const OPTIONAL: [(&str, &str); 1] = [("HALLPASS_EMAIL_VERIFICATION", "optional")];
const NONE: [(&str, &str); 1] = [("HALLPASS_EMAIL_VERIFICATION", "none")];

on_both! {
    fn an_optional_proof_logs_in_at_once_and_verifies_later(world) {
        let app = world.app_with(&OPTIONAL);
        let answer = app.post("/v1/register", &json!({"email": MINA, "password": PASSWORD}));
        let answer = answer.is(201);
        let first = answer.tokens();
        let claims = app.token_verify(&first.access).is(200).json();
        assert_eq!(claims["email_verified"], false);
        let proof = world.proof(MINA, 1);
        let verified = app.verify_code(&answer.text("registration_token"), &proof.code).is(200);
        let second = verified.tokens();
        assert_eq!(app.token_verify(&second.access).json()["email_verified"], true);
        assert_eq!(app.me(&first.access).json()["email_verified"], true);
        // The next token of the first session tells as well.
        let next = app.refresh(&first.refresh).is(200).tokens();
        assert_eq!(app.token_verify(&next.access).json()["email_verified"], true);
        assert_eq!(world.count("users"), 1);
    }

    fn a_proof_does_not_open_an_account_that_was_switched_off(world) {
        let app = world.app_with(&OPTIONAL);
        let answer = app.post("/v1/register", &json!({"email": MINA, "password": PASSWORD}));
        let token = answer.is(201).text("registration_token");
        let code = world.proof(MINA, 1).code;
        world.execute("UPDATE users SET is_active = false");
        app.verify_code(&token, &code).refused(401, "one_time_token_invalid");
        world.execute("UPDATE users SET is_active = true");
        app.verify_code(&token, &code).is(200);
    }

    fn an_account_can_be_verified_after_its_registration_has_expired(world) {
        let app = world.app_with(&OPTIONAL);
        app.post("/v1/register", &json!({"email": MINA, "password": PASSWORD})).is(201);
        world.proof(MINA, 1);
        world.advance(2 * DAY);
        app.resend(&world, MINA);
        let proof = world.proof(MINA, 2);
        let verified = app.verify_password(&proof.link_token, PASSWORD).is(200).tokens();
        assert_eq!(app.me(&verified.access).json()["email_verified"], true);
    }

    fn without_any_proof_no_mail_is_sent(world) {
        let app = world.app_with(&NONE);
        let answer = app.post("/v1/register", &json!({"email": MINA, "password": PASSWORD}));
        let answer = answer.is(201);
        assert!(answer.json().get("registration_token").is_none());
        app.me(&answer.tokens().access).is(200);
        assert_eq!(world.count("outbox"), 0);
    }

    fn a_known_address_is_refused_where_it_cannot_be_hidden(world) {
        for settings in [OPTIONAL, NONE] {
            let email = format!("{}@example.com", settings[0].1);
            let app = world.app_with(&settings);
            app.post("/v1/register", &json!({"email": email, "password": PASSWORD})).is(201);
            let again = json!({"email": email.to_uppercase(), "password": PASSWORD});
            app.post("/v1/register", &again).refused(409, "email_taken");
            let another = json!({"email": email, "username": "another", "password": PASSWORD});
            app.post("/v1/register", &another).refused(409, "email_taken");
        }
        assert_eq!(world.count("users"), 2);
    }

    fn a_registration_from_before_the_policy_was_relaxed_stays_good(world) {
        let strict = world.app();
        let token = strict.register(MINA);
        let code = world.proof(MINA, 1).code;
        drop(strict);
        let app = world.app_with(&OPTIONAL);
        let answer = app.post("/v1/register", &json!({"email": MINA, "password": "of the account"}));
        let newer = world.mails_to(MINA, 2).iter().filter_map(proof_in).next_back().unwrap();
        // An account has the address by now, unverified, which the older registration must not
        // open: the user who verifies the address gets it.
        let verified = app.verify_code(&token, &code).is(200).tokens();
        let answer = answer.is(201);
        assert_ne!(verified.user_id(), answer.tokens().user_id());
        app.log_in(MINA, PASSWORD).is(200);
        assert_eq!(app.verify_code(&answer.text("registration_token"), &newer.code).status, 401);
    }
}
