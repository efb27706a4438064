//! Deletion of an account by its user.

use serde_json::{Value, json};

use crate::support::account::{CHANGE_REQUESTED, CONFIRM, EMAIL_CHANGED, RESET, VERIFY};
use crate::support::{
    Answer, PASSWORD, SECOND, TestApp, Tokens, World, at_once, on_both, wait_for,
};

const MINA: &str = "mina@example.com";

/// Statement of the first step after a deletion.
const FIRST_STEP: [(&str, &str); 1] = [("outbox", "DELETE")];

fn delete(app: &TestApp, tokens: &Tokens, body: &Value) -> Answer {
    app.as_holder("DELETE", "/v1/me", &tokens.access, body)
}

fn with_password() -> Value {
    json!({"password": PASSWORD})
}

/// Asserts that no table contains any of these texts.
#[track_caller]
fn nothing_is_left_of(world: &World, traces: &[&str]) {
    for trace in traces {
        assert_eq!(world.rows_with(trace), [""; 0], "{trace}");
    }
}

#[test]
fn few_rows_are_deleted_in_the_transaction_of_the_deletion_on_sqlite() {
    let world = World::sqlite();
    let app = world.app();
    let tokens = app.person(&world, MINA);
    // The steps begin with a request.
    world.fail(&[("erasures", "INSERT")]);
    delete(&app, &tokens, &with_password()).is(204);
    assert_eq!(world.count("users"), 0);
}

