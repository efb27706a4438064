//! How much mail anybody can order: nobody is flooded, and nobody is kept from theirs.

use serde_json::{Value, json};

use crate::limits::{ELSEWHERE, HOME, limited, limited_with};
use crate::support::account::{NEW_DEVICE, RESET};
use crate::support::{Answer, DAY, HOUR, PASSWORD, TestApp, World, on_both, wait_for};

const MINA: &str = "mina@example.com";
const RESEND: &str = "/v1/verify-email/resend";
const ASK_RESET: &str = "/v1/password-reset";

fn ask(app: &TestApp, path: &str, email: &str, from: &str) -> Answer {
    app.post_with(path, &[("x-forwarded-for", from)], &json!({"email": email}))
}

fn register(app: &TestApp, email: &str, from: &str) -> Answer {
    let body = json!({"email": email, "password": PASSWORD});
    app.post_with("/v1/register", &[("x-forwarded-for", from)], &body)
}

/// An address in the `number`th network of strangers.
fn stranger(number: usize) -> String {
    format!("198.{}.{}.1", 18 + number / 250, number % 250)
}

/// Waits until every order was looked at: what is left waits for a budget. (The clock must not move while
/// one is looked at.)
fn looked_at_all(world: &World) {
    let due = format!("next_attempt_at <= {}", (world.now() + 1) * 1_000_000);
    let open = format!("outbox WHERE status = 'queued' AND (lease_until IS NOT NULL OR {due})");
    wait_for("the mail to be looked at", || (world.count(&open) == 0).then_some(()));
}

/// What somebody can see of an answer, but for what differs every time.
fn look(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut body = answer.json();
    for name in ["request_id", "registration_token"] {
        if let Some(text) = body.get_mut(name) {
            *text = text.as_str().unwrap().len().into();
        }
    }
    (answer.status, headers, body)
}

