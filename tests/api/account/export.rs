//! Export of all data about a user, for that user.

use serde_json::{Value, json};

use crate::api::limits::attempts::limited;
use crate::support::account::{CONFIRM, NEW_DEVICE, RESET};
use crate::support::{HOUR, PASSWORD, SECOND, on_both};

const MINA: &str = "mina@example.com";

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|it| it[field].as_str().unwrap_or_default())
        .collect()
}

on_both! {
    fn the_export_holds_what_was_stored_and_no_secret(world) {
        let app = world.app();
        let registration_token = app.register_with(&json!({
            "email": MINA, "password": PASSWORD, "username": "plumlover", "locale": "en-GB",
        }));
        let registration = world.proof(MINA, 1);
        let tokens = app.verify_code(&registration_token, &registration.code).is(200).tokens();
        app.as_holder("PATCH", "/v1/me", &tokens.access, &json!({"metadata": {"pet": "hedgehog"}}))
            .is(200);
        world.advance(SECOND);
        let second =
            app.log_in_on("Mozilla/5.0 (Windows NT 10.0) Firefox/143.0", MINA).is(200).tokens();
        world.mail_about(MINA, NEW_DEVICE, 1);
        app.revoke(&second.refresh).is(204);
        app.ask_reset("MINA@example.com").is(202);
        let reset = world.proof_about(MINA, RESET, 1);
        let waiting =
            app.change_email(&tokens.access, "new@example.com").is(202).text("registration_token");
        let change = world.proof_about("new@example.com", CONFIRM, 1);
        world.settle_mail();

        let answer = app.as_holder("GET", "/v1/me/export", &tokens.access, &Value::Null).is(200);
        let disposition = answer.header("content-disposition").expect("a name of the file");
        assert!(disposition.starts_with("attachment"), "{disposition}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let export = answer.json();
        assert_eq!(export["profile"], app.me(&tokens.access).json());
        assert_eq!(export["account"]["username"], "plumlover");
        assert_eq!(export["account"]["is_active"], true);
        assert_eq!(texts(&export["sessions"], "id"), [tokens.session.as_str(), &second.session]);
        assert_eq!(texts(&export["sessions"], "device"), ["", "Firefox on Windows"]);
        assert_eq!(texts(&export["sessions"], "network"), ["127.0.0.0/24"; 2]);
        assert_eq!(export["sessions"][0]["amr"], json!(["email"]));
        assert_eq!(export["sessions"][1]["amr"], json!(["pwd"]));
        assert!(export["sessions"][0]["ended_at"].is_null());
        assert_eq!(export["sessions"][1]["ended_at"], "2027-01-15T08:00:01.000000Z");
        assert_eq!(texts(&export["registrations"], "email"), [MINA, "new@example.com"]);
        assert_eq!(texts(&export["registrations"], "username"), ["plumlover", ""]);
        let mut purposes = texts(&export["one_time_tokens"], "purpose");
        purposes.sort_unstable();
        assert_eq!(purposes, ["disavow", "disavow", "reset_password"]);
        let mut kinds = texts(&export["mails"], "kind");
        kinds.sort_unstable();
        assert_eq!(
            kinds,
            [
                "email_change_requested",
                "new_device",
                "password_reset",
                "registration",
                "registration",
            ]
        );
        assert!(texts(&export["mails"], "status").iter().all(|status| *status == "sent"));

        let text = answer.shown();
        let not_me = world.link_about(MINA, NEW_DEVICE, 1);
        for secret in [
            "$bcrypt",
            "hpr_",
            "hpg_",
            "hash",
            PASSWORD,
            &tokens.refresh,
            &second.refresh,
            &waiting,
            &registration_token,
            &registration.link_token,
            &reset.link_token,
            &change.link_token,
            &not_me,
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        for code in [&registration.code, &reset.code, &change.code] {
            assert!(!text.contains(&format!("\"{code}\"")), "{text}");
        }
    }

    fn it_holds_the_known_devices_and_why_sessions_ended(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.advance(SECOND);
        let log_in = app.log_in(MINA, PASSWORD).is(200);
        world.advance(SECOND);
        let again = json!({
            "username": MINA, "password": PASSWORD, "device_token": log_in.text("device_token"),
        });
        let last = app.post("/v1/token-auth", &again).is(200).tokens();
        app.revoke(&last.refresh).is(204);
        let export =
            app.as_holder("GET", "/v1/me/export", &tokens.access, &Value::Null).is(200).json();
        let [begin, later, last] = [0, 1, 2].map(|it| format!("2027-01-15T08:00:0{it}.000000Z"));
        assert_eq!(
            export["known_devices"],
            // That of the registration, and that of the log-ins.
            json!([
                {"created_at": begin, "last_seen_at": begin},
                {"created_at": later, "last_seen_at": last},
            ])
        );
        assert_eq!(texts(&export["sessions"], "end_reason"), ["", "", "logged_out"]);
    }

    fn it_holds_nothing_of_others(world) {
        let app = world.app();
        let mina = app.person(&world, MINA);
        let grace = app.person(&world, "grace@other.example");
        app.as_holder("PATCH", "/v1/me", &grace.access, &json!({"username": "gracehopper"}))
            .is(200);
        let grace = app.refresh(&grace.refresh).is(200).tokens();
        app.log_in_on("special-client/1.0", "gracehopper").is(200);
        app.change_email(&grace.access, "grace@new.example").is(202);
        // Another user's request to change to Mina's address belongs to that user, though its mail
        // went to Mina.
        app.change_email(&grace.access, MINA).is(202);
        world.settle_mail();
        let text =
            app.as_holder("GET", "/v1/me/export", &mina.access, &Value::Null).is(200).shown();
        for other in ["grace", "special-client", &grace.session] {
            assert!(!text.contains(other), "{other} in {text}");
        }
    }

    fn only_the_holder_of_a_token_gets_it(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.get("/v1/me/export").refused(401, "authentication_required");
        app.as_holder("GET", "/v1/me/export", &tokens.refresh, &Value::Null)
            .refused(401, "token_invalid");
        app.revoke(&tokens.refresh).is(204);
        app.as_holder("GET", "/v1/me/export", &tokens.access, &Value::Null)
            .refused(401, "token_revoked");
    }

    fn lists_of_several_pages_are_whole_and_in_order(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let (id, now) = (tokens.user_id(), world.now() * 1_000_000);
        let later = now + 86_400_000_000;
        let numbers =
            "WITH RECURSIVE n(i) AS (SELECT 10001 UNION ALL SELECT i + 1 FROM n WHERE i < 10450)";
        let hash = if world.database_url.starts_with("sqlite") {
            "CAST('h' || i AS BLOB)"
        } else {
            "convert_to('h' || i, 'UTF8')"
        };
        for sql in [
            format!(
                "INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, expires_at, \
                 ended_at, device, network) {numbers} SELECT 'a' || i, {id}, 'pwd', {now}, {now}, \
                 {later}, {now}, '', '' FROM n"
            ),
            // The e-mail addresses of some were erased: the first page has no entry.
            format!(
                "INSERT INTO challenges (id, kind, user_id, email, detail, holder_hash, code_tries, \
                 wrong_codes, created_at, expires_at) {numbers} SELECT '0a' || i, 'registration', {id}, \
                 CASE WHEN i > 10300 THEN 'a' || i || '@example.com' END, '', {hash}, 0, 0, {now}, \
                 {later} FROM n"
            ),
            format!(
                "INSERT INTO registration_details (challenge_id, password_hash, locale) {numbers} \
                 SELECT '0a' || i, '!', 'en' FROM n"
            ),
            format!(
                "INSERT INTO challenges (id, kind, user_id, detail, code_tries, wrong_codes, \
                 created_at, expires_at) {numbers} SELECT 'a' || i, 'disavow', {id}, 'a' || i, 0, 0, \
                 {now}, {later} FROM n"
            ),
            // About the user, to the user's address, or both.
            format!(
                "INSERT INTO outbox (id, kind, recipient, locale, subject_id, status, attempts, \
                 next_attempt_at, created_at, finished_at, user_id) {numbers} SELECT 'a' || i, \
                 'k' || i, CASE WHEN i % 2 = 0 THEN 'x@example.com' ELSE 'MINA@example.com' END, \
                 'en', '', 'sent', 1, {now}, {now}, {now}, \
                 CASE WHEN i % 3 = 0 OR i % 2 = 0 THEN {id} END FROM n"
            ),
            format!(
                "INSERT INTO events (id, user_id, kind, device, network, detail, at) {numbers} \
                 SELECT 'a' || i, {id}, 'logged_in', '', '', '', {now} FROM n"
            ),
        ] {
            world.execute(&sql);
        }
        let export =
            app.as_holder("GET", "/v1/me/export", &tokens.access, &Value::Null).is(200).json();
        let inserted = |list: &str, field: &str, first: &str| -> Vec<String> {
            let texts = texts(&export[list], field).into_iter();
            texts.filter(|it| it.starts_with(first)).map(str::to_owned).collect()
        };
        let numbered = |first: &str, from: u32| -> Vec<String> {
            (from..=10_450).map(|number| format!("{first}{number}")).collect()
        };
        assert_eq!(inserted("sessions", "id", "a1"), numbered("a", 10_001));
        let emails = inserted("registrations", "email", "a1").join(" ").replace("@example.com", "");
        assert_eq!(emails, numbered("a", 10_301).join(" "));
        assert_eq!(inserted("one_time_tokens", "detail", "a1"), numbered("a", 10_001));
        assert_eq!(inserted("mails", "kind", "k1"), numbered("k", 10_001));
        let mut events = inserted("events", "id", "a1");
        events.reverse();
        assert_eq!(events, numbered("a", 10_001));
    }

    fn ten_exports_an_hour_are_answered_and_each_user_counts_alone(world) {
        let apps = [limited(&world), limited(&world)];
        let mina = apps[0].person(&world, MINA);
        let other = apps[0].person(&world, "grace@other.example");
        let export = |number: usize, access: &str| {
            apps[number % 2].as_holder("GET", "/v1/me/export", access, &Value::Null)
        };
        for number in 0..10 {
            export(number, &mina.access).is(200);
            world.advance(SECOND);
        }
        for number in 0..2 {
            let refused = export(number, &mina.access).refused(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), Some("3590"));
        }
        export(0, &other.access).is(200);
        world.advance(HOUR);
        let again = apps[0].refresh(&mina.refresh).is(200).tokens();
        export(0, &again.access).is(200);
    }

    fn a_request_for_the_headers_alone_is_no_export(world) {
        let app = limited(&world);
        let tokens = app.person(&world, MINA);
        let head = || app.as_holder("HEAD", "/v1/me/export", &tokens.access, &Value::Null).is(200);
        for _ in 0..20 {
            let answer = head();
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        }
        assert_eq!(world.count("events WHERE kind = 'exported'"), 0);
        app.as_holder("GET", "/v1/me/export", &tokens.access, &Value::Null).is(200);
        assert_eq!(world.count("events WHERE kind = 'exported'"), 1);
        app.revoke(&tokens.refresh).is(204);
        app.as_holder("HEAD", "/v1/me/export", &tokens.access, &Value::Null).is(401);
    }

    fn no_request_for_headers_changes_the_database(world) {
        let app = limited(&world);
        let staff = app.superuser(&world, MINA);
        world.settle_mail();
        let document = app.get("/openapi.json").is(200).json();
        let rows = || {
            let tables = ["events", "limits", "sessions", "outbox", "challenges", "refresh_tokens"];
            tables.map(|table| world.count(table))
        };
        let before = rows();
        let paths = document["paths"].as_object().expect("paths");
        let paths = paths.iter().filter(|(_, methods)| methods.get("get").is_some());
        let mut asked = 0;
        for (path, _) in paths {
            let path = path.replace("{id}", &staff.user_id().to_string());
            let headers = [("authorization", format!("Bearer {}", staff.access))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let answer = app.send_undocumented("HEAD", &path, &headers, "");
            let is_callback = path.contains("{provider}") && answer.status == 401;
            assert!(answer.status < 300 || is_callback, "{path}: {answer:?}");
            asked += 1;
        }
        assert!(asked > 10, "{asked} paths");
        assert_eq!(rows(), before);
    }
}
