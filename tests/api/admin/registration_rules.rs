//! Rules for registration: who may register, with addresses of which domains; invitations that are
//! sent again, and accounts that are disabled until a date.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::account::CONFIRM;
use crate::support::{
    Answer, PASSWORD, SECOND, TestApp, Tokens, link_token, on_both, shortly_before,
};

const MINA: &str = "mina@example.com";
const ROOT: &str = "root@example.com";

fn register(app: &TestApp, email: &str) -> Answer {
    app.post("/v1/register", &json!({"email": email, "password": PASSWORD}))
}

fn invite(app: &TestApp, by: &str, email: &str) -> Answer {
    app.ask_as(by, "POST", "/v1/users", &json!({"email": email}))
}

fn choose_password(app: &TestApp, token: &str) -> Answer {
    app.reset_by_link(token, PASSWORD)
}

/// A superuser, made while all may register.
fn superuser(world: &crate::support::World) -> Tokens {
    world.app().superuser(world, ROOT)
}

on_both! {
    fn closed_registration_is_refused_and_invited_users_get_in(world) {
        let root = superuser(&world);
        let app = world.app_with(&[("HALLPASS_REGISTRATION", "closed")]);
        assert_eq!(app.get("/v1/config").json()["registration"], "closed");
        // Known or not.
        for email in [MINA, ROOT] {
            register(&app, email).refused(403, "registration_closed");
        }
        invite(&app, &root.access, MINA).is(201);
        choose_password(&app, &link_token(&world.mails_to(MINA, 1)[0])).is(204);
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_registration_from_before_the_closure_makes_no_account(world) {
        let app = world.app();
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        drop(app);
        for mode in ["closed", "invited"] {
            let app = world.app_with(&[("HALLPASS_REGISTRATION", mode)]);
            app.verify_code(&token, &code).refused(403, "registration_closed");
        }
        assert_eq!(world.count("users"), 0);
        world.app().verify_code(&token, &code).is(200);
    }

    fn only_invited_users_get_a_mail_and_answers_do_not_tell_who_they_are(world) {
        let root = superuser(&world);
        let app = world.app_with(&[("HALLPASS_REGISTRATION", "invited")]);
        assert_eq!(app.get("/v1/config").json()["registration"], "invited");
        invite(&app, &root.access, MINA).is(201);
        world.mails_to(MINA, 1);
        let answers = [MINA, "stranger@example.com", ROOT].map(|email| {
            let answer = register(&app, email).is(202);
            let mut body = answer.json();
            body["registration_token"].take();
            body
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        world.settle_mail();
        assert_eq!(world.mails_so_far("stranger@example.com").len(), 0);
        // The invited user is invited again, and may choose the password by this mail too.
        let mails = world.mails_to(MINA, 2);
        let subjects: Vec<_> = mails.iter().map(|mail| mail.subject.clone()).collect();
        assert_eq!(subjects[0], subjects[1]);
        choose_password(&app, &link_token(&mails[1])).is(204);
        app.log_in(MINA, PASSWORD).is(200);
        world.advance(SECOND);
        app.post("/v1/verify-email/resend", &json!({"email": "stranger@example.com"})).is(202);
        world.settle_mail();
        assert_eq!(world.mails_so_far("stranger@example.com").len(), 0);
        drop(app);
        let at_once = [("HALLPASS_REGISTRATION", "invited"), ("HALLPASS_EMAIL_VERIFICATION", "none")];
        register(&world.app_with(&at_once), "new@example.com").refused(403, "registration_closed");
    }

    fn an_address_of_a_domain_that_was_denied_since_is_not_verified(world) {
        let app = world.app();
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        let user = app.person(&world, "ola@example.org");
        let change = app.change_email(&user.access, "ola@example.com").is(202).text("registration_token");
        let code_of_change = world.proof_about("ola@example.com", CONFIRM, 1).code;
        drop(app);
        let refused = [("email".to_owned(), "domain_not_allowed".to_owned())];
        for rule in [("HALLPASS_EMAIL_DOMAINS_DENIED", "example.com"), ("HALLPASS_EMAIL_DOMAINS_ALLOWED", "example.org")] {
            let app = world.app_with(&[rule]);
            assert_eq!(register(&app, MINA).faults(), refused);
            assert_eq!(app.verify_code(&token, &code).faults(), refused);
            assert_eq!(app.verify_code(&change, &code_of_change).faults(), refused);
        }
        assert_eq!(world.count("users WHERE email_norm LIKE '%@example.com'"), 0);
        let app = world.app();
        app.verify_code(&token, &code).is(200);
        app.verify_code(&change, &code_of_change).is(200);
    }

    fn users_choose_addresses_of_allowed_domains_only(world) {
        let root = superuser(&world);
        let app = world.app_with(&[
            ("HALLPASS_EMAIL_DOMAINS_ALLOWED", "example.com, *.example.org"),
            ("HALLPASS_EMAIL_DOMAINS_DENIED", "bad.example.org"),
        ]);
        let config = app.get("/v1/config").json();
        assert_eq!(config["email_domains_allowed"], json!(["example.com", "*.example.org"]));
        assert_eq!(config["email_domains_denied"], json!(["bad.example.org"]));
        let refused = |field: &str| [(field.to_owned(), "domain_not_allowed".to_owned())];
        for email in ["a@example.net", "a@bad.example.org", "a@sub.example.com"] {
            assert_eq!(register(&app, email).faults(), refused("email"), "{email}");
        }
        let weak = json!({"email": "a@example.net", "password": "password"});
        assert_eq!(app.post("/v1/register", &weak).faults().len(), 2);
        register(&app, "a@sub.example.org").is(202);
        let mina = app.person(&world, MINA);
        assert_eq!(app.change_email(&mina.access, "mina@example.net").faults(), refused("new_email"));
        app.change_email(&mina.access, "mina@sub.example.org").is(202);
        // Staff may invite whom they like.
        let token = {
            invite(&app, &root.access, "guest@example.net").is(201);
            link_token(&world.mails_to("guest@example.net", 1)[0])
        };
        choose_password(&app, &token).is(204);
        app.log_in("guest@example.net", PASSWORD).is(200);
    }

    fn a_mail_that_an_invited_user_asks_for_again_is_an_invitation(world) {
        let app = world.app();
        let root = app.superuser(&world, ROOT);
        invite(&app, &root.access, MINA).is(201);
        let first = world.mails_to(MINA, 1).remove(0);
        app.resend(&world, MINA);
        let again = world.mails_to(MINA, 2).remove(1);
        assert_eq!(again.subject, first.subject);
        choose_password(&app, &link_token(&again)).is(204);
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn a_second_invitation_is_sent_again(world) {
        let app = world.app();
        let root = app.superuser(&world, ROOT);
        let first = invite(&app, &root.access, MINA).is(201).json();
        world.mails_to(MINA, 1);
        let second = invite(&app, &root.access, "MINA@example.com").is(200);
        assert_eq!(second.json(), first);
        assert_eq!(second.header("location"), Some(format!("/v1/users/{}", first["user_id"]).as_str()));
        let mails = world.mails_to(MINA, 2);
        choose_password(&app, &link_token(&mails[0])).refused(401, "one_time_token_invalid");
        choose_password(&app, &link_token(&mails[1])).is(204);
        // An account that is in use is taken, and so is one that was made with a password.
        invite(&app, &root.access, MINA).refused(409, "email_taken");
        let body = json!({"email": "other@example.com", "password": PASSWORD});
        app.ask_as(&root.access, "POST", "/v1/users", &body).is(201);
        invite(&app, &root.access, "other@example.com").refused(409, "email_taken");
        let events = app.get_as(&root.access, &format!("/v1/users/{}/events", first["user_id"]));
        let events = events.is(200).json();
        let kinds: Vec<&Value> =
            events["events"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
        assert!(kinds.contains(&&json!("invited_again")), "{kinds:?}");
    }

    fn a_second_invitation_applies_what_it_carries(world) {
        let app = world.app();
        let root = app.superuser(&world, ROOT);
        let invite = |body: &Value| app.ask_as(&root.access, "POST", "/v1/users", body);
        invite(&json!({"email": MINA, "roles": ["reader"], "app_metadata": {"plan": "free"}})).is(201);
        let kept = invite(&json!({"email": MINA})).is(200).json();
        assert_eq!((&kept["roles"], &kept["app_metadata"]), (&json!(["reader"]), &json!({"plan": "free"})));
        let told = json!({
            "email": MINA, "username": "mina", "roles": ["editor"], "app_metadata": {"plan": "pro"},
            "locale": "ko", "is_staff": true,
        });
        let account = invite(&told).is(200).json();
        for field in ["username", "roles", "app_metadata", "locale", "is_staff"] {
            assert_eq!(account[field], told[field], "{field}");
        }
        world.settle_mail();
        let mails = world.mails_so_far(MINA);
        choose_password(&app, &link_token(mails.last().unwrap())).is(204);
        assert_eq!(app.log_in("mina", PASSWORD).is(200).tokens().claims()["roles"], json!(["editor"]));
    }

    fn to_disable_without_a_date_is_for_good(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        let path = format!("/v1/users/{}", mina.user_id());
        let change = |body: &Value| app.ask_as(&root.access, "PATCH", &path, body).is(200).json();
        let until = "2027-01-15T08:16:40.000000Z";
        change(&json!({"is_active": false, "disabled_until": until, "disabled_reason": "trial"}));
        // What names no state keeps it.
        assert_eq!(change(&json!({"disabled_reason": "fraud"}))["disabled_until"], until);
        let account = change(&json!({"is_active": false}));
        assert_eq!((&account["disabled_until"], &account["disabled_reason"]), (&Value::Null, &json!("fraud")));
        world.advance(Duration::from_secs(2000));
        world.purge();
        app.log_in(MINA, PASSWORD).refused(403, "account_disabled");
    }

    fn an_account_is_disabled_until_a_date(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        let path = format!("/v1/users/{}", mina.user_id());
        let change = |body: &Value| app.ask_as(&root.access, "PATCH", &path, body);
        let fault = |code: &str| [("disabled_until".to_owned(), code.to_owned())];
        // 1,000 seconds from now.
        let until = json!("2027-01-15T08:16:40Z");
        assert_eq!(change(&json!({"disabled_until": until})).faults(), fault("invalid_format"));
        for (wrong, code) in [
            (json!("2027-01-15T07:59:59Z"), "invalid_format"), (json!("tomorrow"), "invalid_format"),
            (json!(1_800_001_000), "wrong_type"),
        ] {
            let body = json!({"is_active": false, "disabled_until": wrong});
            let answer = change(&body);
            let names_the_future = answer.text("detail").contains("in the future");
            assert_eq!(names_the_future, wrong == "2027-01-15T07:59:59Z", "{wrong}");
            assert_eq!(answer.faults(), fault(code), "{wrong}");
        }
        let body = json!({"is_active": false, "disabled_until": "2027-01-15T17:16:40+09:00"});
        let account = change(&body).is(200).json();
        assert_eq!(account["disabled_until"], "2027-01-15T08:16:40.000000Z");
        app.me(&mina.access).refused(401, "token_revoked");
        world.advance(shortly_before(Duration::from_secs(1000)));
        world.purge();
        app.log_in(MINA, PASSWORD).refused(403, "account_disabled");
        world.advance(SECOND);
        world.purge();
        app.log_in(MINA, PASSWORD).is(200);
        let root = app.log_in(ROOT, PASSWORD).is(200).tokens();
        let account = app.get_as(&root.access, &path).is(200).json();
        assert_eq!((&account["is_active"], &account["disabled_until"]), (&json!(true), &Value::Null));
        let events = app.get_as(&root.access, &format!("{path}/events")).is(200).json();
        let events = events["events"].as_array().unwrap().iter();
        let enabled = events.into_iter().find(|it| it["kind"] == "account_enabled").unwrap();
        assert_eq!((&enabled["detail"], &enabled["by_staff"]), (&json!("date"), &json!(false)));
    }

    #[cfg(feature = "drf-jwt")]
    fn the_rules_about_domains_hold_at_the_django_adapter_except_for_staff(world) {
        let open = world.app();
        let mina = open.person(&world, MINA);
        open.superuser(&world, ROOT);
        drop(open);
        let rules = [("HALLPASS_EMAIL_DOMAINS_DENIED", "gmail.example"), ("HALLPASS_EMAIL_DOMAINS_ALLOWED", "other.example")];
        for rule in rules {
            let app = world.app_with(&[rule]);
            let headers = [("content-type", "application/json")];
            let patch = |name: &str, body: &Value| {
                let log_in = json!({"username": name, "password": PASSWORD}).to_string();
                let token = app.send_undocumented("POST", "/api-token-auth/", &headers, log_in).is(200).text("token");
                let authorization = format!("JWT {token}");
                let headers = [headers[0], ("authorization", authorization.as_str())];
                let path = format!("/users/{}/", mina.user_id());
                app.send_undocumented("PATCH", &path, &headers, body.to_string())
            };
            for denied in ["mina@gmail.example", "mina@GMAIL.example"] {
                let refused = patch(MINA, &json!({"email": denied})).is(400).json();
                assert_eq!(refused, json!({"email": ["Email addresses of this domain are not accepted."]}));
            }
            // The present address may have any domain, also in another letter case.
            patch(MINA, &json!({"email": MINA})).is(200);
            patch(ROOT, &json!({"email": "mina@gmail.example"})).is(200);
            patch(ROOT, &json!({"username": MINA, "email": MINA})).is(200);
        }
    }
}
