//! Cookies and origins of a browser.

use serde_json::{Value, json};

use super::{Answer, PASSWORD, TestApp};

/// The origin of a front end that may call.
pub const FRONT_END: &str = "https://app.test";
/// The settings that permit it.
pub const SETTINGS: [(&str, &str); 1] =
    [("HALLPASS_CORS_ORIGINS", "https://app.test,http://127.0.0.1:5173")];

/// The cookies of cookie mode.
#[derive(Clone, Debug)]
pub struct Cookies {
    pub refresh: String,
    pub access: String,
}

impl Cookies {
    /// Returns the header that a browser sends.
    pub fn header(&self) -> String {
        let Self { refresh, access } = self;
        format!("__Host-hallpass_refresh={refresh}; __Host-hallpass_access={access}")
    }
}

impl Answer {
    /// Returns every `Set-Cookie`.
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect()
    }

    /// Returns the two cookies that were set. The body has no refresh token.
    #[track_caller]
    pub fn cookies(&self) -> Cookies {
        assert!(!self.shown().contains("refresh_token"), "{}", self.shown());
        assert!(!self.shown().contains("hpr_"), "{}", self.shown());
        let value = |name: &str| {
            let start = format!("__Host-hallpass_{name}=");
            let mut values =
                self.set_cookies().into_iter().filter_map(|it| it.strip_prefix(&start));
            let value = values.next().unwrap_or_else(|| panic!("no {start}"));
            assert!(values.next().is_none(), "{:?}", self.set_cookies());
            value.split(';').next().unwrap().to_owned()
        };
        Cookies { refresh: value("refresh"), access: value("access") }
    }
}

impl TestApp {
    /// Sends a request as a page of the front end does.
    pub fn post_from_page(&self, path: &str, cookies: Option<&Cookies>, body: &Value) -> Answer {
        let cookie = cookies.map(Cookies::header);
        let mut headers = vec![("origin", FRONT_END)];
        headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
        self.post_with(path, &headers, body)
    }

    pub fn log_in_page(&self, username: &str) -> Answer {
        let body = json!({"username": username, "password": PASSWORD, "use_cookie": true});
        self.post_from_page("/v1/token-auth", None, &body)
    }

    pub fn refresh_page(&self, cookies: &Cookies) -> Answer {
        self.post_from_page("/v1/token-refresh", Some(cookies), &json!({"use_cookie": true}))
    }
}