on_both! {
    fn nothing_is_left_of_the_person_in_any_table(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.person(&world, "ada@example.com");
        let profile = json!({"username": "plumlover", "metadata": {"pet": "hedgehog"}});
        app.as_holder("PATCH", "/v1/me", &tokens.access, &profile).is(200);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        app.log_in_on("Mozilla/5.0 (Windows NT 10.0) Firefox/143.0", MINA).is(200);
        app.log_in_on("special-client/1.0", MINA).is(200);
        app.ask_reset("MINA@Example.com").is(202);
        world.mail_about(MINA, RESET, 1);
        app.register_with(&json!({"email": "Mina@example.com", "password": PASSWORD}));
        app.post("/v1/verify-email/resend", &json!({"email": "miNa@example.com"})).is(202);
        app.change_email(&tokens.access, "first@plum.example").is(202);
        app.change_email(&tokens.access, "second@plum.example").is(202);
        world.mail_about("second@plum.example", CONFIRM, 1);
        world.mail_about(MINA, CHANGE_REQUESTED, 2);
        world.settle_mail();
        let traces =
            [MINA, "plum.example", "plumlover", "hedgehog", "firefox", "special-client", "127.0.0"];
        for trace in traces {
            assert!(!world.rows_with(trace).is_empty(), "the story leaves {trace}");
        }
        delete(&app, &tokens, &with_password()).is(204);
        nothing_is_left_of(&world, &traces[..6]);
        assert_eq!(world.count("sessions WHERE network <> '' AND user_id = 1"), 0);
        assert_eq!(world.count("users"), 1);
        app.log_in("ada@example.com", PASSWORD).is(200);
    }

    fn nothing_is_left_of_the_address_in_notices_to_other_users(world) {
        let app = world.app();
        app.person(&world, "ada@example.com");
        // As staff or an import leave it: the other account is called like the address.
        world.execute("UPDATE users SET username = 'Mina@Example.com', username_norm = 'mina@example.com'");
        app.person(&world, MINA);
        world.mail_about("ada@example.com", "user name of your", 1);
        let other = app.log_in("ada@example.com", PASSWORD).is(200).tokens();
        app.change_email(&other.access, "Mina@example.com").is(202);
        world.settle_mail();
        assert!(world.rows_with(MINA).iter().any(|row| row.starts_with("challenges: ") && row.contains("disavow")));
        let tokens = app.log_in(MINA, PASSWORD).is(200).tokens();
        delete(&app, &tokens, &with_password()).is(204);
        nothing_is_left_of(&world, &[MINA]);
        assert!(world.count("challenges WHERE kind = 'disavow'") > 0, "the links of the notices stay");
    }

    fn nothing_is_left_of_former_addresses_either(world) {
        let app = world.app();
        let tokens = app.person(&world, "first@plum.example");
        let moved = app.move_to(&world, &tokens.access, "second@plum.example");
        world.advance(SECOND);
        app.ask_reset("Second@plum.example").is(202);
        world.settle_mail();
        let moved = app.move_to(&world, &moved.access, "third@plum.example");
        // The wish goes with the change of the password, its mail with the account.
        app.change_email(&moved.access, "fourth@plum.example").is(202);
        app.change_password(&moved.access, Some(PASSWORD), "pear tree at dawn").is(204);
        let undo = world.link_about("first@plum.example", EMAIL_CHANGED, 1);
        app.not_me(&undo).is(204);
        let back = app.log_in("first@plum.example", "pear tree at dawn").is(200).tokens();
        assert_eq!(app.me(&back.access).text("email"), "first@plum.example");
        world.settle_mail();
        let traces = ["first@", "second@", "third@", "fourth@"];
        for trace in traces {
            assert!(!world.rows_with(trace).is_empty(), "the story leaves {trace}");
        }
        delete(&app, &back, &json!({"password": "pear tree at dawn"})).is(204);
        nothing_is_left_of(&world, &traces);
    }

    fn nothing_is_left_of_a_former_address_in_notices_to_other_users(world) {
        let app = world.app();
        app.person(&world, "ada@example.com");
        world.execute("UPDATE users SET username = 'Mina@Example.com', username_norm = 'mina@example.com'");
        let tokens = app.person(&world, MINA);
        world.mail_about("ada@example.com", "user name of your", 1);
        let moved = app.move_to(&world, &tokens.access, "second@plum.example");
        world.settle_mail();
        delete(&app, &moved, &with_password()).is(204);
        nothing_is_left_of(&world, &[MINA, "plum.example"]);
        assert_eq!(world.count("challenges WHERE kind = 'disavow'"), 1, "the link of the notice stays");
    }

    fn mail_to_another_user_is_not_lost_with_the_account(world) {
        let app = world.app();
        app.person(&world, "ada@example.com");
        let tokens = app.person(&world, MINA);
        app.ask_reset("ada@example.com").is(202);
        world.mail_about("ada@example.com", RESET, 1);
        // Mina wished for Ada's address.
        app.change_email(&tokens.access, "ada@example.com").is(202);
        world.settle_mail();
        let to_ada = "outbox WHERE recipient = 'ada@example.com' AND kind = 'password_reset'";
        assert_eq!(world.count(to_ada), 1);
        delete(&app, &tokens, &with_password()).is(204);
        assert_eq!(world.count(to_ada), 1);
    }

    fn a_wrong_password_deletes_nothing(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        delete(&app, &tokens, &json!({"password": "not that one"}))
            .refused(401, "invalid_credentials");
        let faults = delete(&app, &tokens, &json!({"pasword": PASSWORD})).faults();
        assert_eq!(faults, [("pasword".to_owned(), "unknown_field".to_owned())]);
        let faults = delete(&app, &tokens, &json!({"password": ""})).faults();
        assert_eq!(faults, [("password".to_owned(), "required".to_owned())]);
        let bearer = format!("Bearer {}", tokens.access);
        let text = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
        app.send("DELETE", "/v1/me", &text, "x").refused(415, "unsupported_media_type");
        app.send("DELETE", "/v1/me", &[], "").refused(401, "authentication_required");
        app.me(&tokens.access).is(200);
    }

    fn right_after_the_log_in_no_password_is_needed_to_the_second(world) {
        let app = world.app();
        for (name, body) in [("a", Value::Null), ("b", json!({})), ("c", json!({"password": null}))]
        {
            let tokens = app.person(&world, &format!("{name}@example.com"));
            world.advance(SECOND * 290);
            let tokens = app.refresh(&tokens.refresh).is(200).tokens();
            world.advance(SECOND * 9);
            delete(&app, &tokens, &body).is(204);
        }
        let tokens = app.person(&world, MINA);
        world.advance(SECOND * 290);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        world.advance(SECOND * 10);
        delete(&app, &tokens, &Value::Null).refused(403, "reauth_required");
        delete(&app, &tokens, &json!({})).refused(403, "reauth_required");
        delete(&app, &tokens, &with_password()).is(204);
    }

    fn its_tokens_are_void_at_once_and_on_other_instances_within_a_second(world) {
        // The instance that deletes knows at once: it does not look at the database meanwhile.
        let mut config = world.config(&[]);
        config.timing.sync_period = std::time::Duration::from_secs(3600);
        let (one, other) = (world.app_of(config), world.app());
        let first = one.person(&world, MINA);
        let second = one.log_in(MINA, PASSWORD).is(200).tokens();
        other.token_verify(&second.access).is(200);
        delete(&one, &second, &with_password()).is(204);
        let started = std::time::Instant::now();
        for tokens in [&first, &second] {
            one.me(&tokens.access).refused(401, "token_revoked");
            one.token_verify(&tokens.access).refused(401, "token_revoked");
            one.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
            other.refresh(&tokens.refresh).refused(401, "refresh_token_revoked");
            wait_for("the other service to notice", || {
                Some(other.token_verify(&tokens.access)).filter(|it| it.code() == "token_revoked")
            });
        }
        assert!(started.elapsed().as_millis() < 2_500, "{:?}", started.elapsed());
        one.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        delete(&one, &second, &with_password()).refused(401, "token_revoked");
    }

    fn what_was_mailed_before_opens_nothing_and_the_address_can_be_registered_anew(world) {
        let app = world.app();
        let registration_token = app.register(MINA);
        let registration = world.proof(MINA, 1);
        let tokens = app.verify_code(&registration_token, &registration.code).is(200).tokens();
        app.as_holder("PATCH", "/v1/me", &tokens.access, &json!({"username": "mina"})).is(200);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        app.ask_reset(MINA).is(202);
        let reset = world.proof_about(MINA, RESET, 1);
        let waiting =
            app.change_email(&tokens.access, "new@example.com").is(202).text("registration_token");
        let change = world.proof_about("new@example.com", CONFIRM, 1);
        let not_me = world.link_about(MINA, CHANGE_REQUESTED, 1);
        delete(&app, &tokens, &with_password()).is(204);
        app.verify_code(&registration_token, &registration.code).refused(401, "code_invalid");
        app.verify_password(&registration.link_token, PASSWORD)
            .refused(401, "one_time_token_invalid");
        app.verify_code(&waiting, &change.code).refused(401, "code_invalid");
        app.reset_by_link(&reset.link_token, "pear tree at dawn")
            .refused(401, "one_time_token_invalid");
        app.reset_by_code(MINA, &reset.code, "pear tree at dawn").refused(401, "code_invalid");
        app.not_me(&not_me).refused(401, "one_time_token_invalid");
        let body = json!({"email": MINA, "password": PASSWORD, "username": "mina"});
        let token = app.register_with(&body);
        let proof = world.proof_about(MINA, VERIFY, 2);
        let again = app.verify_code(&token, &proof.code).is(200).tokens();
        let me = app.me(&again.access).json();
        assert_eq!(
            (&me["user_id"], &me["metadata"]),
            (&json!(2), &json!({})),
            "numbers are not used twice"
        );
        app.me(&tokens.access).refused(401, "token_revoked");
    }

    fn the_last_superuser_stays(world) {
        let app = world.app();
        let first = app.superuser(&world, "first@example.com");
        delete(&app, &first, &with_password()).refused(409, "last_superuser");
        let second = app.superuser(&world, "second@example.com");
        world.execute("UPDATE users SET is_active = false WHERE email = 'second@example.com'");
        delete(&app, &first, &with_password()).refused(409, "last_superuser");
        world.execute("UPDATE users SET is_active = true WHERE email = 'second@example.com'");
        delete(&app, &first, &with_password()).is(204);
        delete(&app, &second, &with_password()).refused(409, "last_superuser");
        app.me(&second.access).is(200);
    }
    fn nothing_can_be_read_of_an_account_whose_rows_cannot_be_deleted_yet(world) {
        let app = world.app();
        let root = app.superuser(&world, "root@example.com");
        let registration_token = app.register(MINA);
        let registration = world.proof(MINA, 1);
        let tokens = app.verify_code(&registration_token, &registration.code).is(200).tokens();
        let id = tokens.user_id();
        let profile = json!({"username": "mina", "metadata": {"pet": "hedgehog"}});
        app.as_holder("PATCH", "/v1/me", &tokens.access, &profile).is(200);
        let tokens = app.refresh(&tokens.refresh).is(200).tokens();
        app.log_in_on("special-client/1.0", MINA).is(200);
        app.ask_reset(MINA).is(202);
        let reset = world.proof_about(MINA, RESET, 1);
        let waiting =
            app.change_email(&tokens.access, "new@example.com").is(202).text("registration_token");
        let change = world.proof_about("new@example.com", CONFIRM, 1);
        let not_me = world.link_about(MINA, CHANGE_REQUESTED, 1);
        world.settle_mail();
        world.fail(&FIRST_STEP);
        delete(&app, &tokens, &with_password()).is(204);
        let rows = || world.count(&format!("challenges WHERE user_id = {id}"))
            + world.count(&format!("outbox WHERE user_id = {id}"))
            + world.count(&format!("users WHERE id = {id}"));
        assert!(rows() > 4, "the deletion was cut short");

        app.me(&tokens.access).refused(401, "token_revoked");
        app.log_in(MINA, PASSWORD).refused(401, "invalid_credentials");
        app.log_in(&format!("deleted {id}"), PASSWORD).refused(401, "invalid_credentials");
        let path = format!("/v1/users/{id}");
        app.get_as(&root.access, &path).refused(404, "not_found");
        app.delete_as(&root.access, &path).refused(404, "not_found");
        let body = json!({"is_active": true});
        app.ask_as(&root.access, "PATCH", &path, &body).refused(404, "not_found");
        app.delete_as(&root.access, &format!("{path}/sessions")).refused(404, "not_found");
        for query in ["", "?search=mina", "?search=deleted", "?is_active=false"] {
            let page = app.get_as(&root.access, &format!("/v1/users{query}")).is(200).shown();
            assert!(!page.contains("mina") && !page.contains("deleted"), "{query}: {page}");
        }
        let events = app.get_as(&root.access, &format!("{path}/events")).is(200).shown();
        assert!(events.contains("account_deleted") && !events.contains("special-client"), "{events}");
        app.verify_code(&registration_token, &registration.code).refused(401, "code_invalid");
        app.verify_password(&registration.link_token, PASSWORD)
            .refused(401, "one_time_token_invalid");
        app.verify_code(&waiting, &change.code).refused(401, "code_invalid");
        app.verify_password(&change.link_token, PASSWORD).refused(401, "one_time_token_invalid");
        app.reset_by_link(&reset.link_token, "pear tree at dawn")
            .refused(401, "one_time_token_invalid");
        app.reset_by_code(MINA, &reset.code, "pear tree at dawn").refused(401, "code_invalid");
        app.not_me(&not_me).refused(401, "one_time_token_invalid");

        world.advance(SECOND);
        let body = json!({"email": MINA, "password": PASSWORD, "username": "mina"});
        let token = app.register_with(&body);
        let proof = world.proof_about(MINA, VERIFY, 2);
        let again = app.verify_code(&token, &proof.code).is(200).tokens();
        assert_ne!(again.user_id(), id);
        app.ask_reset(MINA).is(202);
        let reset = world.proof_about(MINA, RESET, 2);
        world.settle_mail();

        world.mend(&FIRST_STEP);
        world.purge();
        assert_eq!(rows(), 0);
        let told = format!("(device <> '' OR network <> '') AND user_id = {id}");
        assert_eq!(world.count(&format!("sessions WHERE {told}")), 0);
        nothing_is_left_of(&world, &["hedgehog", "special-client", "new@example.com"]);
        app.log_in("mina", PASSWORD).is(200);
        app.reset_by_link(&reset.link_token, "pear tree at dawn").is(204);
    }

    fn no_name_of_an_imported_account_blocks_a_deletion(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let id = tokens.user_id();
        let name = format!("deleted {id}");
        let other = app.person(&world, "ada@example.com").user_id();
        // An import keeps names of any characters.
        world.execute(&format!(
            "UPDATE users SET username = '{name}', username_norm = '{name}' WHERE id = {other}"
        ));
        world.settle_mail();
        world.fail(&FIRST_STEP);
        delete(&app, &tokens, &with_password()).is(204);
        app.log_in(&name, PASSWORD).is(200);
        world.mend(&FIRST_STEP);
        world.purge();
        assert_eq!(world.count("users"), 1);
        app.log_in(&name, PASSWORD).is(200);
    }

    fn a_registration_after_a_deletion_outlives_its_steps_whatever_the_clocks_say(world) {
        let (app, ahead) = (world.app(), world.app_ahead(SECOND * 2));
        let tokens = app.person(&world, MINA);
        world.settle_mail();
        world.fail(&FIRST_STEP);
        delete(&ahead, &tokens, &with_password()).is(204);
        assert_eq!(world.count("users"), 1, "the deletion was cut short");
        let token = app.register(MINA);
        let proof = world.proof_about(MINA, VERIFY, 2);
        world.settle_mail();
        world.mend(&FIRST_STEP);
        world.purge();
        assert_eq!(world.count("users"), 0);
        app.verify_code(&token, &proof.code).is(200);
    }

    fn of_two_instances_that_delete_an_account_at_once_one_does(world) {
        let apps = [world.app(), world.app()];
        for round in 0..3 {
            let tokens = apps[0].person(&world, &format!("twice{round}@example.com"));
            let answers =
                at_once(6, |number| delete(&apps[number % 2], &tokens, &with_password()));
            let (done, refused): (Vec<_>, Vec<_>) =
                answers.into_iter().partition(|answer| answer.status == 204);
            assert_eq!(done.len(), 1, "{refused:?}");
            for answer in refused {
                assert_eq!(answer.status, 401, "{answer:?}");
            }
            nothing_is_left_of(&world, &[&format!("twice{round}")]);
        }
    }
}
