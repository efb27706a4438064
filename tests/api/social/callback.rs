//! The start of a flow, and the redirect of a provider through the service.

use serde_json::json;

use super::{RETURN_TO, Site, parameters};
use crate::support::{Answer, SECOND, on_both};

fn callback(site: &Site, provider: &str, query: &str) -> Answer {
    site.app.get(&format!("/v1/social/{provider}/callback?{query}"))
}

fn location(answer: &Answer) -> String {
    answer.header("location").unwrap().to_owned()
}

on_both! {
    fn providers_are_listed_for_front_ends(world) {
        let site = Site::new(&world);
        let list = site.app.get("/v1/social/providers").is(200).json();
        let expected = json!({"providers": [
            {"id": "doubtful", "display_name": "doubtful", "kind": "oidc",
             "start_url": "http://auth.test/v1/social/doubtful/start", "accepts_id_tokens": false},
            {"id": "test", "display_name": "Test", "kind": "oidc",
             "start_url": "http://auth.test/v1/social/test/start", "accepts_id_tokens": true},
        ]});
        assert_eq!(list, expected);
        let config = site.app.get("/v1/config").is(200).json();
        assert_eq!(config["social_providers"], expected["providers"]);
    }

    fn a_flow_returns_to_a_page_of_the_list_only(world) {
        let site = Site::new(&world);
        for bad in [
            "https://app.test/in", "https://app.test/in?x=1&y=2", "https://app.test/in?x=1#a",
            "https://APP.test/in?x=1", "https://app.test/in?x=1 ", "https://app.test.evil.example/in?x=1",
            "https://app.test:443/in?x=1", "//app.test/in?x=1", "javascript:alert(1)", "",
            "https://user@app.test/in?x=1", "https://app.test@evil.example/in?x=1", "HTTPS://app.test/in?x=1",
            "https://app.test./in?x=1", "https://app.test/in?x=%31", "https://app.test\\in?x=1",
            "https://app.test/./in?x=1", "https://app.test/in/?x=1", "https://app.test/in?x=1\n",
            "https://app.test/in?x=1\u{200b}", "https:app.test/in?x=1", "myapp://in/", "MYAPP://in",
        ] {
            let answer = site.app.post("/v1/social/test/start", &json!({"return_to": bad}));
            assert_eq!(answer.faults()[0].0, "return_to", "{bad}");
        }
        for good in [RETURN_TO, "myapp://in"] {
            let flow = site.start_with("test", &[], &json!({"return_to": good}));
            assert_eq!(flow.query["redirect_uri"], "http://auth.test/v1/social/test/callback");
            assert_eq!(flow.query["code_challenge_method"], "S256");
        }
        site.app.post("/v1/social/unknown/start", &json!({"return_to": RETURN_TO})).refused(404, "not_found");
        let long = json!({"return_to": "x".repeat(3000)});
        assert_eq!(site.app.post("/v1/social/test/start", &long).faults()[0].1, "too_long");
    }

    fn the_callback_passes_code_and_state_on_and_changes_nothing(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        let state = &flow.query["state"];
        let before = world.rows_with("");
        for _ in 0..2 {
            let answer = callback(&site, "test", &format!("state={state}&code=a%20b%26c&scope=x&authuser=0")).is(303);
            let url = location(&answer);
            assert!(url.starts_with("https://app.test/in?x=1&"), "{url}");
            let query = parameters(&url);
            assert_eq!((&query["code"], &query["state"]), (&"a b&c".to_owned(), state));
            assert_eq!(query.len(), 3, "{url}");
        }
        assert_eq!(world.rows_with(""), before);
        // The flow is not used up by that.
        site.grant(&site.claims(&flow, "mina"));
        site.finish(&flow).is(200);
    }

    fn the_page_gets_no_fragment_of_a_provider(world) {
        let site = Site::new(&world);
        for page in [RETURN_TO, "myapp://in"] {
            let flow = site.start_with("test", &[], &json!({"return_to": page}));
            let state = &flow.query["state"];
            for query in ["&code=c-1", "&error=access_denied", ""] {
                let answer = callback(&site, "test", &format!("state={state}{query}")).is(303);
                // Browsers keep the fragment of the URL that they come from (`#_=_`, say) unless
                // there is one, even an empty one.
                assert!(location(&answer).ends_with(&format!("state={state}#")), "{page} {query}");
                assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
            }
        }
    }

    fn a_form_of_a_provider_on_another_site_is_passed_on_without_what_is_not_signed(world) {
        let site = Site::with(&world, &[("HALLPASS_CORS_ORIGINS", "https://app.test")]);
        let flow = site.start("test");
        let form = [
            ("state", flow.query["state"].as_str()), ("code", "c-1"), ("id_token", "x.y.z"),
            ("user", r#"{"name": {"firstName": "Eve"}, "email": "eve@example.com"}"#),
        ];
        let origin = [("origin", "https://appleid.apple.com")];
        let answer = site.app.post_form("/v1/social/test/callback", &origin, &form).is(303);
        let query = parameters(&location(&answer));
        assert_eq!(query["code"], "c-1");
        assert_eq!(query.len(), 3);
        // An error counts, whatever comes with it.
        let with_error = [&form[..], &[("error", "user_cancelled_authorize")]].concat();
        let answer = site.app.post_form("/v1/social/test/callback", &origin, &with_error).is(303);
        let query = parameters(&location(&answer));
        assert_eq!((query["error"].as_str(), query.len()), ("access_denied", 3));
        site.app.post("/v1/social/test/callback", &json!({"state": "x"}))
            .refused(415, "unsupported_media_type");
    }

    fn an_error_of_a_provider_is_passed_on_by_name_only(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        let state = &flow.query["state"];
        for (sent, told) in [
            ("access_denied", "access_denied"),
            ("user_cancelled_authorize", "access_denied"),
            ("temporarily_unavailable", "temporarily_unavailable"),
            ("login_required", "login_required"),
            ("%3Cscript%3Ealert(1)%3C%2Fscript%3E", "server_error"),
            ("", "server_error"),
        ] {
            let query = format!("state={state}&error={sent}&error_description=call+me+at+555&error_uri=https://evil.example");
            let url = location(&callback(&site, "test", &query).is(303));
            let query = parameters(&url);
            assert_eq!(query["error"], told, "{sent}");
            assert!(!url.contains("555") && !url.contains("evil") && !url.contains("script"), "{url}");
            assert!(!query.contains_key("code"));
        }
        let url = location(&callback(&site, "test", &format!("state={state}")).is(303));
        assert_eq!(parameters(&url)["error"], "server_error");
        let twice = location(&callback(&site, "test", &format!("state={state}&code=a&code=b")).is(303));
        assert_eq!(parameters(&twice)["error"], "server_error");
    }

    fn a_response_to_no_flow_of_this_provider_goes_nowhere(world) {
        let site = Site::new(&world);
        let flow = site.start("test");
        let state = &flow.query["state"];
        for (provider, query) in [
            ("test", "code=c-1".to_owned()),
            ("test", "state=&code=c-1".to_owned()),
            ("test", "state=unknown&code=c-1".to_owned()),
            ("test", format!("state={state}&state={state}&code=c-1")),
            ("test", format!("state={}&code=c-1", flow.token)),
            // A mix-up: the state of a flow at one provider comes from another.
            ("doubtful", format!("state={state}&code=c-1")),
            ("unknown", format!("state={state}&code=c-1")),
        ] {
            callback(&site, provider, &query).refused(401, "one_time_token_invalid");
        }
        world.advance(SECOND * 600);
        let url = location(&callback(&site, "test", &format!("state={state}&code=c-1")).is(303));
        assert_eq!(parameters(&url)["error"], "flow_expired");
        world.advance(SECOND * 3_601);
        world.purge();
        callback(&site, "test", &format!("state={state}&code=c-1")).refused(401, "one_time_token_invalid");
        assert_eq!(world.count("social_flows"), 0);
    }

    fn the_issuer_of_a_response_must_be_the_one_of_the_provider(world) {
        let site = Site::new(&world);
        let mut metadata = site.provider.metadata();
        metadata["authorization_response_iss_parameter_supported"] = json!(true);
        let at = "/.well-known/openid-configuration";
        site.provider.on(at, crate::scripted_provider::Answer::json(&metadata));
        let issuer = site.provider.issuer();
        let flow = site.start("test");
        let state = &flow.query["state"];
        for (iss, error) in [
            (String::new(), Some("invalid_issuer")),
            ("&iss=https://evil.example".to_owned(), Some("invalid_issuer")),
            (format!("&iss={issuer}/"), Some("invalid_issuer")),
            (format!("&iss={issuer}&iss={issuer}"), Some("invalid_issuer")),
            (format!("&iss={issuer}"), None),
        ] {
            let url = location(&callback(&site, "test", &format!("state={state}&code=c-1{iss}")).is(303));
            let page = parameters(&url);
            assert_eq!(page.get("error").map(String::as_str), error, "{iss}");
            assert_eq!(page.get("iss"), error.is_none().then_some(&issuer), "{iss}");
        }
        // `finish` looks at it too: the front end may be what the provider redirects to.
        for wrong in [json!({}), json!({"iss": "https://evil.example"})] {
            let flow = site.start("test");
            site.grant(&site.claims(&flow, "mina"));
            site.finish_with(&flow, &[], &wrong).refused(401, "code_invalid");
            assert_eq!(site.provider.requests("/token").len(), 0, "the code went to a provider");
        }
        site.grant(&site.claims(&flow, "mina"));
        site.finish_with(&flow, &[], &json!({"iss": issuer})).is(200);
    }

    fn a_provider_can_redirect_to_the_front_end_itself(world) {
        let site = Site::with(&world, &[("HALLPASS_SOCIAL_CALLBACK", "front-end")]);
        let flow = site.start("test");
        assert_eq!(flow.query["redirect_uri"], RETURN_TO);
        site.grant(&site.claims(&flow, "mina"));
        site.finish(&flow).is(200);
        let request = site.provider.requests("/token").remove(0);
        assert_eq!(request.field("redirect_uri").as_deref(), Some(RETURN_TO));
    }
}
