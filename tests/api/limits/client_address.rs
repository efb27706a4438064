//! The client's IP address: `X-Forwarded-For` counts from configured proxies only. The tests read
//! it in the export of a user.

use serde_json::json;

use crate::support::{PASSWORD, TestApp, World, on_both};

const MINA: &str = "mina@example.com";
const OWN: &str = "127.0.0.0/24";

/// The network of a session that is opened with these headers.
fn network(app: &TestApp, headers: &[(&str, &str)]) -> String {
    let body = json!({"username": MINA, "password": PASSWORD});
    let tokens = app.post_with("/v1/token-auth", headers, &body).is(200).tokens();
    let export = app.get_as(&tokens.access, "/v1/me/export").is(200).json();
    let sessions = export["sessions"].as_array().unwrap();
    let session = sessions.iter().find(|it| it["id"] == tokens.session.as_str()).unwrap();
    session["network"].as_str().unwrap().to_owned()
}

fn forwarded(app: &TestApp, hops: &[&str]) -> String {
    let headers: Vec<(&str, &str)> = hops.iter().map(|it| ("x-forwarded-for", *it)).collect();
    network(app, &headers)
}

fn app(world: &World, proxies: &str) -> TestApp {
    world.app_with(&[("HALLPASS_TRUSTED_PROXIES", proxies), ("HALLPASS_SESSIONS_PER_USER", "100")])
}

on_both! {
    fn without_configured_proxies_no_header_is_trusted(world) {
        let app = world.app();
        app.person(&world, MINA);
        assert_eq!(forwarded(&app, &[]), OWN);
        assert_eq!(forwarded(&app, &["203.0.113.9"]), OWN);
        for name in ["x-real-ip", "forwarded", "x-client-ip", "cf-connecting-ip", "true-client-ip"] {
            assert_eq!(network(&app, &[(name, "203.0.113.9")]), OWN, "{name}");
        }
        assert_eq!(network(&app, &[("forwarded", "for=203.0.113.9")]), OWN);
    }

    fn a_proxy_that_is_not_the_peer_is_not_believed(world) {
        let app = app(&world, "10.0.0.0/8, 192.0.2.7");
        app.person(&world, MINA);
        assert_eq!(forwarded(&app, &["203.0.113.9"]), OWN);
        assert_eq!(forwarded(&app, &["203.0.113.9, 10.0.0.1"]), OWN);
    }

    fn behind_a_proxy_the_rightmost_hop_that_is_none_is_the_client(world) {
        let app = app(&world, "127.0.0.1, 10.0.0.0/8, 2001:db8:ff::/48");
        app.person(&world, MINA);
        for (hops, expected) in [
            (vec![], OWN),
            (vec!["203.0.113.9"], "203.0.113.0/24"),
            (vec!["198.51.100.1, 203.0.113.9"], "203.0.113.0/24"),
            (vec!["198.51.100.1", "203.0.113.9"], "203.0.113.0/24"),
            (vec!["203.0.113.9, 10.1.2.3"], "203.0.113.0/24"),
            (vec!["198.51.100.1,203.0.113.9,10.1.2.3,127.0.0.1"], "203.0.113.0/24"),
            (vec!["203.0.113.9", "10.1.2.3, 10.4.5.6"], "203.0.113.0/24"),
            (vec!["203.0.113.9, 2001:db8:ff::1"], "203.0.113.0/24"),
            (vec!["  203.0.113.9  "], "203.0.113.0/24"),
            (vec!["203.0.113.9:4711"], "203.0.113.0/24"),
            (vec!["::ffff:203.0.113.9"], "203.0.113.0/24"),
            (vec!["203.0.113.9, ::ffff:10.1.2.3"], "203.0.113.0/24"),
            (vec!["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
            (vec!["[2001:db8:1:2::1]:443"], "2001:db8:1:2::/64"),
            (vec!["10.1.2.3"], "10.1.2.0/24"),
            // An unreadable entry hides those left of it.
            (vec!["203.0.113.9, unknown"], OWN),
            (vec!["203.0.113.9, unknown, 10.1.2.3"], "10.1.2.0/24"),
            (vec![""], OWN),
            (vec!["203.0.113.9,"], OWN),
            (vec!["x' OR 1=1"], OWN),
        ] {
            assert_eq!(forwarded(&app, &hops), expected, "{hops:?}");
        }
        // Two headers in an order that tries to hide the real one.
        assert_eq!(forwarded(&app, &["10.9.9.9", "203.0.113.9"]), "203.0.113.0/24");
    }
}