on_both! {
    fn the_fourth_mail_of_an_hour_and_the_eleventh_of_a_day_are_refused_alike(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        let paths = [ASK_RESET, RESEND, ASK_RESET];
        let mut looks = Vec::new();
        for email in [MINA, "nemo@example.com"] {
            let mut seen = Vec::new();
            for path in paths {
                seen.push(look(&ask(&app, path, email, HOME).is(202)));
            }
            let refused = ask(&app, ASK_RESET, email, HOME).refused(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), Some("3600"));
            seen.push(look(&refused));
            seen.push(look(&register(&app, email, HOME).refused(429, "rate_limited")));
            looks.push(seen);
        }
        assert_eq!(looks[0], looks[1]);
        for _ in 0..2 {
            world.advance(HOUR);
            for path in paths {
                ask(&app, path, MINA, HOME).is(202);
            }
        }
        world.advance(HOUR);
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        let refused = ask(&app, ASK_RESET, MINA, HOME).refused(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), Some((21 * 3600).to_string().as_str()));
    }

    fn what_strangers_ask_for_keeps_nobody_from_a_reset_or_an_account(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        world.advance(HOUR);
        for number in 0..30 {
            for (path, email) in [(RESEND, MINA), (RESEND, "nemo@example.com"), (ASK_RESET, "nemo@example.com")] {
                ask(&app, path, email, &stranger(number)).is(202);
            }
        }
        looked_at_all(&world);
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        world.mail_about(MINA, RESET, 1);
        let body = register(&app, "nemo@example.com", HOME).is(202);
        let proof = world.proof("nemo@example.com", 1);
        app.verify_code(&body.text("registration_token"), &proof.code).is(200);
    }

    fn three_mails_an_hour_and_ten_a_day_go_to_an_address(world) {
        let app = limited(&world);
        let mails = || {
            looked_at_all(&world);
            world.mails_so_far(MINA).len()
        };
        for number in 0..20 {
            register(&app, MINA, &stranger(number)).is(202);
        }
        assert_eq!(mails(), 3);
        assert_eq!(world.count("outbox WHERE status = 'queued'"), 17, "the others wait");
        for sent in [6, 9, 10, 10, 10] {
            world.advance(HOUR);
            assert_eq!(mails(), sent);
        }
        world.advance(DAY);
        register(&app, MINA, HOME).is(202);
        assert_eq!(mails(), 11);
    }

    fn one_order_to_remind_is_no_three_mails_more(world) {
        let app = limited(&world);
        for number in 0..3 {
            register(&app, MINA, &stranger(number)).is(202);
        }
        looked_at_all(&world);
        world.advance(HOUR);
        for number in 0..3 {
            ask(&app, RESEND, MINA, &stranger(10 + number)).is(202);
            looked_at_all(&world);
        }
        assert_eq!(world.mails_so_far(MINA).len(), 6);
    }

    fn what_this_was_not_me_sends_waits_for_no_budget(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        app.log_in_on("a browser of somebody", MINA).is(200);
        let not_me = world.link_about(MINA, NEW_DEVICE, 1);
        for number in 0..6 {
            ask(&app, ASK_RESET, MINA, &stranger(number)).is(202);
        }
        looked_at_all(&world);
        let before = world.mails_about(MINA, RESET).len();
        app.not_me(&not_me).is(204);
        world.mail_about(MINA, RESET, before + 1);
    }

    fn neither_an_account_without_proof_nor_a_change_of_address_is_a_way_around(world) {
        let app = limited_with(&world, &[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let body = json!({"email": MINA, "password": PASSWORD});
        app.post_with("/v1/register", &[("x-forwarded-for", HOME)], &body).is(201);
        for number in 0..8 {
            ask(&app, RESEND, MINA, &stranger(number)).is(202);
        }
        looked_at_all(&world);
        assert_eq!(world.mails_so_far(MINA).len(), 3);

        let body = json!({"email": "thief@example.com", "password": PASSWORD});
        let thief = app.post("/v1/register", &body).is(201).tokens();
        let victim = "victim@example.com";
        for number in 0..8 {
            let from = stranger(number);
            let bearer = format!("Bearer {}", thief.access);
            let headers = [("x-forwarded-for", from.as_str()), ("authorization", bearer.as_str())];
            let wish = json!({"new_email": victim, "password": PASSWORD});
            app.post_with("/v1/me/email", &headers, &wish).is(202);
            looked_at_all(&world);
        }
        assert_eq!(world.mails_so_far(victim).len(), 3);
    }

    fn registrations_of_strangers_do_not_use_up_what_accounts_have(world) {
        let app = limited_with(&world, &[("HALLPASS_LIMIT_MAIL_TOTAL", "10")]);
        app.person(&world, MINA);
        for number in 0..15 {
            register(&app, &format!("invented{number}@example.com"), &stranger(number)).is(202);
        }
        looked_at_all(&world);
        assert!(world.count("outbox WHERE status = 'queued'") > 0);
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        world.mail_about(MINA, RESET, 1);
    }

    fn what_follows_a_plus_is_the_same_mailbox(world) {
        let app = limited(&world);
        let address = |number| format!("mina+{number}@example.com");
        for number in 0..6 {
            register(&app, &address(number), &stranger(number)).is(202);
        }
        looked_at_all(&world);
        let mails: usize = (0..6).map(|number| world.mails_so_far(&address(number)).len()).sum();
        assert_eq!(mails, 3);
    }

    fn a_domain_and_all_have_budgets_that_cost_time_and_no_mail(world) {
        let app = limited_with(&world, &[
            ("HALLPASS_LIMIT_MAIL_DOMAIN", "10"),
            ("HALLPASS_LIMIT_MAIL_TOTAL", "12"),
        ]);
        // What is not sent takes nothing.
        for number in 0..30 {
            ask(&app, ASK_RESET, &format!("nobody{number}@one.example"), &stranger(number)).is(202);
        }
        looked_at_all(&world);
        let person = |number| format!("p{number}@one.example");
        for number in 0..10 {
            register(&app, &person(number), &stranger(number)).is(202);
        }
        looked_at_all(&world);
        world.advance(HOUR * 23);
        register(&app, &person(10), HOME).is(202);
        for number in 0..3 {
            register(&app, &format!("p{number}@two.example"), HOME).is(202);
        }
        looked_at_all(&world);
        assert!(world.mails_so_far(&person(10)).is_empty(), "its domain has had its ten");
        let to_two = |world: &World| -> usize {
            (0..3).map(|number| world.mails_so_far(&format!("p{number}@two.example")).len()).sum()
        };
        assert_eq!(to_two(&world), 2, "all have had their twelve");
        world.advance(HOUR);
        looked_at_all(&world);
        assert_eq!((world.mails_so_far(&person(10)).len(), to_two(&world)), (1, 3));
    }

    fn one_network_orders_twenty_an_hour(world) {
        let app = limited(&world);
        for number in 0..20 {
            ask(&app, ASK_RESET, &format!("a@d{number}.example"), HOME).is(202);
        }
        ask(&app, ASK_RESET, "a@last.example", HOME).refused(429, "rate_limited");
        ask(&app, ASK_RESET, "a@last.example", ELSEWHERE).is(202);
        world.advance(HOUR);
        ask(&app, ASK_RESET, "a@last.example", HOME).is(202);
    }

    fn a_registration_that_fails_takes_nothing_of_the_address(world) {
        let app = limited(&world);
        let named = json!({"email": MINA, "password": PASSWORD, "username": "mina"});
        app.verify_code(&app.register_with(&named), &world.proof(MINA, 1).code).is(200);
        let body = |name: &str| json!({"email": "nemo@example.com", "password": PASSWORD, "username": name});
        for _ in 0..4 {
            app.post("/v1/register", &body("mina")).refused(409, "username_taken");
        }
        app.post("/v1/register", &body("nemo")).is(202);
    }
}
