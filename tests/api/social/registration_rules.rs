//! Rules for registration, as far as a log-in at a provider would create an account.

use super::{MINA, Site};
use crate::support::{World, link_token, on_both};

const ROOT: &str = "root@example.com";

fn site_in_mode(world: &World, mode: &str) -> Site {
    Site::with(world, &[("HALLPASS_REGISTRATION", mode)])
}

on_both! {
    fn a_new_identity_makes_no_account_unless_registration_is_open(world) {
        for mode in ["closed", "invited"] {
            let site = site_in_mode(&world, mode);
            let flow = site.start("test");
            site.grant(&site.claims(&flow, "mina"));
            site.finish(&flow).refused(403, "registration_closed");
            // The same request gets the same answer again.
            site.finish(&flow).refused(403, "registration_closed");
        }
        site_in_mode(&world, "closed").log_in_at("doubtful", "mina").refused(403, "registration_closed");
        for policy in ["optional", "none"] {
            let settings =
                [("HALLPASS_REGISTRATION", "invited"), ("HALLPASS_EMAIL_VERIFICATION", policy)];
            let site = Site::with(&world, &settings);
            site.log_in_at("doubtful", "mina").refused(403, "registration_closed");
        }
        assert_eq!(world.count("users") + world.count("challenges WHERE email IS NOT NULL"), 0);
    }

    fn an_unverified_address_gets_a_mail_only_if_it_is_invited(world) {
        let root = world.app().superuser(&world, ROOT);
        let site = site_in_mode(&world, "invited");
        let body = serde_json::json!({"email": MINA});
        site.app.ask_as(&root.access, "POST", "/v1/users", &body).is(201);
        world.mails_to(MINA, 1);
        site.log_in_at("doubtful", "mina").is(202);
        site.log_in_at("doubtful", "stranger").is(202);
        world.settle_mail();
        assert_eq!(world.mails_so_far("stranger@example.com").len(), 0);
        // The mail lets the owner choose a password, and links no identity.
        let mails = world.mails_to(MINA, 2);
        site.app.reset_by_link(&link_token(&mails[1]), crate::support::PASSWORD).is(204);
        assert_eq!(world.count("identities"), 0);
        // From now on a trusted identity of the address is linked.
        site.log_in("mina").is(200);
        assert_eq!(world.count("identities"), 1);
    }

    fn a_trusted_identity_leaves_an_invitation_as_it_is(world) {
        let root = world.app().superuser(&world, ROOT);
        for mode in ["open", "invited"] {
            let site = site_in_mode(&world, mode);
            let email = format!("{mode}@example.com");
            let body = serde_json::json!({"email": email, "is_staff": true});
            let invited = site.app.ask_as(&root.access, "POST", "/v1/users", &body).is(201).json();
            let link = link_token(&world.mails_to(&email, 1)[0]);
            for _ in 0..2 {
                site.log_in(mode).refused(409, "identity_conflict");
            }
            site.app.reset_by_link(&link, crate::support::PASSWORD).is(204);
            let claims = site.log_in(mode).is(200).tokens().claims();
            assert_eq!((&claims["user_id"], &claims["is_staff"]), (&invited["user_id"], &true.into()));
        }
        assert_eq!((world.count("users"), world.count("identities")), (3, 2));
    }

    fn accounts_log_in_with_identities_whatever_the_rules(world) {
        let mina = world.app().person(&world, MINA);
        let settings =
            [("HALLPASS_REGISTRATION", "closed"), ("HALLPASS_EMAIL_DOMAINS_DENIED", "example.com")];
        let site = Site::with(&world, &settings);
        for _ in 0..2 {
            assert_eq!(site.log_in("mina").is(200).tokens().user_id(), mina.user_id());
        }
    }

    fn a_new_account_has_an_address_of_an_allowed_domain(world) {
        let site = Site::with(&world, &[("HALLPASS_EMAIL_DOMAINS_ALLOWED", "example.org")]);
        let refused = [("email".to_owned(), "domain_not_allowed".to_owned())];
        for provider in ["test", "doubtful"] {
            assert_eq!(site.log_in_at(provider, "mina").faults(), refused, "{provider}");
        }
        assert_eq!(world.count("users") + world.count("challenges WHERE email IS NOT NULL"), 0);
        let allowed = [("email", serde_json::json!("mina@example.org"))];
        site.log_in_with("test", "mina", &allowed).is(200);
    }

    fn mails_to_unverified_addresses_have_the_limits_of_registrations(world) {
        let site = Site::with(&world, &[("HALLPASS_LIMITS", "on")]);
        let sends = |_: &usize| site.log_in_at("doubtful", "mina").status == 202;
        let sent = (0..10).take_while(sends).count();
        assert!((1..=3).contains(&sent), "{sent} mails");
        let refused = site.log_in_at("doubtful", "mina").refused(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
        let body = serde_json::json!({"email": MINA, "password": crate::support::PASSWORD});
        site.app.post("/v1/register", &body).refused(429, "rate_limited");
        world.settle_mail();
        assert_eq!(world.mails_so_far(MINA).len(), sent);
        // Log-ins that send no mail go on.
        for _ in 0..2 {
            site.log_in("mina").is(200);
        }
    }

    fn an_account_of_a_log_in_at_a_provider_is_not_taken_for_an_invited_one(world) {
        let root = world.app().superuser(&world, ROOT);
        let site = Site::with(&world, &[("HALLPASS_EMAIL_VERIFICATION", "optional")]);
        site.log_in_at("doubtful", "mina").is(200);
        let body = serde_json::json!({"email": MINA});
        site.app.ask_as(&root.access, "POST", "/v1/users", &body).refused(409, "email_taken");
    }
}
