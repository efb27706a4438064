//! Budgets of mail that anonymous clients can request: they limit the mail to each address, and
//! always leave some for its owner.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::limits::attempts::{ELSEWHERE, HOME, limited, limited_with};
use crate::support::account::{NEW_DEVICE, RESET};
use crate::support::{Answer, DAY, HOUR, PASSWORD, TestApp, World, on_both, settled, wait_for};

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

/// An address in the `number`th network of strangers, each of another provider.
fn stranger(number: usize) -> String {
    format!("{}.{}.0.1", 20 + number / 250, number % 250)
}

/// An address in the `number`th /48 of one provider.
fn of_one_provider(number: usize) -> String {
    format!("2001:db8:{number:x}::1")
}

/// Returns the number of requests that are accepted; the others have reached a limit.
fn accepted(answers: impl Iterator<Item = Answer>) -> usize {
    let is_accepted = |answer: &Answer| {
        assert!([202, 429].contains(&answer.status), "{answer:?}");
        answer.status == 202
    };
    answers.filter(is_accepted).count()
}

/// Makes accounts at a service without limits, which sends no mail of the limited one.
fn make_accounts(world: &World, emails: impl Iterator<Item = String>) {
    let quiet = world.app();
    for email in emails {
        quiet.person(world, &email);
    }
}

/// Returns the time until the next day, from which on the budgets of the service are full again.
fn until_midnight(world: &World) -> Duration {
    let of_day = u64::try_from(world.now()).unwrap() % DAY.as_secs();
    Duration::from_secs(DAY.as_secs() - of_day)
}

/// Waits until every order was looked at: what is left waits for a budget. (The clock must not move
/// while one is looked at.)
fn looked_at_all(world: &World) {
    let due = format!("next_attempt_at <= {}", (world.now() + 1) * 1_000_000);
    let open = format!("outbox WHERE status = 'queued' AND (lease_until IS NOT NULL OR {due})");
    wait_for("the mail to be looked at", || (world.count(&open) == 0).then_some(()));
}

