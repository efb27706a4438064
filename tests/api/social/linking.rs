//! Identities of an account: linked, listed, unlinked, exported, deleted.

use hallpass::config::{Config, Timing};
use serde_json::{Value, json};

use super::{CLIENT, MINA, RETURN_TO, Site, finish_at, with};
use crate::scripted_provider::ScriptedProvider;
use crate::support::account::{NEW_DEVICE, RESET};
use crate::support::{HOUR, PASSWORD, SECOND, Tokens, World, on_both};

fn kinds(site: &Site, access: &str) -> Vec<String> {
    let events = site.app.get_as(access, "/v1/me/events").is(200).json();
    let events = events["events"].as_array().unwrap().iter();
    events.map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

fn id_of(identity: &Value) -> String {
    format!("/v1/me/identities/{}", identity["id"].as_str().unwrap())
}

/// Settings of a provider that is trusted with e-mail addresses.
fn provider_settings(name: &str, issuer: &str) -> Vec<(String, String)> {
    let settings = [("ISSUER", issuer), ("CLIENT_ID", CLIENT), ("TRUST_EMAIL", "on")];
    let named = |(end, value): (&str, &str)| {
        (format!("HALLPASS_SOCIAL_OIDC_{name}_{end}"), value.to_owned())
    };
    settings.map(named).to_vec()
}

fn two(identities: Vec<Value>) -> [Value; 2] {
    identities.try_into().unwrap()
}

/// Logs Mina in at the first provider and links an identity at the second one.
fn log_in_and_link(world: &World, site: &Site, second: &ScriptedProvider) -> Tokens {
    let mina = site.log_in("mina").is(200).tokens();
    world.advance(SECOND);
    let flow = site.start_as(&mina, "second");
    let issuer = json!(second.issuer());
    second.grant(&site.key.sign(&with(site.claims(&flow, "m"), &[("iss", issuer)])));
    site.finish_as(&mina, &flow).is(200);
    mina
}

/// Resets the password of Mina and logs in with it.
fn log_in_with_new_password(world: &World, site: &Site) -> Tokens {
    site.app.ask_reset(MINA).is(202);
    let link = world.link_about(MINA, RESET, 1);
    site.app.reset_by_link(&link, PASSWORD).is(204);
    site.app.log_in(MINA, PASSWORD).is(200).tokens()
}

on_both! {
    fn a_user_who_is_logged_in_links_and_unlinks_an_identity(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        // The address of the identity does not matter.
        let linked = site.link(&mina, "someone-else").is(200).json();
        assert_eq!(linked, json!({"status": "linked"}));
        let identities = site.identities(&mina);
        assert_eq!(identities.len(), 1);
        assert_eq!(identities[0]["email"], "someone-else@example.com");
        let mail = world.mail_about(MINA, "was linked to your", 1);
        assert!(mail.subject.contains("Test"), "{}", mail.subject);
        let by_identity = site.log_in("someone-else").is(200).tokens();
        assert_eq!(by_identity.user_id(), mina.user_id());
        assert!(site.identities(&mina)[0]["last_used_at"].is_string());
        // Once more is no fault and no event.
        site.link(&mina, "someone-else").is(200);
        assert_eq!(site.identities(&mina).len(), 1);

        let path = id_of(&identities[0]);
        site.app.delete_as(&mina.access, &path).is(204);
        site.app.delete_as(&mina.access, &path).refused(404, "not_found");
        site.app.delete_as(&mina.access, "/v1/me/identities/none").refused(404, "not_found");
        world.mail_about(MINA, "was unlinked from your", 1);
        let kinds = kinds(&site, &mina.access);
        let count = |kind: &str| kinds.iter().filter(|it| *it == kind).count();
        assert_eq!((count("identity_linked"), count("identity_unlinked")), (1, 1), "{kinds:?}");
        // The identity leads to an account of its own now.
        assert_ne!(site.log_in("someone-else").is(200).tokens().user_id(), mina.user_id());
    }

    fn linking_takes_the_same_user_at_both_ends_and_a_recent_log_in(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        let ravi = site.app.person(&world, "ravi@example.com");
        let flow = site.start_as(&mina, "test");
        site.grant(&site.claims(&flow, "subject"));
        site.finish(&flow).refused(401, "authentication_required");
        site.finish_as(&ravi, &flow).refused(401, "one_time_token_invalid");
        let made_up = [("authorization", "Bearer made.up.token")];
        site.finish_with(&flow, &made_up, &json!({})).refused(401, "token_invalid");
        site.app.revoke(&ravi.refresh).is(204);
        site.finish_as(&ravi, &flow).refused(401, "token_revoked");
        assert_eq!(world.count("identities"), 0);
        site.finish_as(&mina, &flow).is(200);
        // The same request again; and a flow of a log-in does not link.
        site.finish_as(&mina, &flow).is(200);
        let flow = site.start("test");
        site.grant(&site.claims(&flow, "other-subject"));
        let other = site.finish_as(&mina, &flow).is(200).tokens();
        assert_ne!(other.user_id(), mina.user_id());

        world.advance(SECOND * 299);
        let again = site.app.refresh(&mina.refresh).is(200).tokens();
        site.app.me(&again.access).is(200);
        let started = site.start_as(&again, "test");
        world.advance(SECOND);
        let bearer = format!("Bearer {}", again.access);
        let body = json!({"return_to": RETURN_TO});
        let headers = [("authorization", bearer.as_str())];
        site.app.post_with("/v1/social/test/start", &headers, &body).refused(403, "reauth_required");
        let path = id_of(&site.identities(&again)[0]);
        site.app.delete_as(&again.access, &path).refused(403, "reauth_required");
        // What was begun in time is finished.
        let now = world.now();
        let claims = with(site.claims(&started, "third"), &[("iat", json!(now)), ("exp", json!(now + 60))]);
        site.grant(&claims);
        site.finish_as(&again, &started).is(200);
    }

    fn an_ended_session_links_nothing_at_an_instance_that_does_not_know_of_its_end(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        let config = Site::config(&world, &site.provider, &[]);
        // It reads the ended sessions once, at its start.
        let timing = Timing { sync_period: HOUR, ..config.timing };
        let unaware = world.app_of(Config { timing, ..config });
        let flow = site.start_as(&mina, "test");
        site.grant(&site.claims(&flow, "subject"));
        site.app.revoke(&mina.refresh).is(204);
        unaware.me(&mina.access).is(200);
        let site = Site { app: unaware, ..site };
        site.finish_as(&mina, &flow).refused(401, "token_revoked");
        assert_eq!(world.count("identities"), 0);
    }

    fn an_identity_of_another_account_is_a_conflict(world) {
        let site = Site::new(&world);
        let ravi = site.log_in("ravi").is(200).tokens();
        let mina = site.app.person(&world, MINA);
        let flow = site.start_as(&mina, "test");
        site.grant(&site.claims(&flow, "ravi"));
        for _ in 0..2 {
            site.finish_as(&mina, &flow).refused(409, "identity_conflict");
        }
        assert_eq!(site.identities(&mina).len(), 0);
        assert_eq!(site.log_in("ravi").is(200).tokens().user_id(), ravi.user_id());
    }

    fn the_last_way_to_log_in_stays(world) {
        let site = Site::new(&world);
        let mina = site.log_in("mina").is(200).tokens();
        let first = id_of(&site.identities(&mina)[0]);
        site.app.delete_as(&mina.access, &first).refused(409, "last_login_method");
        site.link(&mina, "second").is(200);
        site.app.delete_as(&mina.access, &first).is(204);
        let second = id_of(&site.identities(&mina)[0]);
        site.app.delete_as(&mina.access, &second).refused(409, "last_login_method");
        let mina = log_in_with_new_password(&world, &site);
        site.app.delete_as(&mina.access, &second).is(204);
        assert_eq!(world.count("identities"), 0);
    }

    fn an_identity_whose_provider_is_not_configured_is_no_way_to_log_in(world) {
        let mut site = Site::new(&world);
        let second = ScriptedProvider::openid(&[&site.key]);
        let issuer = second.issuer();
        site = site.beside(&world, &provider_settings("SECOND", &issuer));
        let mina = log_in_and_link(&world, &site, &second);
        let [first, other] = two(site.identities(&mina));
        assert_eq!((&first["usable"], &other["usable"]), (&json!(true), &json!(true)));

        // Its provider is gone, or its name means another issuer now.
        let staff = site.app.staff(&world, "staff@example.com");
        for settings in [Vec::new(), provider_settings("SECOND", &site.provider.issuer())] {
            site = site.beside(&world, &settings);
            let [kept, unusable] = two(site.identities(&mina));
            assert_eq!((&kept["usable"], &unusable["usable"]), (&json!(true), &json!(false)));
            site.app.delete_as(&mina.access, &id_of(&first)).refused(409, "last_login_method");
            let path = format!("/v1/users/{}", mina.user_id());
            let account = site.app.get_as(&staff.access, &path).is(200).json();
            assert_eq!(account["identities"], json!([kept, unusable]));
            let export = site.app.get_as(&mina.access, "/v1/me/export").is(200).json();
            assert_eq!(export["identities"], account["identities"]);
        }

        // Under another name, the issuer is the same one.
        site = site.beside(&world, &provider_settings("RENAMED", &issuer));
        site.app.delete_as(&mina.access, &id_of(&first)).is(204);
        // Nothing else is left, and the provider may come back.
        site = site.beside(&world, &[]);
        site.app.delete_as(&mina.access, &id_of(&other)).refused(409, "last_login_method");
        let mina = log_in_with_new_password(&world, &site);
        site.app.delete_as(&mina.access, &id_of(&other)).is(204);
        assert_eq!(world.count("identities"), 0);
    }

    fn an_identity_without_provider_is_unlinked_while_another_logs_in(world) {
        let mut site = Site::new(&world);
        let second = ScriptedProvider::openid(&[&site.key]);
        let issuer = second.issuer();
        site = site.beside(&world, &provider_settings("SECOND", &issuer));
        let mina = log_in_and_link(&world, &site, &second);
        site = site.beside(&world, &[]);
        let [first, other] = two(site.identities(&mina));
        site.app.delete_as(&mina.access, &id_of(&other)).is(204);
        assert_eq!(site.identities(&mina), [first]);
    }

    fn one_cannot_unlink_the_identity_of_another(world) {
        let site = Site::new(&world);
        let (mina, ravi) =
            (site.log_in("mina").is(200).tokens(), site.log_in("ravi").is(200).tokens());
        site.link(&ravi, "second").is(200);
        let path = id_of(&site.identities(&ravi)[0]);
        site.app.delete_as(&mina.access, &path).refused(404, "not_found");
        assert_eq!(site.identities(&ravi).len(), 2);
    }

    fn a_report_of_unauthorized_activity_unlinks_what_was_linked_since(world) {
        let site = Site::new(&world);
        let mina = site.app.person(&world, MINA);
        site.link(&mina, "own").is(200);
        world.settle_mail();
        world.advance(SECOND);
        // A thief of the session links an identity.
        site.link(&mina, "thief").is(200);
        let notice = world.link_about(MINA, "was linked to your", 2);
        site.app.not_me(&notice).is(204);
        let left = world.text("SELECT subject AS text FROM identities");
        assert_eq!(left, "own");
        assert_eq!(world.count("events WHERE kind = 'identity_unlinked'"), 1);
        assert_ne!(site.log_in("thief").is(200).tokens().user_id(), mina.user_id());
    }

    fn a_report_unlinks_what_was_linked_since_whatever_the_clocks_of_the_instances_tell(world) {
        let site = Site::new(&world);
        let ahead = world.app_ahead_of(Site::config(&world, &site.provider, &[]), SECOND * 2);
        let mina = site.app.person(&world, MINA);
        // Her own identity is linked where the clock is ahead, and the thief's notices are of both.
        let flow = site.start_as(&mina, "test");
        site.grant(&site.claims(&flow, "own"));
        let bearer = format!("Bearer {}", mina.access);
        finish_at(&ahead, &flow, &[("authorization", &bearer)], &json!({})).is(200);
        for (round, app) in [&site.app, &ahead].into_iter().enumerate() {
            let stolen = app.log_in_on(["curl/8.5.0", "Wget/1.21"][round], MINA).is(200).tokens();
            site.link(&stolen, "thief").is(200);
            site.app.not_me(&world.link_about(MINA, NEW_DEVICE, round + 1)).is(204);
            assert_eq!(world.text("SELECT subject AS text FROM identities"), "own");
            assert_eq!(world.count("identities"), 1);
        }
    }

    fn either_notice_of_the_first_log_in_at_a_provider_unlinks_it(world) {
        let site = Site::new(&world);
        for about in ["was linked to your", NEW_DEVICE] {
            let name = if about == NEW_DEVICE { "mina" } else { "ravi" };
            let email = format!("{name}@example.com");
            site.app.person(&world, &email);
            let flow = site.start("test");
            site.grant(&site.claims(&flow, name));
            site.finish_with(&flow, &[("user-agent", "curl/8.5.0")], &json!({})).is(200);
            site.app.not_me(&world.link_about(&email, about, 1)).is(204);
            assert_eq!(world.count("identities"), 0, "{about}");
        }
    }

    fn staff_see_the_identities_of_an_account(world) {
        let site = Site::new(&world);
        let mina = site.log_in("mina").is(200).tokens();
        let staff = site.app.staff(&world, "staff@example.com");
        let path = format!("/v1/users/{}", mina.user_id());
        let account = site.app.get_as(&staff.access, &path).is(200).json();
        assert_eq!(account["identities"], json!(site.identities(&mina)));
        let list = site.app.get_as(&staff.access, "/v1/users").is(200).json();
        assert!(list["users"].as_array().unwrap().iter().all(|it| it.get("identities").is_none()));
        site.app.get_as(&mina.access, &path).refused(403, "permission_denied");
    }

    fn export_and_deletion_include_identities(world) {
        let site = Site::new(&world);
        let mina = site.log_in("mina").is(200).tokens();
        let export = site.app.get_as(&mina.access, "/v1/me/export").is(200).json();
        assert_eq!(export["identities"], json!(site.identities(&mina)));
        site.app.delete_as(&mina.access, "/v1/me").is(204);
        for table in ["identities", "social_flows", "pending_identities"] {
            assert_eq!(world.count(table), 0, "{table}");
        }
        let again = site.log_in("mina").is(200).tokens();
        assert_ne!(again.user_id(), mina.user_id());
    }

    fn an_identity_that_waits_for_a_verification_is_forgotten_with_it(world) {
        let site = Site::new(&world);
        site.log_in_at("doubtful", "mina").is(202);
        assert_eq!(world.count("pending_identities"), 1);
        world.advance(crate::support::DAY);
        world.purge();
        assert_eq!(world.count("pending_identities"), 0);
        assert_eq!(world.rows_with(MINA).iter().filter(|row| !row.starts_with("outbox")).count(), 0);
    }
}

/// A world is not needed for this one.
#[test]
fn without_providers_there_is_nothing_to_log_in_at() {
    let world = World::sqlite();
    let app = world.app();
    assert_eq!(app.get("/v1/social/providers").is(200).json(), json!({"providers": []}));
    let body = json!({"return_to": RETURN_TO});
    app.post("/v1/social/google/start", &body).refused(404, "not_found");
    let body = json!({"flow_token": "hps_x", "code": "c", "state": "s"});
    app.post("/v1/social/google/finish", &body).refused(404, "not_found");
    let body = json!({"id_token": "x.y.z", "nonce": "n"});
    app.post("/v1/social/google/token", &body).refused(404, "not_found");
}
