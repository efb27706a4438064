//! Requests that compete for a flow, an identity or an account.

use serde_json::{Value, json};

use super::{Flow, MINA, Site, finish_at, with};
use crate::support::{Tokens, at_once, on_both};

/// Repetitions of a race.
const ROUNDS: usize = 20;

on_both! {
    fn of_many_finishes_with_one_code_all_get_the_same_session(world) {
        let site = Site::new(&world);
        let second = Site::another(&world, &site.provider, &[]);
        for round in 0..ROUNDS {
            let flow = site.start("test");
            site.grant(&site.claims(&flow, &format!("user{round}")));
            let answers = at_once(8, |number| {
                let app = if number % 2 == 0 { &site.app } else { &second };
                finish_at(app, &flow, &[], &json!({}))
            });
            let sessions: Vec<Tokens> =
                answers.into_iter().map(|answer| answer.is(200).tokens()).collect();
            assert!(sessions.iter().all(|it| it.session == sessions[0].session));
            assert!(sessions.iter().all(|it| it.refresh == sessions[0].refresh));
            assert_eq!(site.provider.requests("/token").len(), round + 1);
        }
        let made = i64::try_from(ROUNDS).unwrap();
        assert_eq!((world.count("users"), world.count("sessions")), (made, made));
    }

    fn of_two_codes_at_once_one_is_exchanged(world) {
        let site = Site::new(&world);
        for round in 1..=ROUNDS {
            let flow = site.start("test");
            site.grant(&site.claims(&flow, "mina"));
            let answers = at_once(8, |number| {
                site.finish_with(&flow, &[], &json!({"code": format!("code-{}", number % 2)}))
            });
            let exchanged = site.provider.requests("/token");
            assert_eq!(exchanged.len(), round);
            let code = exchanged[round - 1].field("code").unwrap();
            for (number, answer) in answers.into_iter().enumerate() {
                if format!("code-{}", number % 2) == code {
                    answer.is(200);
                } else {
                    answer.refused(401, "code_invalid");
                }
            }
        }
        assert_eq!(world.count("users"), 1);
    }

    fn first_log_ins_of_one_identity_at_once_make_one_account(world) {
        let site = Site::new(&world);
        for round in 0..10 {
            let flows: Vec<Flow> = (0..4).map(|_| site.start("test")).collect();
            for (number, flow) in flows.iter().enumerate() {
                let id_token = site.key.sign(&site.claims(flow, &format!("user{round}")));
                site.provider.grant_code(&format!("code-{number}"), &id_token);
            }
            let answers = at_once(4, |number| {
                let code = json!({"code": format!("code-{number}")});
                site.finish_with(&flows[number], &[], &code)
            });
            let users: Vec<i64> =
                answers.into_iter().map(|it| it.is(200).tokens().user_id()).collect();
            assert!(users.iter().all(|id| *id == users[0]), "{users:?}");
            let made = round + 1;
            assert_eq!((world.count("users"), world.count("identities")), (made, made));
        }
    }

    fn first_log_ins_of_two_identities_with_one_address_at_once_make_one_account(world) {
        let site = Site::new(&world);
        for round in 1..=ROUNDS {
            let email = json!(format!("user{round}@example.com"));
            let flows = [0, 1].map(|number| {
                let flow = site.start("test");
                let claims = site.claims(&flow, &format!("{round}-{number}"));
                let claims = with(claims, &[("email", email.clone())]);
                site.provider.grant_code(&format!("code-{number}"), &site.key.sign(&claims));
                flow
            });
            let answers = at_once(2, |number| {
                let code = json!({"code": format!("code-{number}")});
                site.finish_with(&flows[number], &[], &code)
            });
            let users: Vec<i64> =
                answers.into_iter().map(|it| it.is(200).tokens().user_id()).collect();
            assert_eq!(users[0], users[1]);
            let made = i64::try_from(round).unwrap();
            assert_eq!((world.count("users"), world.count("identities")), (made, 2 * made));
        }
    }

    fn a_verification_by_mail_and_a_log_in_with_the_address_at_once_make_one_account(world) {
        let site = Site::new(&world);
        for round in 1..=ROUNDS {
            let subject = format!("user{round}");
            let email = format!("{subject}@example.com");
            let registration = site.app.register(&email);
            let code = world.proof(&email, 1).code;
            let flow = site.start("test");
            site.grant(&site.claims(&flow, &subject));
            let answers = at_once(2, |number| match number {
                0 => site.app.verify_code(&registration, &code),
                _ => site.finish(&flow),
            });
            let [verified, finished] = <[_; 2]>::try_from(answers).ok().unwrap();
            let user = finished.is(200).tokens().user_id();
            // The identity was linked to the account, or has taken the address of the registration.
            match verified.status {
                200 => assert_eq!(verified.tokens().user_id(), user),
                status => assert_eq!(status, 401, "{}", verified.shown()),
            }
            let made = i64::try_from(round).unwrap();
            assert_eq!((world.count("users"), world.count("identities")), (made, made));
        }
    }

    fn of_two_users_who_link_one_identity_at_once_one_has_it(world) {
        let site = Site::new(&world);
        let users = [site.app.person(&world, MINA), site.app.person(&world, "ravi@example.com")];
        for round in 0..ROUNDS {
            let subject = format!("subject{round}");
            let flows = [0, 1].map(|number| {
                let flow = site.start_as(&users[number], "test");
                let id_token = site.key.sign(&site.claims(&flow, &subject));
                site.provider.grant_code(&format!("code-{number}"), &id_token);
                flow
            });
            let answers = at_once(2, |number| {
                let bearer = format!("Bearer {}", users[number].access);
                let code = json!({"code": format!("code-{number}")});
                site.finish_with(&flows[number], &[("authorization", &bearer)], &code)
            });
            let mut statuses: Vec<u16> = answers.iter().map(|it| it.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409]);
            assert_eq!(world.count(&format!("identities WHERE subject = '{subject}'")), 1);
        }
    }

    fn link_and_unlink_at_once_leave_a_way_to_log_in(world) {
        let site = Site::new(&world);
        let mina = site.log_in("mina").is(200).tokens();
        for round in 0..ROUNDS {
            let old: Vec<Value> = site.identities(&mina);
            let flow = site.start_as(&mina, "test");
            site.grant(&site.claims(&flow, &format!("next{round}")));
            let answers = at_once(2, |number| {
                if number == 0 {
                    return site.finish_as(&mina, &flow);
                }
                let id = old[0]["id"].as_str().unwrap();
                site.app.delete_as(&mina.access, &format!("/v1/me/identities/{id}"))
            });
            assert_eq!(answers[0].status, 200, "{}", answers[0].shown());
            let left = site.identities(&mina);
            match answers[1].status {
                204 => assert_eq!(left.len(), old.len()),
                409 => assert_eq!(left.len(), old.len() + 1),
                status => panic!("{status}"),
            }
        }
    }

    fn of_two_who_unlink_the_last_two_identities_at_once_one_is_refused(world) {
        let site = Site::new(&world);
        let mina = site.log_in("mina").is(200).tokens();
        for round in 0..ROUNDS {
            site.link(&mina, &format!("next{round}")).is(200);
            let both = site.identities(&mina);
            let answers = at_once(2, |number| {
                let id = both[number]["id"].as_str().unwrap();
                site.app.delete_as(&mina.access, &format!("/v1/me/identities/{id}"))
            });
            let mut statuses: Vec<u16> = answers.iter().map(|it| it.status).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [204, 409]);
            assert_eq!(site.identities(&mina).len(), 1);
        }
    }

    fn an_account_that_is_deleted_during_a_finish_is_gone(world) {
        let site = Site::new(&world);
        for round in 0..ROUNDS {
            let subject = format!("user{round}");
            let user = site.log_in(&subject).is(200).tokens();
            let (log_in, link) = (site.start("test"), site.start_as(&user, "test"));
            let links = round % 2 == 0;
            let flow = if links { &link } else { &log_in };
            let granted = if links { format!("{subject}-second") } else { subject.clone() };
            site.grant(&site.claims(flow, &granted));
            let answers = at_once(2, |number| match number {
                0 if links => site.finish_as(&user, flow),
                0 => site.finish(flow),
                _ => site.app.delete_as(&user.access, "/v1/me"),
            });
            assert_eq!(answers[1].status, 204, "{}", answers[1].shown());
            let id = user.user_id();
            assert_eq!(world.count(&format!("users WHERE id = {id}")), 0);
            assert_eq!(world.count(&format!("identities WHERE user_id = {id}")), 0);
            assert_eq!(world.count(&format!("sessions WHERE user_id = {id} AND ended_at IS NULL")), 0);
            let finished = &answers[0];
            assert!([200, 401].contains(&finished.status), "{}", finished.shown());
        }
    }
}
