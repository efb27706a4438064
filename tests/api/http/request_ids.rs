//! Ids of requests: our own or those of a trusted proxy, never those of a client.

use crate::support::{Answer, TestApp, on_both};

const ID: &str = "0af7651916cd43dd8448eb211c80319c-17";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn ask(app: &TestApp, headers: &[(&str, &str)]) -> Answer {
    let answer = app.send("GET", "/v1/me", headers, "");
    assert_eq!(answer.header("x-request-id"), Some(answer.text("request_id").as_str()));
    answer
}

on_both! {
    fn those_of_a_trusted_proxy_are_taken(world) {
        let app = world.app_with(&[("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")]);
        let answer = ask(&app, &[("x-request-id", ID), ("traceparent", TRACEPARENT)]);
        assert_eq!(answer.text("request_id"), ID);
        assert_eq!(answer.text("trace_id"), TRACE);
        // One is enough.
        let answer = ask(&app, &[("x-request-id", ID)]);
        assert_eq!((answer.text("request_id").as_str(), answer.json().get("trace_id")), (ID, None));
        let answer = ask(&app, &[("traceparent", TRACEPARENT)]);
        assert_eq!(answer.text("trace_id"), TRACE);
        assert_ne!(answer.text("request_id"), ask(&app, &[]).text("request_id"));
        // What succeeds has an id too.
        let health = app.send("GET", "/healthz", &[("x-request-id", ID)], "").is(200);
        assert_eq!(health.header("x-request-id"), Some(ID));
    }

    fn what_is_no_id_is_replaced(world) {
        let app = world.app_with(&[("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")]);
        let long = "a".repeat(129);
        for id in ["", "a b", "a\"b", "{}", "<a>", "a;b", long.as_str(), "\u{e9}"] {
            let answer = ask(&app, &[("x-request-id", id), ("traceparent", id)]);
            assert_eq!(answer.text("request_id").len(), 36, "{id}");
            assert_eq!(answer.json().get("trace_id"), None, "{id}");
        }
        let twice = ask(&app, &[("x-request-id", "one"), ("x-request-id", "two")]);
        assert_eq!(twice.text("request_id").len(), 36);
    }

    fn ids_of_other_clients_than_a_trusted_proxy_are_ignored(world) {
        for proxies in ["", "10.0.0.0/8,192.0.2.7"] {
            let app = world.app_with(&[("HALLPASS_TRUSTED_PROXIES", proxies)]);
            let headers = [
                ("x-request-id", ID), ("traceparent", TRACEPARENT), ("x-forwarded-for", "10.0.0.1"),
            ];
            let answer = ask(&app, &headers);
            assert_ne!(answer.text("request_id"), ID);
            assert_eq!(answer.json().get("trace_id"), None);
        }
    }
}
