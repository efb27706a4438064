//! Reversal of a thief's change of the e-mail address, by the link in the mail to the old one.

use serde_json::json;

use crate::support::account::{CHANGE_REQUESTED, CONFIRM, EMAIL_CHANGED, RESET};
use crate::support::{DAY, PASSWORD, SECOND, TestApp, Tokens, on_both, shortly_before};

const MINA: &str = "mina@example.com";
const THIEF: &str = "thief@evil.example";
const HIDEOUT: &str = "hideout@evil.example";
const NEW: &str = "pear tree at dawn";

fn email_of(app: &TestApp, tokens: &Tokens) -> String {
    app.me(&tokens.access).is(200).text("email")
}

/// A request of a user about the own account; the argument is the user name.
#[cfg(feature = "drf-jwt")]
fn patch_at_the_django_adapter(
    app: &TestApp,
    person: &Tokens,
    name: &str,
    body: &str,
) -> crate::support::Answer {
    let json_type = ("content-type", "application/json");
    let credentials = json!({"username": name, "password": PASSWORD}).to_string();
    let log_in = app.send_undocumented("POST", "/api-token-auth/", &[json_type], credentials);
    let header = format!("JWT {}", log_in.is(200).text("token"));
    let path = format!("/users/{}/", person.user_id());
    let headers = [json_type, ("authorization", header.as_str())];
    app.send_undocumented("PATCH", &path, &headers, body.to_owned())
}

#[cfg(feature = "drf-jwt")]
fn change_at_the_django_adapter(
    app: &TestApp,
    person: &Tokens,
    name: &str,
    email: &str,
) -> crate::support::Answer {
    patch_at_the_django_adapter(app, person, name, &json!({"email": email}).to_string())
}

