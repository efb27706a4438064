//! The account that an identity leads to.

use serde_json::{Value, json};

use super::{MINA, Site, with};
use crate::support::account::VERIFY;
use crate::support::{Answer, PASSWORD, World, on_both};

fn no_users(world: &World) -> bool {
    world.count("users") == 0
}

on_both! {
    fn a_verified_address_makes_an_account_and_the_identity_finds_it_again(world) {
        let site = Site::new(&world);
        let first = site.log_in("mina").is(200).tokens();
        let claims = first.claims();
        assert_eq!(claims["amr"], json!(["fed"]));
        assert_eq!((&claims["email"], &claims["email_verified"]), (&json!(MINA), &json!(true)));
        assert_eq!(claims["username"], MINA);
        // An address that is changed at the provider does not change ours, nor lead elsewhere.
        let changed = [("email", json!("new@example.com"))];
        let again = site.log_in_with("test", "mina", &changed).is(200).tokens();
        assert_eq!(again.user_id(), first.user_id());
        assert_ne!(again.session, first.session);
        let me = site.app.me(&again.access).is(200).json();
        assert_eq!(me["email"], MINA);
        let identities = site.identities(&again);
        assert_eq!(identities.len(), 1);
        assert_eq!(identities[0]["email"], "new@example.com");
        assert_eq!(identities[0]["subject"], "mina");
        assert_eq!(identities[0]["issuer"], site.provider.issuer());
        assert_eq!(identities[0]["provider"], "test");
        // No password opens it.
        for password in ["", "!", PASSWORD] {
            let body = json!({"username": MINA, "password": password});
            assert_ne!(site.app.post("/v1/token-auth", &body).status, 200, "{password}");
        }
        world.settle_mail();
        assert!(world.mails_so_far(MINA).iter().all(|mail| !mail.subject.contains("linked")));
    }

    fn an_identity_is_issuer_and_subject_whatever_its_name_and_address(world) {
        let site = Site::new(&world);
        let mina = site.log_in("mina").is(200).tokens();
        // The address of another account is one, not the name.
        let changes = [("email", json!("ravi@example.com")), ("preferred_username", json!("mina"))];
        let ravi = site.log_in_with("test", "ravi-1", &changes).is(200).tokens();
        assert_ne!(mina.user_id(), ravi.user_id());
        let cases = [("email", json!(MINA)), ("sub", json!("MINA"))];
        // The same address by another subject: it leads to the account that verified the address.
        let same = site.log_in_with("test", "MINA", &cases).is(200).tokens();
        assert_eq!(same.user_id(), mina.user_id());
        assert_eq!(site.identities(&same).len(), 2);
    }

    fn an_address_that_is_not_verified_is_verified_by_mail_first(world) {
        let site = Site::new(&world);
        for (provider, changes) in [
            ("doubtful", vec![]),
            ("test", vec![("email_verified", json!(false))]),
            ("test", vec![("email_verified", json!("false"))]),
            ("test", vec![("email_verified", Value::Null)]),
        ] {
            let pending = site.log_in_with(provider, "mina", &changes).is(202).json();
            assert_eq!(pending["status"], "verification_sent");
            assert_eq!(pending["expires_in"], 86_400);
            assert!(no_users(&world), "{provider} {changes:?}");
        }
        let flow = site.start("doubtful");
        site.grant(&site.claims(&flow, "mina"));
        let pending = site.finish(&flow).is(202);
        // The same request again: the same registration.
        assert_eq!(site.finish(&flow).is(202).text("registration_token"), pending.text("registration_token"));
        let mail = world.mails_to(MINA, 5).swap_remove(4);
        let proof = crate::support::proof_in(&mail).unwrap();
        // The link alone does not open the account with an identity that is not the reader's.
        let body = json!({"token": proof.link_token});
        assert_ne!(site.app.post("/v1/verify-email", &body).status, 200);
        let token = pending.text("registration_token");
        let verified = site.app.verify_code(&token, &proof.code).is(200).tokens();
        assert_eq!(verified.claims()["email"], MINA);
        let identities = site.identities(&verified);
        assert_eq!((identities.len(), &identities[0]["subject"]), (1, &json!("mina")));
        // From now on the identity is enough.
        let again = site.log_in_at("doubtful", "mina").is(200).tokens();
        assert_eq!(again.user_id(), verified.user_id());
    }

    fn the_link_of_a_mail_does_not_open_an_account_with_the_identity_of_another(world) {
        let site = Site::with(&world, &[("HALLPASS_VERIFY_EMAIL_PROOF", "link")]);
        let pending = site.log_in_at("doubtful", "mina").is(202).text("registration_token");
        let proof = world.proof_about(MINA, VERIFY, 1);
        let body = json!({"token": proof.link_token});
        site.app.post("/v1/verify-email", &body).refused(403, "proof_required");
        assert!(no_users(&world));
        site.app.verify_link(&proof.link_token, &pending).is(200);
    }

    fn the_link_of_a_mail_does_not_verify_an_account_with_an_identity(world) {
        let settings =
            [("HALLPASS_EMAIL_VERIFICATION", "optional"), ("HALLPASS_VERIFY_EMAIL_PROOF", "link")];
        let site = Site::with(&world, &settings);
        let registered = |email: &str| {
            let answer = site.app.post("/v1/register", &json!({"email": email, "password": PASSWORD}));
            let token = answer.text("registration_token");
            (answer.is(201).tokens(), token, world.proof_about(email, VERIFY, 1).link_token)
        };
        let verify = |link: &str| site.app.post("/v1/verify-email", &json!({"token": link}));
        let (_, _, link) = registered("ravi@example.com");
        verify(&link).is(200);
        // The account of a thief, with the address of another and an identity of the thief.
        let (thief, _, link) = registered(MINA);
        site.link(&thief, "thief").is(200);
        verify(&link).refused(403, "proof_required");
        site.app.ask_reset(MINA).is(202);
        let reset = world.link_about(MINA, crate::support::account::RESET, 1);
        site.app.reset_by_link(&reset, "another plum tree").is(204);
        assert_ne!(site.log_in("thief").is(200).tokens().user_id(), thief.user_id());
        // The own browser shows whose account it is.
        let (noor, token, link) = registered("noor@example.com");
        site.link(&noor, "noor").is(200);
        site.app.verify_link(&link, &token).is(200);
        assert_eq!(site.identities(&noor).len(), 1);
    }

    fn a_verified_address_is_linked_to_the_account_that_has_verified_it(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        let linked = site.log_in("mina").is(200).tokens();
        assert_eq!(linked.user_id(), mina.user_id());
        world.mail_about(MINA, "was linked to your", 1);
        // The password and the sessions stay.
        site.app.log_in(MINA, PASSWORD).is(200);
        site.app.refresh(&mina.refresh).is(200);
    }

    fn an_address_is_not_linked_because_a_provider_says_so(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        world.settle_mail();
        for (provider, changes) in [
            ("doubtful", vec![]),
            ("test", vec![("email_verified", json!(false))]),
            ("test", vec![("email_verified", json!("false"))]),
        ] {
            // The same as for an unknown address.
            let known = site.log_in_with(provider, "thief", &with_email(MINA, &changes)).is(202);
            let unknown = with_email("unknown@example.com", &changes);
            let unknown = site.log_in_with(provider, "thief", &unknown).is(202);
            let fields = |answer: &Answer| -> Vec<String> {
                answer.json().as_object().unwrap().keys().cloned().collect()
            };
            assert_eq!(fields(&known), fields(&unknown));
            assert_eq!(known.body.len(), unknown.body.len());
        }
        assert_eq!(site.identities(&mina).len(), 0);
        world.settle_mail();
        let mails = world.mails_so_far(MINA);
        assert!(mails.iter().skip(1).all(|mail| crate::support::proof_in(mail).is_none()));
    }

    fn an_unverified_registration_of_the_address_is_discarded_with_its_password(world) {
        let site = Site::new(&world);
        let thief = site.app.register(MINA);
        let proof = world.proof(MINA, 1);
        let mina = site.log_in("mina").is(200).tokens();
        site.app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        assert_ne!(site.app.verify_code(&thief, &proof.code).status, 200);
        assert_eq!((world.count("users"), world.count("registration_details")), (1, 0));
        assert_eq!(mina.claims()["email"], MINA);
    }

    fn an_account_with_the_address_unverified_loses_it_and_is_not_linked(world) {
        let site = Site::with(&world, &[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let body = json!({"email": MINA, "password": PASSWORD, "username": "thief"});
        let thief = site.app.post("/v1/register", &body).is(201).tokens();
        let mina = site.log_in("mina").is(200).tokens();
        assert_ne!(mina.user_id(), thief.user_id());
        assert_eq!(mina.claims()["email"], MINA);
        let stored = world.text("SELECT coalesce(email, '-') AS text FROM users WHERE username = 'thief'");
        assert_eq!(stored, "-");
    }

    fn where_addresses_need_no_verification_a_known_one_is_a_conflict(world) {
        for (policy, sends) in [("optional", true), ("none", false)] {
            let site = Site::with(&world, &[("HALLPASS_EMAIL_VERIFICATION", policy)]);
            let email = format!("{policy}@example.com");
            site.app.post("/v1/register", &json!({"email": email, "password": PASSWORD})).is(201);
            site.log_in_at("doubtful", policy).refused(409, "identity_conflict");
            let new = format!("new-{policy}");
            let flow = site.start("doubtful");
            site.grant(&site.claims(&flow, &new));
            let first = site.finish(&flow).is(200);
            // The response may have been lost: the same request again gets the same token.
            let answer = site.finish(&flow).is(200);
            assert_eq!(answer.json().get("registration_token").is_some(), sends);
            let token_of = |answer: &Answer| answer.json().get("registration_token").cloned();
            assert_eq!(token_of(&answer), token_of(&first));
            let tokens = answer.tokens();
            assert_eq!(tokens.claims()["email_verified"], false);
            assert_eq!(site.identities(&tokens).len(), 1);
            if sends {
                let code = world.proof(&format!("{new}@example.com"), 1).code;
                let token = answer.text("registration_token");
                let verified = site.app.verify_code(&token, &code).is(200).tokens();
                assert_eq!(verified.user_id(), tokens.user_id());
                assert_eq!(site.identities(&verified).len(), 1);
            }
        }
    }

    fn an_address_that_is_only_a_user_name_is_no_conflict(world) {
        let site = Site::with(&world, &[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let body = json!({"email": "old@example.com", "password": PASSWORD});
        site.app.post("/v1/register", &body).is(201);
        // As staff or an import leave it.
        world.execute(&format!("UPDATE users SET username = '{MINA}', username_norm = '{MINA}'"));
        let answer = site.log_in_at("doubtful", "mina").is(200);
        let code = world.proof(MINA, 1).code;
        site.app.verify_code(&answer.text("registration_token"), &code).is(200);
        assert_eq!(world.count(&format!("users WHERE username = '{MINA}' AND email = '{MINA}'")), 1);
    }

    fn a_password_reset_by_the_owner_of_an_unverified_address_unlinks_identities(world) {
        let site = Site::with(&world, &[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let thief = site.log_in_at("doubtful", "mina").is(200).tokens();
        site.app.post("/v1/password-reset", &json!({"email": MINA})).is(202);
        let token = world.link_about(MINA, crate::support::account::RESET, 1);
        site.app.reset_by_link(&token, "another plum tree").is(204);
        site.log_in_at("doubtful", "mina").refused(409, "identity_conflict");
        let mina = site.app.log_in(MINA, "another plum tree").is(200).tokens();
        assert_eq!(mina.user_id(), thief.user_id());
        assert_eq!(site.identities(&mina).len(), 0);
    }

    fn without_an_address_the_user_types_one_that_is_verified(world) {
        let site = Site::new(&world);
        for missing in [Value::Null, json!("not an address")] {
            let flow = site.start("test");
            site.grant(&with(site.claims(&flow, "mina"), &[("email", missing.clone())]));
            let faults = site.finish(&flow).faults();
            assert_eq!(faults, [("email".to_owned(), "required".to_owned())]);
            // The code is used up.
            site.finish(&flow).refused(401, "code_invalid");
        }
        let flow = site.start("test");
        site.grant(&with(site.claims(&flow, "mina"), &[("email", Value::Null)]));
        let typed = json!({"email": "typed@example.com", "locale": "ko"});
        let pending = site.finish_with(&flow, &[], &typed).is(202).text("registration_token");
        let code = world.proof("typed@example.com", 1).code;
        let tokens = site.app.verify_code(&pending, &code).is(200).tokens();
        assert_eq!(site.app.me(&tokens.access).json()["locale"], "ko");
        assert_eq!(site.log_in("mina").is(200).tokens().user_id(), tokens.user_id());
        // A typed address does not take the place of the provider's.
        let flow = site.start("test");
        site.grant(&site.claims(&flow, "ravi"));
        let ravi = site.finish_with(&flow, &[], &json!({"email": MINA})).is(200).tokens();
        assert_eq!(ravi.claims()["email"], "ravi@example.com");
    }

    fn of_two_registrations_with_one_identity_the_first_verified_has_it(world) {
        let site = Site::new(&world);
        let pending = ["one", "two"].map(|name| {
            let email = format!("{name}@example.com");
            let answer = site.log_in_with("doubtful", "mina", &[("email", json!(email))]).is(202);
            (answer.text("registration_token"), world.proof(&email, 1).code)
        });
        let [(first, code), (second, other_code)] = &pending;
        let tokens = site.app.verify_code(first, code).is(200).tokens();
        site.app.verify_code(second, other_code).refused(401, "one_time_token_invalid");
        assert_eq!((world.count("users"), site.identities(&tokens).len()), (1, 1));
    }

    fn a_disabled_account_is_not_logged_in(world) {
        let site = Site::new(&world);
        site.log_in("mina").is(200);
        world.execute("UPDATE users SET is_active = FALSE");
        site.log_in("mina").refused(403, "account_disabled");
        let flow = site.start("test");
        let other = [("email", json!(MINA))];
        site.grant(&with(site.claims(&flow, "another-subject"), &other));
        site.finish(&flow).refused(403, "account_disabled");
        site.finish(&flow).refused(403, "account_disabled");
        assert_eq!(world.count("identities"), 1);
    }

    fn an_account_without_a_password_gets_one_by_a_reset(world) {
        let site = Site::new(&world);
        let mina = site.log_in("mina").is(200).tokens();
        site.app.ask_reset(MINA).is(202);
        let link = world.link_about(MINA, crate::support::account::RESET, 1);
        site.app.reset_by_link(&link, PASSWORD).is(204);
        assert_eq!(site.app.log_in(MINA, PASSWORD).is(200).tokens().user_id(), mina.user_id());
        assert_eq!(site.log_in("mina").is(200).tokens().user_id(), mina.user_id());
    }

    fn a_new_device_of_a_social_log_in_sends_a_notice_like_any_other(world) {
        let site = Site::new(&world);
        site.log_in("mina").is(200);
        let flow = site.start("test");
        site.grant(&site.claims(&flow, "mina"));
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
        site.finish_with(&flow, &[("user-agent", firefox)], &json!({})).is(200);
        world.mail_about(MINA, crate::support::account::NEW_DEVICE, 1);
    }
}

fn with_email<'a>(email: &str, changes: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let mut all = changes.to_vec();
    all.push(("email", json!(email)));
    all
}
