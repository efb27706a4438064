//! Browsers in cookie mode: the access token comes in a cookie, so it matters who sends it.

use crate::setting::behind_each_proxy;

behind_each_proxy! {
    fn the_cookie_is_as_good_as_a_bearer_token(setting) {
        let cookie = format!("Cookie: theme=dark; {}", setting.log_in_with_cookie());
        assert!(cookie.contains("__Host-hallpass_access="), "{cookie}");
        let own = format!("Origin: {}", setting.origin());
        for headers in [&[cookie.as_str(), own.as_str()][..], &[&cookie, "Sec-Fetch-Site: same-origin"]] {
            let answer = setting.send("POST", "/orders", headers, b"");
            assert_eq!(answer.status, 200, "{headers:?}: {answer:?}");
            let arrived = setting.application.take_one();
            assert_eq!(arrived.header("x-auth-user-id"), Some("1"), "{arrived:?}");
        }
    }

    fn the_cookie_from_a_foreign_origin_is_refused(setting) {
        let cookie = format!("Cookie: {}", setting.log_in_with_cookie());
        for origin in ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1.evil.example"] {
            let answer = setting.send("POST", "/orders", &[&cookie, &format!("Origin: {origin}")], b"");
            setting.assert_refused(&answer, 403, "origin_rejected");
        }
    }
}