on_both! {
    fn an_address_that_was_never_verified_gets_no_revert_link(world) {
        let app = world.app_with(&[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let typo = "typo@example.com";
        let body = json!({"email": typo, "password": PASSWORD});
        let tokens = app.post("/v1/register", &body).is(201).tokens();
        world.mails_to(typo, 1);
        let wish = json!({"new_email": "right@example.com", "password": PASSWORD});
        let wish = app.as_holder("POST", "/v1/me/email", &tokens.access, &wish).is(202);
        let code = world.proof("right@example.com", 1).code;
        app.verify_code(&wish.text("registration_token"), &code).is(200);
        world.settle_mail();
        assert_eq!(world.mails_so_far(typo).len(), 1, "only the mail of the registration");
    }

    #[cfg(feature = "drf-jwt")]
    fn verifying_an_address_releases_it_from_an_account_that_has_not_verified_it(world) {
        let app = world.app();
        let squatter = app.person(&world, THIEF);
        let change = |email: &str| change_at_the_django_adapter(&app, &squatter, THIEF, email);
        assert_eq!(change(MINA).status, 200);
        assert_eq!(email_of(&app, &app.refresh(&squatter.refresh).tokens()), MINA);
        // Her registration continues as if the address were free.
        let mina = app.person(&world, MINA);
        assert_eq!(email_of(&app, &mina), MINA);
        assert_ne!(mina.user_id(), squatter.user_id());
        let back = app.log_in(THIEF, PASSWORD).is(200).tokens();
        assert_eq!((back.user_id(), email_of(&app, &back)), (squatter.user_id(), THIEF.to_owned()));
        assert_eq!(change(MINA).status, 400, "it is proven now");
        // And so does a change of address.
        let olas = "ola@example.com";
        assert_eq!(change(olas).status, 200);
        let moved = app.move_to(&world, &mina.access, olas);
        assert_eq!(email_of(&app, &moved), olas);
        app.log_in(THIEF, PASSWORD).is(200);
    }

    #[cfg(feature = "drf-jwt")]
    fn people_ask_the_django_adapter_about_a_few_addresses_an_hour(world) {
        let app = world.app_with(&[("HALLPASS_LIMITS", "on")]);
        let eve = app.person(&world, THIEF);
        app.person(&world, MINA);
        world.advance(crate::support::HOUR);
        let change = |email: &str| change_at_the_django_adapter(&app, &eve, THIEF, email).status;
        for _ in 0..3 {
            assert_eq!(change(MINA), 400);
        }
        assert_eq!(change(MINA), 429);
        // The user's own address may be shown.
        for _ in 0..5 {
            assert_eq!(change(THIEF), 200);
        }
        let name = json!({"username": MINA}).to_string();
        assert_eq!(patch_at_the_django_adapter(&app, &eve, THIEF, &name).status, 429);
    }

    #[cfg(feature = "drf-jwt")]
    fn an_unverified_address_at_the_django_adapter_gives_no_access_while_the_change_can_be_reverted(world) {
        let app = world.app();
        let attacker = app.person(&world, "attacker@example.com");
        let credentials = json!({"username": "attacker@example.com", "password": PASSWORD});
        let json_type = ("content-type", "application/json");
        let token = app
            .send_undocumented("POST", "/api-token-auth/", &[json_type], credentials.to_string())
            .is(200)
            .text("token");
        let (path, header) = (format!("/users/{}/", attacker.user_id()), format!("JWT {token}"));
        let change = json!({"email": "victim@example.com"}).to_string();
        let headers = [json_type, ("authorization", header.as_str())];
        let changed = app.send_undocumented("PATCH", &path, &headers, change).is(200).json();
        // A name that is an address does not stay behind, nor run ahead.
        assert_eq!(changed["username"], "victim@example.com");
        app.ask_reset("victim@example.com").is(202);
        world.settle_mail();
        assert!(world.mails_so_far("victim@example.com").is_empty());
        world.advance(DAY * 7);
        app.ask_reset("victim@example.com").is(202);
        world.mails_to("victim@example.com", 1);
    }

    fn the_link_of_either_notice_brings_the_old_address_back(world) {
        let app = world.app();
        for (round, about) in [CHANGE_REQUESTED, EMAIL_CHANGED].into_iter().enumerate() {
            let owner = format!("owner{round}@example.com");
            let thief = format!("thief{round}@evil.example");
            let tokens = app.person(&world, &owner);
            let stolen = app.move_to(&world, &tokens.access, &thief);
            let link = world.link_about(&owner, about, 1);
            app.not_me(&link).is(204);
            for tokens in [&tokens, &stolen] {
                app.me(&tokens.access).refused(401, "token_revoked");
                app.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
            }
            app.log_in(&thief, PASSWORD).refused(401, "invalid_credentials");
            let reset = world.link_about(&owner, RESET, 1);
            app.reset_by_link(&reset, NEW).is(204);
            let back = app.log_in(&owner, NEW).is(200).tokens();
            let me = app.me(&back.access).json();
            assert_eq!((&me["email"], &me["username"]), (&json!(owner), &json!(owner)));
            assert!(world.mails_about(&thief, RESET).is_empty());
        }
    }

    fn the_link_stops_a_change_that_is_not_proven_yet(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let waiting = app.change_email(&tokens.access, THIEF).is(202).text("registration_token");
        let proof = world.proof_about(THIEF, CONFIRM, 1);
        app.not_me(&world.link_about(MINA, CHANGE_REQUESTED, 1)).is(204);
        app.verify_code(&waiting, &proof.code).refused(401, "code_invalid");
        app.verify_link(&proof.link_token, &waiting).refused(401, "one_time_token_invalid");
        app.verify_password(&proof.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        assert_eq!(email_of(&app, &app.log_in(MINA, PASSWORD).is(200).tokens()), MINA);
    }

    fn the_old_address_may_be_brought_back_for_seven_days(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.move_to(&world, &tokens.access, THIEF);
        let link = world.link_about(MINA, EMAIL_CHANGED, 1);
        world.advance(shortly_before(DAY * 7));
        app.not_me(&link).is(204);
        app.log_in(MINA, PASSWORD).is(200);
        let tokens = app.log_in(MINA, PASSWORD).tokens();
        app.move_to(&world, &tokens.access, HIDEOUT);
        let link = world.link_about(MINA, EMAIL_CHANGED, 2);
        world.advance(DAY * 7);
        app.not_me(&link).refused(401, "one_time_token_expired");
        app.log_in(HIDEOUT, PASSWORD).is(200);
    }

    fn what_the_thief_was_mailed_cannot_undo_the_undo(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let stolen = app.move_to(&world, &tokens.access, THIEF);
        world.advance(SECOND);
        let hidden = app.move_to(&world, &stolen.access, HIDEOUT);
        world.advance(SECOND);
        app.log_in_on("curl/8.5.0", HIDEOUT).is(200);
        let theirs = [
            world.link_about(THIEF, CHANGE_REQUESTED, 1),
            world.link_about(THIEF, EMAIL_CHANGED, 1),
            world.link_about(HIDEOUT, "new login", 1),
        ];
        app.ask_reset(HIDEOUT).is(202);
        let reset = world.link_about(HIDEOUT, RESET, 1);
        app.not_me(&world.link_about(MINA, EMAIL_CHANGED, 1)).is(204);
        app.me(&hidden.access).refused(401, "token_revoked");
        let back = app.log_in(MINA, PASSWORD).is(200).tokens();
        for link in &theirs {
            app.not_me(link).refused(401, "one_time_token_invalid");
        }
        app.reset_by_link(&reset, NEW).refused(401, "one_time_token_invalid");
        assert_eq!(email_of(&app, &back), MINA);
        app.log_in(THIEF, PASSWORD).refused(401, "invalid_credentials");
        app.log_in(HIDEOUT, PASSWORD).refused(401, "invalid_credentials");
    }

    fn the_undo_holds_whatever_the_clocks_of_the_instances_tell(world) {
        let clocks = [world.app(), world.app_ahead(SECOND * 2)];
        for (round, (first, second)) in [(0, 1), (1, 0)].into_iter().enumerate() {
            let [owner, thief, hideout] =
                ["owner", "thief", "hideout"].map(|who| format!("{who}{round}@example.com"));
            let tokens = clocks[first].person(&world, &owner);
            let stolen = clocks[first].move_to(&world, &tokens.access, &thief);
            clocks[second].move_to(&world, &stolen.access, &hideout);
            let theirs = [CHANGE_REQUESTED, EMAIL_CHANGED].map(|it| world.link_about(&thief, it, 1));
            let app = &clocks[second];
            app.not_me(&world.link_about(&owner, EMAIL_CHANGED, 1)).is(204);
            for link in &theirs {
                app.not_me(link).refused(401, "one_time_token_invalid");
            }
            assert_eq!(email_of(app, &app.log_in(&owner, PASSWORD).is(200).tokens()), owner);
        }
    }

    fn a_thief_who_reports_unauthorized_activity_does_not_void_the_owners_link(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let stolen = app.move_to(&world, &tokens.access, THIEF);
        world.advance(SECOND);
        // A wish for yet another address mails the thief a link that "brings back" the thief's.
        app.change_email(&stolen.access, HIDEOUT).is(202);
        // Once the change is taken back, its mail is no longer needed.
        world.proof_about(HIDEOUT, CONFIRM, 1);
        app.not_me(&world.link_about(THIEF, CHANGE_REQUESTED, 1)).is(204);
        app.reset_by_link(&world.link_about(THIEF, RESET, 1), NEW).is(204);
        let stolen = app.log_in(THIEF, NEW).is(200).tokens();
        // The same after a change that went through.
        world.advance(SECOND);
        let waiting =
            app.as_holder("POST", "/v1/me/email", &stolen.access, &json!({"new_email": HIDEOUT}));
        let code = world.proof_about(HIDEOUT, CONFIRM, 2).code;
        app.verify_code(&waiting.is(202).text("registration_token"), &code).is(200);
        app.not_me(&world.link_about(THIEF, EMAIL_CHANGED, 1)).is(204);
        app.log_in(THIEF, NEW).is(200);

        app.not_me(&world.link_about(MINA, CHANGE_REQUESTED, 1)).is(204);
        app.log_in(THIEF, NEW).refused(401, "invalid_credentials");
        assert_eq!(email_of(&app, &app.log_in(MINA, NEW).is(200).tokens()), MINA);
        app.reset_by_link(&world.link_about(MINA, RESET, 1), "chosen by the owner").is(204);
        app.log_in(MINA, "chosen by the owner").is(200);
    }

    fn the_old_address_stays_with_a_user_who_has_registered_it_since(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.move_to(&world, &tokens.access, THIEF);
        let link = world.link_about(MINA, EMAIL_CHANGED, 1);
        let heir = app.person_again(&world, MINA, 2);
        let moved = app.log_in(THIEF, PASSWORD).is(200).tokens();
        app.not_me(&link).is(204);
        // It still ends the sessions of the account it was about, and of no other.
        app.me(&moved.access).refused(401, "token_revoked");
        assert_eq!(email_of(&app, &heir), MINA);
        assert_eq!(email_of(&app, &app.log_in(THIEF, PASSWORD).is(200).tokens()), THIEF);
        assert_eq!(world.count("users"), 2);
        app.not_me(&link).is(204);
        app.me(&heir.access).is(200);
    }

    fn the_proof_of_a_change_that_was_undone_opens_no_door(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let waiting = app.change_email(&tokens.access, THIEF).is(202).text("registration_token");
        let proof = world.proof_about(THIEF, CONFIRM, 1);
        app.verify_code(&waiting, &proof.code).is(200);
        app.not_me(&world.link_about(MINA, EMAIL_CHANGED, 1)).is(204);
        app.verify_code(&waiting, &proof.code).refused(401, "code_invalid");
        app.verify_link(&proof.link_token, &waiting).refused(401, "one_time_token_invalid");
        app.verify_password(&proof.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        assert_eq!(world.count("sessions WHERE ended_at IS NULL"), 0);
    }
}
