//! The revocation list, for services that check tokens themselves, and its responses while an
//! instance has no recent list.

use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use hallpass::http::blocking::{Blocking, Turn};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, SECOND, TestApp, World, at_once, on_both, wait_for};

const ADMIN: &str = "admin@example.com";
const MINA: &str = "mina@example.com";
const LIST: &str = "/v1/revocations";

/// Returns the list after the first sync since the clock was moved.
fn list(app: &TestApp) -> Answer {
    wait_for("the list", || Some(app.get(LIST)).filter(|it| it.status == 200))
}

fn unless(app: &TestApp, known: &str) -> Answer {
    app.send("GET", LIST, &[("if-none-match", known)], "")
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").expect("an ETag").to_owned()
}

/// Makes the syncs of ended sessions fail, and moves the clock.
fn blind(world: &World, span: Duration) {
    world.alter("ALTER TABLE sessions RENAME TO lost");
    // A sync that is under way may still succeed.
    std::thread::sleep(Duration::from_millis(100));
    world.advance(span);
}

#[test]
fn lists_for_one_client_each_do_not_delay_the_one_for_all() {
    let flows = Arc::new(World::sqlite().flows());
    let blocking = Blocking::new(Duration::from_secs(60));
    actix_web::rt::System::new().block_on(async {
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let own = || {
            let released = Arc::clone(&released);
            let list = move |_: &_| {
                let _ = released.lock().unwrap().recv();
                Ok(())
            };
            Box::pin(blocking.run_in_turn(&flows, Turn::Own, list))
        };
        let mut waiting = [(); 16].map(|()| own());
        for list in &mut waiting {
            assert!(list.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(own().await.unwrap_err().code.name(), "overloaded");
        blocking.run_in_turn(&flows, Turn::Shared, |_| Ok(())).await.unwrap();
        drop(release);
        for list in waiting {
            list.await.unwrap();
        }
    });
}

on_both! {
    fn the_list_holds_what_was_ended_and_when(world) {
        let app = world.app();
        let admin = app.staff(&world, ADMIN);
        let answer = app.get(LIST).is(200);
        assert_eq!(answer.json(), json!({"sessions": [], "users": [], "window": 910}));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let mut expected: Vec<Value> = Vec::new();
        let mut ended = |session: &str| {
            expected.insert(0, json!({"session_id": session, "revoked_at": world.now()}));
            json!(expected)
        };
        let out = app.person(&world, MINA);
        world.advance(SECOND);
        app.revoke(&out.refresh).is(204);
        let (sessions, none) = (ended(&out.session), json!([]));
        let list_now = app.get(LIST).is(200).json();
        assert_eq!((&list_now["sessions"], &list_now["users"]), (&sessions, &none));
        let off = app.log_in(MINA, PASSWORD).is(200).tokens();
        world.advance(SECOND);
        let path = format!("/v1/users/{}", off.user_id());
        app.ask_as(&admin.access, "PATCH", &path, &json!({"is_active": false})).is(200);
        let off_at = world.now();
        let (sessions, users) =
            (ended(&off.session), json!([{"user_id": off.user_id(), "revoked_at": off_at}]));
        let list_now = app.get(LIST).is(200).json();
        assert_eq!((&list_now["sessions"], &list_now["users"]), (&sessions, &users));
        let gone = app.person(&world, "gone@example.com");
        world.advance(SECOND);
        app.ask_as(&gone.access, "DELETE", "/v1/me", &json!({"password": PASSWORD})).is(204);
        let (sessions, users) = (ended(&gone.session), json!([
            {"user_id": off.user_id(), "revoked_at": off_at},
            {"user_id": gone.user_id(), "revoked_at": world.now()},
        ]));
        let list_now = app.get(LIST).is(200).json();
        assert_eq!((&list_now["sessions"], &list_now["users"]), (&sessions, &users));
        drop(app);
        assert_eq!(world.app().get(LIST).json(), list_now, "another instance knows the same");
    }

    fn what_was_ended_stays_listed_while_a_token_could_live(world) {
        let app = world.app_with(&[("HALLPASS_ACCESS_TOKEN_TTL", "15m")]);
        let tokens = app.person(&world, MINA);
        app.revoke(&tokens.refresh).is(204);
        let sessions = || list(&app).json()["sessions"].as_array().unwrap().len();
        world.advance(SECOND * 904);
        app.token_verify(&tokens.access).refused(401, "token_revoked");
        assert_eq!(sessions(), 1);
        world.advance(SECOND);
        app.token_verify(&tokens.access).refused(401, "token_expired");
        world.advance(SECOND * 5);
        assert_eq!(sessions(), 1);
        let old = tag(&list(&app));
        world.advance(SECOND * 31);
        wait_for("the list to be empty", || (sessions() == 0).then_some(()));
        unless(&app, &old).is(200);
    }

    fn a_client_that_has_the_list_is_not_sent_it_again(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        let empty = tag(&app.get(LIST));
        app.revoke(&tokens.refresh).is(204);
        let full = tag(&app.get(LIST));
        assert_ne!(empty, full);
        assert!(full.starts_with('"') && full.ends_with('"'), "{full}");
        let weak = format!("W/{full}");
        let several = format!("\"x\", W/\"y\",{full}");
        for known in [full.as_str(), &weak, "*", &several] {
            let answer = unless(&app, known).is(304);
            assert!(answer.body.is_empty());
            assert_eq!(tag(&answer), full);
            assert_eq!(answer.header("cache-control"), Some("no-cache"));
        }
        let bare = full.trim_matches('"').to_owned();
        for known in [empty.as_str(), "\"x\"", "\"\"", "", &bare, "\"*\"", "nonsense,,\""] {
            assert_eq!(unless(&app, known).is(200).json()["sessions"][0]["session_id"], tokens.session);
        }
        let head = app.send("HEAD", LIST, &[], "").is(200);
        assert_eq!((tag(&head), head.body.len()), (full.clone(), 0));
        app.send("HEAD", LIST, &[("if-none-match", &full)], "").is(304);
        app.post(LIST, &json!({})).refused(405, "method_not_allowed");
    }

    fn a_client_that_polls_for_what_is_new_is_sent_that_and_nothing_else(world) {
        let (app, other) = (world.app(), world.app());
        let end = |email: &str| {
            let tokens = app.person(&world, email);
            app.revoke(&tokens.refresh).is(204);
            tokens.session
        };
        end(MINA);
        world.advance(SECOND * 60);
        let since = world.now();
        let poll = |app: &TestApp, since: i64| {
            let path = format!("{LIST}?since={since}");
            wait_for("the list", || Some(app.get(&path)).filter(|it| it.status == 200))
        };
        let sessions = |answer: &Answer| -> Vec<String> {
            let listed = answer.json()["sessions"].as_array().unwrap().clone();
            listed.iter().map(|it| it["session_id"].as_str().unwrap().to_owned()).collect()
        };
        let none = poll(&app, since);
        assert_eq!(sessions(&none), [""; 0]);
        let first = end("first@example.com");
        let one = poll(&app, since);
        assert_eq!(sessions(&one), std::slice::from_ref(&first));
        assert_ne!(tag(&none), tag(&one));
        let again = poll(&app, since);
        assert_eq!((&again.body, tag(&again)), (&one.body, tag(&one)));
        let path = format!("{LIST}?since={since}");
        app.send("GET", &path, &[("if-none-match", &tag(&one))], "").is(304);
        app.send("GET", &path, &[("if-none-match", &tag(&none))], "").is(200);
        world.advance(SECOND);
        let second = end("second@example.com");
        assert_eq!(sessions(&poll(&app, since)), [second.clone(), first]);
        assert_eq!(sessions(&poll(&app, since + 1)), [second]);
        assert_eq!(sessions(&poll(&app, 0)).len(), 3);
        wait_for("the other instance to know", || {
            let (ours, theirs) = (poll(&app, since), poll(&other, since));
            (ours.body == theirs.body && tag(&ours) == tag(&theirs)).then_some(())
        });
    }

    fn a_list_of_thousands_is_exact_for_all_who_ask_at_once(world) {
        let id = world.app().person(&world, MINA).user_id();
        let begin = world.now();
        world.advance(SECOND * 100);
        // One hundred in each second.
        world.execute(&format!(
            "INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, expires_at, ended_at, \
             device, network) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999) \
             SELECT 's' || i, {id}, 'pwd', 0, 0, 0, {} + i / 100 * 1000000, '', '' FROM n",
            begin * 1_000_000
        ));
        let app = world.app();
        let count = |answer: &Answer| answer.json()["sessions"].as_array().unwrap().len();
        wait_for("the sessions", || {
            Some(app.get(LIST)).filter(|it| it.status == 200 && count(it) == 5000)
        });
        let tags = at_once(12, |number| {
            let since = begin + i64::try_from(number).unwrap() * 2;
            let part = app.get(&format!("{LIST}?since={since}")).is(200);
            assert_eq!(count(&part), 5000 - number * 200);
            assert_eq!(part.json()["sessions"][0]["session_id"], "s4999");
            let whole = app.get(LIST).is(200);
            assert_eq!(count(&whole), 5000);
            app.send("GET", LIST, &[("if-none-match", &tag(&whole))], "").is(304);
            tag(&whole)
        });
        assert!(tags.iter().all(|tag| *tag == tags[0]));
    }

    fn instances_that_know_the_same_have_the_same_tag(world) {
        let (one, other) = (world.app(), world.app());
        assert_eq!(tag(&one.get(LIST)), tag(&other.get(LIST)));
        for round in 0..3 {
            let tokens = one.person(&world, &format!("p{round}@example.com"));
            let app = if round == 1 { &one } else { &other };
            app.revoke(&tokens.refresh).is(204);
        }
        wait_for("both to know", || {
            let (a, b) = (one.get(LIST).is(200), other.get(LIST).is(200));
            let all = a.json()["sessions"].as_array().unwrap().len() == 3;
            (all && tag(&a) == tag(&b) && a.body == b.body).then_some(())
        });
    }

    fn an_instance_that_cannot_know_says_so_and_does_not_guess(world) {
        let app = world.app();
        let out = app.person(&world, MINA);
        app.revoke(&out.refresh).is(204);
        let tokens = app.log_in(MINA, PASSWORD).is(200).tokens();
        let known = tag(&app.get(LIST));
        let bearer = format!("Bearer {}", tokens.access);
        let ask = |path: &str| app.send("GET", path, &[("authorization", &bearer)], "");
        let verify = |token: &str| app.post("/v1/token-verify", &json!({"token": token}));
        blind(&world, SECOND * 29);
        verify(&tokens.access).is(200);
        app.get(LIST).is(200);
        world.advance(SECOND * 2);
        app.get(LIST).refused(503, "unavailable");
        unless(&app, &known).refused(503, "unavailable");
        unless(&app, "*").refused(503, "unavailable");
        let unready = app.get("/readyz").refused(503, "unavailable").json();
        assert_eq!(unready["components"]["revocations"], "stale");
        verify(&tokens.access).refused(503, "unavailable");
        for path in ["/v1/forward-auth", "/v1/me", "/v1/me/sessions", "/v1/users"] {
            ask(path).refused(503, "unavailable");
        }
        let cookie = format!("__Host-hallpass_access={}", tokens.access);
        app.send("GET", "/v1/forward-auth", &[("cookie", &cookie)], "").refused(503, "unavailable");
        // A token that is known to be revoked stays refused.
        verify(&out.access).refused(401, "token_revoked");
        verify("nonsense").refused(401, "token_invalid");
        app.get("/healthz").is(200);
        world.alter("ALTER TABLE lost RENAME TO sessions");
        assert_eq!(tag(&list(&app)), known);
        app.me(&tokens.access).is(200);
        verify(&out.access).refused(401, "token_revoked");
    }

    fn the_bound_is_the_operators_choice(world) {
        let app = world.app_with(&[("HALLPASS_REVOCATIONS_MAX_AGE", "2s")]);
        blind(&world, SECOND * 2);
        app.get(LIST).is(200);
        world.advance(SECOND);
        app.get(LIST).refused(503, "unavailable");
        world.alter("ALTER TABLE lost RENAME TO sessions");
        list(&app);
    }
}
