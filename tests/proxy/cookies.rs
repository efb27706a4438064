//! Browsers in cookie mode: the access token comes in a cookie, so it matters who sends it.

use crate::proxy::setting::{bearer, behind_each_proxy};

behind_each_proxy! {
    fn the_cookie_is_as_good_as_a_bearer_token(setting) {
        let cookie = format!("Cookie: theme=dark; {}; lang=ko", setting.log_in_with_cookie());
        assert!(cookie.contains("__Host-hallpass_access="), "{cookie}");
        let own = format!("Origin: {}", setting.origin());
        for headers in [&[cookie.as_str(), own.as_str()][..], &[&cookie, "Sec-Fetch-Site: same-origin"]] {
            let headers = [headers, &["Content-Length: 0"]].concat();
            let answer = setting.send("POST", "/orders", &headers, b"");
            assert_eq!(answer.status, 200, "{answer:?}");
            let arrived = setting.application.take_one();
            assert_eq!(arrived.header("x-auth-user-id"), Some("1"), "{arrived:?}");
            if setting.kind != Kind::Traefik {
                assert_eq!(arrived.header("cookie"), Some("theme=dark; lang=ko"), "no tokens");
            }
        }
    }

    fn the_tokens_in_cookies_are_for_hallpass_alone(setting) {
        let cookies = setting.log_in_with_cookie();
        let token = bearer(&setting.log_in()["access_token"]);
        let (first, second) = cookies.split_once("; ").unwrap();
        for sent in [cookies.clone(), format!("{second}; {first}"), format!("{first}; a=b; {second}"),
            format!("a=b; {first}; c=d; {second}"), first.to_owned(), second.to_owned()] {
            for path in ["/orders", "/public/"] {
                setting.get(path, &[&token, &format!("Cookie: {sent}")]);
                let arrived = setting.application.take_one();
                let cookie = arrived.header("cookie").unwrap_or_default();
                // Traefik cannot remove single cookies: docs/reverse-proxies.md says so.
                assert_eq!(cookie.contains("hallpass"), setting.kind == Kind::Traefik, "{cookie}");
                assert_eq!(cookie.contains("a=b"), sent.contains("a=b"), "{cookie}");
            }
        }
        let headers = [&format!("Cookie: {cookies}"), &format!("Origin: {}", setting.origin()),
            "Content-Type: application/json", "Content-Length: 19"];
        let answer = setting.send("POST", "/v1/token-refresh", &headers, b"{\"use_cookie\":true}");
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn the_cookie_from_a_foreign_origin_is_refused(setting) {
        let cookie = format!("Cookie: {}", setting.log_in_with_cookie());
        for origin in ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1.evil.example"] {
            let headers = [&cookie, &format!("Origin: {origin}"), "Content-Length: 0"];
            let answer = setting.send("POST", "/orders", &headers, b"");
            setting.assert_refused(&answer, 403, "origin_rejected");
        }
    }
}