/// Returns the visible parts of a response, without those that differ each time.
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
    fn the_fourth_request_of_an_hour_and_the_sixth_of_a_day_are_refused_alike(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        let mut looks = Vec::new();
        for email in [MINA, "nemo@example.com"] {
            let mut seen = Vec::new();
            for _ in 0..3 {
                seen.push(look(&ask(&app, ASK_RESET, email, HOME).is(202)));
            }
            let refused = ask(&app, ASK_RESET, email, HOME).refused(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), Some("3600"));
            seen.push(look(&refused));
            // The other class of mail has a budget of its own.
            for _ in 0..3 {
                seen.push(look(&register(&app, email, HOME).is(202)));
            }
            seen.push(look(&ask(&app, RESEND, email, HOME).refused(429, "rate_limited")));
            looked_at_all(&world);
            world.advance(HOUR);
            for _ in 0..2 {
                seen.push(look(&ask(&app, ASK_RESET, email, HOME).is(202)));
            }
            looked_at_all(&world);
            let refused = ask(&app, ASK_RESET, email, HOME).refused(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), Some((23 * 3600).to_string().as_str()));
            seen.push(look(&refused));
            looks.push(seen);
        }
        assert_eq!(looks[0], looks[1]);
    }

    fn requests_by_strangers_do_not_delay_a_reset_or_a_registration(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        world.advance(DAY);
        let nemo = "nemo@example.com";
        for hour in 0..3 {
            for attacker in 0..3 {
                let from = stranger(attacker);
                let tagged = format!("nemo+{hour}.{attacker}@example.com");
                ask(&app, ASK_RESET, MINA, &from);
                register(&app, &format!("mina+{hour}.{attacker}@example.com"), &from);
                register(&app, &tagged, &from);
                ask(&app, RESEND, nemo, &from);
            }
            looked_at_all(&world);
            world.advance(HOUR);
        }
        let before = world.mails_about(MINA, RESET).len();
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        world.mail_about(MINA, RESET, before + 1);
        let body = register(&app, nemo, HOME).is(202);
        let proof = world.proof(nemo, 1);
        app.verify_code(&body.text("registration_token"), &proof.code).is(200);
    }

    fn one_network_uses_up_half_of_a_mailbox_and_no_reset(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        world.advance(DAY);
        // A customer with an IPv6 /48 and one with a /24 are one network each.
        for networks in [["2001:db8:7:1::1", "2001:db8:7:ffff::1"], ["198.18.0.1", "198.18.0.77"]] {
            let accepted = (0..20).filter(|number| {
                if number % 3 == 2 {
                    looked_at_all(&world);
                    world.advance(HOUR);
                }
                let email = format!("mina+{number}@example.com");
                let answer = register(&app, &email, networks[number % 2]);
                assert!([202, 429].contains(&answer.status));
                answer.status == 202
            });
            assert_eq!(accepted.count(), 5);
            looked_at_all(&world);
            world.advance(DAY);
        }
        looked_at_all(&world);
        assert_eq!(world.count("outbox WHERE status = 'queued'"), 0, "nothing waits");
    }

    fn aliases_of_a_provider_share_the_budget_of_their_mailbox(world) {
        let app = limited(&world);
        for aliases in [
            ["mina@gmail.com", "mi.na@gmail.com", "mina+a@googlemail.com", "m.i.n.a@googlemail.com"],
            ["mina@proton.me", "mi-na@protonmail.com", "mina+a@pm.me", "m_ina@proton.me"],
            ["mina@icloud.com", "mina@me.com", "mina+a@mac.com", "MINA@icloud.com"],
            ["mina-a@yahoo.com", "mina-b@yahoo.com", "mina@yahoo.com", "mina-c@yahoo.com"],
        ] {
            for (path, from) in [(ASK_RESET, HOME), ("/v1/register", ELSEWHERE)] {
                let answers = aliases.map(|alias| match path {
                    ASK_RESET => ask(&app, path, alias, from).status,
                    _ => register(&app, alias, from).status,
                });
                assert_eq!(answers, [202, 202, 202, 429], "{path}: {aliases:?}");
            }
        }
        // At other providers these are mailboxes of their own.
        let other = stranger(1);
        for email in ["mina-a@example.com", "mina-b@example.com", "mi.na@example.com", "mina@example.com"] {
            ask(&app, ASK_RESET, email, &other).is(202);
        }
    }

    fn the_first_request_of_each_network_has_a_place(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        world.advance(DAY);
        for (class, path) in [("resets", ASK_RESET), ("verification", RESEND)] {
            // All that three networks can do in this hour and the next.
            for _ in 0..2 {
                for attacker in 0..3 {
                    for _ in 0..4 {
                        ask(&app, path, MINA, &stranger(attacker));
                    }
                }
                looked_at_all(&world);
                world.advance(HOUR);
            }
            ask(&app, path, MINA, &stranger(10)).is(202);
            ask(&app, path, MINA, &stranger(10)).is(202);
            let again = ask(&app, path, MINA, &stranger(10));
            assert_eq!(again.status, 429, "{class}: later requests have had their half");
            ask(&app, path, MINA, &stranger(11)).is(202);
        }
        looked_at_all(&world);
        // Three first requests, three second ones and five later ones of strangers, and these.
        assert_eq!(world.mails_about(MINA, RESET).len(), 3 + 3 + 5 + 3);
    }

    fn strangers_keep_no_owner_from_the_second_reset_of_a_day(world) {
        let app = limited(&world);
        let sieges = [3, 5, 8, 12];
        let owner = |networks: usize| format!("owner{networks}@example.com");
        for networks in sieges {
            app.person(&world, &owner(networks));
        }
        world.advance(DAY);
        for networks in sieges {
            let owner = owner(networks);
            ask(&app, ASK_RESET, &owner, HOME).is(202);
            for number in 0..networks {
                for _ in 0..3 {
                    ask(&app, ASK_RESET, &owner, &stranger(20 * networks + number));
                }
            }
            looked_at_all(&world);
            // The link of the last mail is valid, whichever request it was for.
            ask(&app, ASK_RESET, &owner, HOME).is(202);
            looked_at_all(&world);
            let mails = world.mails_about(&owner, RESET).len();
            let most = 1 + networks + 5 + 5 + 1;
            assert!(mails <= most, "{mails} mails after {networks} networks");
            let link = world.link_about(&owner, RESET, mails);
            app.reset_by_link(&link, "chosen under siege").is(204);
        }
    }

    fn twenty_five_mails_of_each_class_go_to_a_mailbox_at_once_and_then_one_in_half_an_hour(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        world.advance(DAY);
        let before = world.mails_so_far(MINA).len();
        let tagged = "mina+shop@example.com";
        for number in 0..40 {
            for email in [MINA, tagged] {
                register(&app, email, &stranger(number));
                ask(&app, RESEND, email, &stranger(number));
                ask(&app, ASK_RESET, email, &stranger(number));
                ask(&app, ASK_RESET, email, &stranger(number));
            }
        }
        looked_at_all(&world);
        let mails = || world.mails_so_far(MINA).len() - before + world.mails_so_far(tagged).len();
        let at_once = mails();
        // Twenty-five of each class, one beyond of verifications and one of resets for each address,
        // and five for the other registrations that wait.
        assert!((15..=58).contains(&at_once), "{at_once}");
        for half_hour in 1..=4 {
            world.advance(HOUR / 2);
            looked_at_all(&world);
            assert!(mails() <= 58 + half_hour, "{} after {at_once}", mails());
        }
        world.advance(DAY);
        let before = world.mails_about(MINA, RESET).len();
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        world.mail_about(MINA, RESET, before + 1);
    }

    fn strangers_in_many_networks_keep_no_owner_from_a_reset(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        world.advance(DAY);
        for number in 0..15 {
            ask(&app, ASK_RESET, MINA, &stranger(number)).is(202);
        }
        looked_at_all(&world);
        assert_eq!(world.mails_about(MINA, RESET).len(), 15);
        // Tags share the budget, and send nothing to this account.
        ask(&app, ASK_RESET, "mina+x@example.com", &stranger(16)).is(202);
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        let link = world.link_about(MINA, RESET, 16);
        // The mail that is there is enough for all who ask while its link lives.
        for number in 20..30 {
            ask(&app, ASK_RESET, MINA, &stranger(number)).is(202);
            ask(&app, ASK_RESET, "nemo@example.com", &stranger(number)).is(202);
        }
        looked_at_all(&world);
        assert_eq!(world.mails_about(MINA, RESET).len(), 16);
        app.reset_by_link(&link, "chosen under siege").is(204);
        world.advance(HOUR / 2);
        // It was answered without a mail before, and is the first of its network that has one.
        ask(&app, ASK_RESET, MINA, &stranger(20)).is(202);
        world.link_about(MINA, RESET, 17);
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        world.link_about(MINA, RESET, 18);
    }

    fn networks_that_mix_all_requests_take_the_place_of_no_newcomer_and_no_owner(world) {
        let app = limited(&world);
        let sieges = [5, 6, 12];
        let owner = |networks: usize| format!("owner{networks}@example.com");
        for networks in sieges {
            app.person(&world, &owner(networks));
        }
        world.advance(DAY);
        for networks in sieges {
            let newcomer = format!("new{networks}@example.com");
            for number in 0..networks {
                let from = stranger(20 * networks + number);
                for round in 0..3 {
                    let mut answers = Vec::new();
                    for email in [&newcomer, &owner(networks)] {
                        let tagged = email.replace('@', &format!("+{number}.{round}@"));
                        answers.push(register(&app, &tagged, &from));
                        answers.push(ask(&app, RESEND, email, &from));
                        answers.push(ask(&app, ASK_RESET, email, &from));
                    }
                    assert!(answers.iter().all(|it| [202, 429].contains(&it.status)));
                }
            }
            looked_at_all(&world);
            let before = world.mails_about(&owner(networks), RESET).len();
            ask(&app, ASK_RESET, &owner(networks), HOME).is(202);
            let link = world.link_about(&owner(networks), RESET, before + 1);
            app.reset_by_link(&link, "chosen under siege").is(204);
            let pending = register(&app, &newcomer, HOME).is(202);
            let proof = world.proof(&newcomer, 1);
            app.verify_code(&pending.text("registration_token"), &proof.code).is(200);
        }
    }

    fn repeats_take_no_place_of_first_requests(world) {
        let app = limited(&world);
        for number in 0..5 {
            for round in 0..3 {
                register(&app, &format!("nemo+{number}.{round}@example.com"), &stranger(number));
            }
        }
        // The budgets of repeats are used up, that of first requests has ten left.
        register(&app, "nemo+r@example.com", &stranger(0)).refused(429, "rate_limited");
        let mut seconds = Vec::new();
        for number in 5..15 {
            register(&app, &format!("nemo+{number}@example.com"), &stranger(number)).is(202);
            seconds.push(register(&app, &format!("nemo+r{number}@example.com"), &stranger(number)));
            register(&app, "nemo+r@example.com", &stranger(number)).refused(429, "rate_limited");
        }
        // In half an hour, one second request is served all the same.
        let retry_after = seconds[1].header("retry-after").map(str::to_owned);
        assert_eq!(retry_after.as_deref(), Some("1800"));
        assert_eq!(accepted(seconds.into_iter()), 1);
        looked_at_all(&world);
        assert_eq!(world.count("outbox WHERE status = 'queued'"), 0, "nothing waits");
    }

    fn a_first_registration_beyond_the_budget_is_sent_before_its_link_expires_or_refused(world) {
        let app = limited(&world);
        let tagged = |number: usize| format!("nemo+{number}@example.com");
        for number in 0..15 {
            register(&app, &tagged(number), &stranger(number)).is(202);
        }
        // One mail in half an hour is sent all the same, for a day.
        let mut last = None;
        for number in 15..63 {
            last = Some(register(&app, &tagged(number), &stranger(number)).is(202));
        }
        let refused = register(&app, "nemo@example.com", HOME).refused(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), Some("1"));
        looked_at_all(&world);
        assert_eq!(world.count("outbox WHERE status = 'queued'"), 47);
        world.advance(HOUR / 2);
        register(&app, "nemo@example.com", HOME).is(202);
        looked_at_all(&world);
        assert_eq!(world.mails_so_far(&tagged(16)).len(), 1);
        assert_eq!(world.mails_so_far(&tagged(17)).len(), 0);
        // The last of them has half an hour left.
        world.advance(HOUR * 23);
        let proof = world.proof(&tagged(62), 1);
        app.verify_code(&last.unwrap().text("registration_token"), &proof.code).is(200);
    }

    fn a_resend_and_a_change_beyond_the_budget_wait_too(world) {
        let app = limited(&world);
        let thief = app.person(&world, "thief@example.com");
        register(&app, MINA, HOME).is(202);
        for number in 0..15 {
            ask(&app, RESEND, MINA, &stranger(number)).is(202);
        }
        looked_at_all(&world);
        let before = world.mails_so_far(MINA).len();
        ask(&app, RESEND, MINA, &stranger(15)).is(202);
        let change = |access: &str| {
            let (from, bearer) = (stranger(16), format!("Bearer {access}"));
            let headers = [("x-forwarded-for", from.as_str()), ("authorization", bearer.as_str())];
            let body = json!({"new_email": MINA, "password": PASSWORD});
            settled(|| app.post_with("/v1/me/email", &headers, &body))
        };
        // The link of a change lives for an hour.
        change(&thief.access).refused(429, "rate_limited");
        looked_at_all(&world);
        assert_eq!(world.mails_so_far(MINA).len(), before);
        world.advance(HOUR / 2);
        looked_at_all(&world);
        assert_eq!(world.mails_so_far(MINA).len(), before + 1);
        let thief = app.refresh(&thief.refresh).is(200).tokens();
        change(&thief.access).is(202);
    }

    fn a_late_reset_is_reported_and_sent_while_limits_are_reported(world) {
        let app = world.app_with(&[("HALLPASS_LIMITS", "report"), ("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")]);
        app.person(&world, MINA);
        let reported = |number: usize| {
            let answer = ask(&app, ASK_RESET, MINA, &stranger(number)).is(202);
            answer.header("x-production-limit").map(str::to_owned)
        };
        for number in 0..16 {
            assert_eq!(reported(number), None, "{number}");
        }
        assert!(reported(16).is_some_and(|it| it.starts_with("429 rate_limited")));
    }

    fn no_mail_is_left_out_while_limits_are_reported(world) {
        let app = world.app_with(&[("HALLPASS_LIMITS", "report"), ("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")]);
        for number in 0..2 {
            register(&app, MINA, &stranger(number)).is(202);
        }
        looked_at_all(&world);
        for number in 0..8 {
            ask(&app, RESEND, MINA, &stranger(10 + number)).is(202);
            looked_at_all(&world);
        }
        // Each repetition is of both registrations.
        assert_eq!(world.mails_so_far(MINA).len(), 2 + 2 * 8);
    }

    fn registrations_from_the_own_network_take_no_reset_away(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for number in 0..3 {
            register(&app, &format!("mina+{number}@example.com"), HOME).is(202);
        }
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        world.mail_about(MINA, RESET, 1);
    }

    fn a_repeated_verification_counts_each_of_its_mails(world) {
        let app = limited(&world);
        for number in 0..3 {
            register(&app, MINA, &stranger(number)).is(202);
        }
        looked_at_all(&world);
        for number in 0..5 {
            ask(&app, RESEND, MINA, &stranger(10 + number));
            looked_at_all(&world);
        }
        let mails = world.mails_so_far(MINA).len();
        // One for each request, and five more for the other registrations that wait.
        assert!((6..=13).contains(&mails), "{mails}");
        assert_eq!(world.count("outbox WHERE status = 'queued'"), 0, "nothing waits");
    }

    fn a_reset_for_a_registration_is_no_way_around_the_budget(world) {
        let app = limited(&world);
        register(&app, MINA, HOME).is(202);
        looked_at_all(&world);
        for number in 0..20 {
            ask(&app, ASK_RESET, MINA, &stranger(number));
            looked_at_all(&world);
        }
        // One mail of the registration, and the first resets that the mailbox may have, with the
        // late one.
        assert_eq!(world.mails_so_far(MINA).len(), 1 + 16);
    }

    fn one_network_that_mixes_requests_takes_no_repeat_from_the_owner_of_a_registration(world) {
        let app = limited(&world);
        register(&app, MINA, HOME).is(202);
        looked_at_all(&world);
        for _ in 0..2 {
            for _ in 0..3 {
                register(&app, MINA, &stranger(1));
                ask(&app, ASK_RESET, MINA, &stranger(1));
                ask(&app, RESEND, MINA, &stranger(1));
                looked_at_all(&world);
            }
            world.advance(HOUR);
        }
        let before = world.mails_so_far(MINA).len();
        ask(&app, RESEND, MINA, HOME).is(202);
        looked_at_all(&world);
        assert!(world.mails_so_far(MINA).len() > before);
        ask(&app, ASK_RESET, MINA, HOME).is(202);
    }

    fn the_networks_of_one_ipv6_customer_order_twenty_an_hour(world) {
        let app = limited(&world);
        let from = |number: usize| format!("2001:db8:55:{number:x}::1");
        for number in 0..20 {
            ask(&app, ASK_RESET, &format!("a@d{number}.example"), &from(number)).is(202);
        }
        ask(&app, ASK_RESET, "a@last.example", &from(20)).refused(429, "rate_limited");
        ask(&app, ASK_RESET, "a@last.example", "2001:db8:56::1").is(202);
    }

    fn one_account_names_twenty_addresses_an_hour_from_all_networks_together(world) {
        let app = limited(&world);
        let eve = app.person(&world, "eve@example.com");
        app.person(&world, MINA);
        let bearer = format!("Bearer {}", eve.access);
        let change = |number: usize| {
            let from = stranger(number);
            let headers = [("x-forwarded-for", from.as_str()), ("authorization", bearer.as_str())];
            let wish = json!({"new_email": format!("a@d{number}.example"), "password": PASSWORD});
            app.post_with("/v1/me/email", &headers, &wish)
        };
        for number in 0..20 {
            change(number).is(202);
        }
        change(20).refused(429, "rate_limited");
        let log_in = json!({"username": "eve@example.com", "password": PASSWORD}).to_string();
        let json_type = ("content-type", "application/json");
        let django = app.send_undocumented("POST", "/api-token-auth/", &[json_type], log_in);
        let django = django.is(200).text("token");
        let path = format!("/users/{}/", eve.user_id());
        let jwt = format!("JWT {django}");
        let from = stranger(30);
        let headers = [
            ("x-forwarded-for", from.as_str()),
            ("authorization", jwt.as_str()),
            json_type,
        ];
        let body = json!({"email": MINA}).to_string();
        assert_eq!(app.send_undocumented("PATCH", &path, &headers, body).status, 429);
    }

    fn the_reset_after_a_report_waits_for_no_budget(world) {
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

    fn neither_an_unverified_account_nor_a_change_of_address_is_a_way_around(world) {
        let app = limited_with(&world, &[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        let body = json!({"email": MINA, "password": PASSWORD});
        app.post_with("/v1/register", &[("x-forwarded-for", HOME)], &body).is(201);
        for number in 0..20 {
            ask(&app, RESEND, MINA, &stranger(number));
        }
        looked_at_all(&world);
        assert_eq!(world.mails_so_far(MINA).len(), 16);

        let body = json!({"email": "thief@example.com", "password": PASSWORD});
        let thief = app.post("/v1/register", &body).is(201).tokens();
        let victim = "victim@example.com";
        for number in 0..20 {
            let from = stranger(number);
            let bearer = format!("Bearer {}", thief.access);
            let headers = [("x-forwarded-for", from.as_str()), ("authorization", bearer.as_str())];
            let wish = json!({"new_email": victim, "password": PASSWORD});
            app.post_with("/v1/me/email", &headers, &wish);
            looked_at_all(&world);
        }
        let mails = world.mails_so_far(victim).len();
        assert!((5..=17).contains(&mails), "{mails}");
    }

    fn registrations_of_strangers_do_not_use_up_what_resets_have(world) {
        let app = limited_with(&world, &[("HALLPASS_LIMIT_MAIL_TOTAL", "10")]);
        app.person(&world, MINA);
        for number in 0..9 {
            register(&app, &format!("invented{number}@example.com"), &stranger(number)).is(202);
        }
        let refused = register(&app, "invented9@example.com", HOME).refused(429, "rate_limited");
        let retry_after = until_midnight(&world).as_secs();
        assert_eq!(refused.header("retry-after"), Some(retry_after.to_string().as_str()));
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        world.mail_about(MINA, RESET, 1);
    }

    fn a_request_whose_mail_would_come_too_late_is_refused(world) {
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
            register(&app, &person(number), &stranger(100 + number)).is(202);
        }
        register(&app, &person(10), HOME).refused(429, "rate_limited");
        register(&app, "p0@two.example", &stranger(120)).is(202);
        register(&app, "p1@two.example", &stranger(121)).is(202);
        register(&app, "p2@two.example", HOME).refused(429, "rate_limited");
        // Everything that was accepted is sent at once.
        looked_at_all(&world);
        assert_eq!(world.count("outbox WHERE status = 'queued'"), 0);

        make_accounts(&world, (20..30).map(person));
        world.advance(until_midnight(&world));
        for number in 20..30 {
            ask(&app, ASK_RESET, &person(number), &stranger(number)).is(202);
        }
        looked_at_all(&world);
        let refused = ask(&app, ASK_RESET, &person(20), HOME).refused(429, "rate_limited");
        let unknown = ask(&app, ASK_RESET, "nobody@one.example", HOME).refused(429, "rate_limited");
        assert_eq!(look(&refused), look(&unknown));
        // Shortly before the next day a reset waits for it.
        world.advance(until_midnight(&world).saturating_sub(HOUR / 3));
        ask(&app, ASK_RESET, &person(20), HOME).is(202);
        looked_at_all(&world);
        assert_eq!(world.mails_about(&person(20), RESET).len(), 1);
        world.advance(HOUR / 3);
        world.mail_about(&person(20), RESET, 2);
        register(&app, &person(10), HOME).is(202);
        world.proof(&person(10), 1);
    }

    fn few_networks_use_up_no_domain_and_no_total(world) {
        for (class, scope) in [("registrations", "DOMAIN"), ("registrations", "TOTAL"), ("resets", "DOMAIN"), ("resets", "TOTAL")] {
            let limit = format!("HALLPASS_LIMIT_MAIL_{scope}");
            let app = limited_with(&world, &[(limit.as_str(), "40"), ("HALLPASS_LIMIT_MAIL_NETWORK", "4")]);
            world.alter("DELETE FROM limits");
            world.advance(until_midnight(&world));
            let domain = format!("{class}-{}.example", scope.to_lowercase());
            let person = |number: usize| format!("p{number}@{domain}");
            if class == "resets" {
                make_accounts(&world, (1..100).map(person));
            }
            let mut addresses = 0;
            let mut next = || {
                addresses += 1;
                person(addresses)
            };
            let request = |email: &str, from: &str| {
                let answer = match class {
                    "resets" => ask(&app, ASK_RESET, email, from),
                    _ => register(&app, email, from),
                };
                looked_at_all(&world);
                answer
            };
            // Two networks use up a quarter with all that they may request in several hours.
            for _ in 0..4 {
                for number in [0, 1] {
                    for _ in 0..4 {
                        let answer = request(&next(), &stranger(number));
                        assert!([202, 429].contains(&answer.status), "{answer:?}");
                    }
                }
                world.advance(HOUR);
            }
            // An office gets four, whatever these do; it needs a higher limit for more.
            for _ in 0..4 {
                request(&next(), HOME).is(202);
            }
            request(&next(), HOME).refused(429, "rate_limited");
            // More networks use up half of it, and the first request of each further one is served.
            for number in 2..8 {
                for _ in 0..4 {
                    let answer = request(&next(), &stranger(number));
                    assert!([202, 429].contains(&answer.status), "{answer:?}");
                }
            }
            request(&next(), &stranger(2)).refused(429, "rate_limited");
            let served = accepted((10..40).map(|number| request(&next(), &stranger(number))));
            // Of the firsts, three, six and these.
            assert_eq!(20 + 9 + served, 40, "{class}, {scope}: the limit stays a bound");
            let retry_after = until_midnight(&world).as_secs();
            let refused = request(&next(), ELSEWHERE).refused(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), Some(retry_after.to_string().as_str()));
            world.advance(until_midnight(&world));
            request(&next(), ELSEWHERE).is(202);
        }
    }

    fn resets_for_unknown_addresses_use_up_no_share_of_the_known_ones(world) {
        let app = limited_with(&world, &[("HALLPASS_LIMIT_MAIL_DOMAIN", "10")]);
        app.person(&world, MINA);
        for number in 0..40 {
            ask(&app, ASK_RESET, &format!("nobody{number}@example.com"), &stranger(number / 10)).is(202);
        }
        looked_at_all(&world);
        ask(&app, ASK_RESET, MINA, HOME).is(202);
        world.mail_about(MINA, RESET, 1);
    }

    fn the_many_networks_of_one_provider_have_few_first_requests(world) {
        let app = limited_with(&world, &[("HALLPASS_LIMIT_MAIL_DOMAIN", "40"), ("HALLPASS_LIMIT_MAIL_TOTAL", "1000")]);
        let invented = |number: usize| format!("p{number}@example.com");
        let answers = (0..50).map(|number| register(&app, &invented(number), &of_one_provider(number)));
        // Ten first requests, and half of the budget as repeats.
        assert_eq!(accepted(answers), 10 + 20);
        register(&app, "newcomer@example.com", HOME).is(202);
        world.proof("newcomer@example.com", 1);
    }

    fn the_many_networks_of_one_provider_delay_no_newcomer(world) {
        let app = limited(&world);
        let newcomer = "newcomer@example.com";
        for number in 0..40 {
            let tagged = newcomer.replace('@', &format!("+{number}@"));
            register(&app, &tagged, &of_one_provider(number)).is(202);
        }
        let pending = register(&app, newcomer, HOME).is(202);
        let proof = world.proof(newcomer, 1);
        app.verify_code(&pending.text("registration_token"), &proof.code).is(200);
    }

    fn an_office_with_a_raised_limit_registers_all_its_people_in_an_hour(world) {
        let app = limited_with(&world, &[("HALLPASS_LIMIT_MAIL_NETWORK", "60"), ("HALLPASS_LIMIT_MAIL_DOMAIN", "120")]);
        for number in 0..60 {
            register(&app, &format!("p{number}@office.example"), HOME).is(202);
        }
        register(&app, "p60@office.example", HOME).refused(429, "rate_limited");
    }

    fn the_networks_of_one_ipv6_customer_create_twenty_accounts_an_hour(world) {
        let app = limited_with(&world, &[("HALLPASS_EMAIL_VERIFICATION", "none")]);
        let from = |number: usize| format!("2001:db8:55:{number:x}::1");
        for number in 0..20 {
            register(&app, &format!("p{number}@one.example"), &from(number)).is(201);
        }
        register(&app, "p20@one.example", &from(20)).refused(429, "rate_limited");
        register(&app, "p20@one.example", "2001:db8:56::1").is(201);
    }

    fn a_registration_without_mail_takes_no_mail_budget(world) {
        let app = limited_with(&world, &[
            ("HALLPASS_EMAIL_VERIFICATION", "none"),
            ("HALLPASS_LIMIT_MAIL_DOMAIN", "10"),
        ]);
        for number in 0..12 {
            register(&app, &format!("p{number}@one.example"), HOME).is(201);
        }
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
