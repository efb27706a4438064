//! The URLs of the adapter, and the descriptions of its pages.

use serde_json::{Value, json};

/// A page of the reference site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// `/api-token-auth/`
    ObtainToken,
    /// `/api-token-verify/`
    VerifyToken,
    /// `/api-token-refresh/`
    RefreshToken,
    /// `/restricted/`
    Restricted,
    /// `/`
    Root,
    /// `/users/`
    UserList,
    /// `/users/N/`, with the text in place of N.
    User(String),
    /// An unknown path below one of these.
    Missing,
}

/// Page of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The page.
    pub page: Page,
    /// The format in the path (`/users.json`).
    pub format: Option<String>,
}

const TOKEN_PAGES: [(&str, Page); 3] = [
    ("api-token-auth", Page::ObtainToken),
    ("api-token-verify", Page::VerifyToken),
    ("api-token-refresh", Page::RefreshToken),
];

/// Returns the page of a path; `None` if it is not one of the adapter. The final slash may be
/// missing.
pub fn find(path: &str) -> Option<Found> {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let path = path.strip_prefix('/')?;
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let plain = |page| Some(Found { page, format: None });
    for (name, page) in TOKEN_PAGES {
        if first == name {
            return plain(if rest.is_empty() { page } else { Page::Missing });
        }
    }
    match (first, rest) {
        ("", "") if !path.contains('/') => plain(Page::Root),
        ("restricted", "") => plain(Page::Restricted),
        ("users", "") => plain(Page::UserList),
        ("users", rest) => Some(find_user(rest.strip_suffix('/').unwrap_or(rest))),
        ("restricted", _) => plain(Page::Missing),
        (first, "") => {
            let (name, format) = first.split_once('.')?;
            let page = match name {
                "" => Page::Root,
                "users" => Page::UserList,
                _ => return None,
            };
            is_format(format).then(|| Found { page, format: Some(format.to_owned()) })
        }
        _ => None,
    }
}

fn find_user(key: &str) -> Found {
    let (key, format) = match key.split_once('.') {
        Some((key, format)) if is_format(format) => (key, Some(format.to_owned())),
        Some(_) => ("", None),
        None => (key, None),
    };
    let page = if key.is_empty() || key.contains('/') {
        Page::Missing
    } else {
        Page::User(key.to_owned())
    };
    Found { page, format }
}

fn is_format(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Returns the number in the URL of a user.
pub fn user_number(key: &str) -> Option<i64> {
    crate::drf::http::parsing::value::strip(key).parse().ok()
}

/// Rights of a caller at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// The caller may read.
    Read,
    /// The caller may write too. The description of the page then has its fields.
    Write,
}

impl Page {
    /// Returns the methods that it supports.
    pub fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::ObtainToken | Self::VerifyToken | Self::RefreshToken => &["POST", "OPTIONS"],
            Self::Restricted | Self::Root => &["GET", "HEAD", "OPTIONS"],
            Self::UserList => &["GET", "POST", "HEAD", "OPTIONS"],
            Self::User(_) => &["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
            Self::Missing => &[],
        }
    }

    /// Returns whether the reference checks cookies here, on which the response then varies.
    pub fn looks_at_cookies(&self) -> bool {
        matches!(self, Self::Root | Self::UserList | Self::User(_))
    }

    /// Returns the response to `OPTIONS`.
    pub fn description(&self, rights: Rights) -> Value {
        let (name, text) = self.name_and_text();
        let mut answer = json!({
            "name": name,
            "description": text,
            "renders": ["application/json", "text/html"],
            "parses": [
                "application/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
            ],
        });
        let method = if matches!(self, Self::User(_)) { "PUT" } else { "POST" };
        if let (Rights::Write, Some(fields)) = (rights, self.fields()) {
            answer["actions"] = json!({ method: fields });
        }
        answer
    }

    fn name_and_text(&self) -> (&'static str, &'static str) {
        match self {
            Self::ObtainToken => (
                "Obtain Json Web Token",
                "API View that receives a POST with a user's username and password.\n\nReturns a \
                 JSON Web Token that can be used for authenticated requests.",
            ),
            Self::VerifyToken => (
                "Verify Json Web Token",
                "API View that checks the veracity of a token, returning the token if it\nis valid.",
            ),
            Self::RefreshToken => (
                "Refresh Json Web Token",
                "API View that returns a refreshed token (with new expiration) based on\nexisting \
                 token\n\nIf 'orig_iat' field (original issued-at-time) is found, will first \
                 check\nif it's within expiration window, then copy it to the new token",
            ),
            Self::Restricted => ("Restricted", ""),
            Self::Root => ("Api Root", "The default basic root view for DefaultRouter"),
            Self::UserList => ("User List", ""),
            Self::User(_) => ("User Instance", ""),
            Self::Missing => ("", ""),
        }
    }

    fn fields(&self) -> Option<Value> {
        let text =
            |label| json!({"type": "string", "required": true, "read_only": false, "label": label});
        match self {
            Self::ObtainToken => {
                Some(json!({"username": text("Username"), "password": text("Password")}))
            }
            Self::VerifyToken | Self::RefreshToken => Some(json!({"token": text("Token")})),
            Self::UserList | Self::User(_) => Some(json!({
                "url": {"type": "field", "required": false, "read_only": true, "label": "Url"},
                "username": {
                    "type": "string",
                    "required": true,
                    "read_only": false,
                    "label": "Username",
                    "help_text":
                        "Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                    "max_length": 150,
                },
                "email": {
                    "type": "email",
                    "required": false,
                    "read_only": false,
                    "label": "Email address",
                    "max_length": 254,
                },
                "is_staff": {
                    "type": "boolean",
                    "required": false,
                    "read_only": false,
                    "label": "Staff status",
                    "help_text": "Designates whether the user can log into this admin site.",
                },
            })),
            Self::Restricted | Self::Root | Self::Missing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str) -> Option<Page> {
        find(path).map(|found| found.page)
    }

    #[test]
    fn every_page_is_found_with_and_without_its_final_slash() {
        for (path, expected) in [
            ("/api-token-auth", Page::ObtainToken),
            ("/api-token-verify", Page::VerifyToken),
            ("/api-token-refresh", Page::RefreshToken),
            ("/restricted", Page::Restricted),
            ("/users", Page::UserList),
            ("/users/1", Page::User("1".to_owned())),
            ("/users/%201", Page::User(" 1".to_owned())),
        ] {
            assert_eq!(page(path), Some(expected.clone()), "{path}");
            assert_eq!(page(&format!("{path}/")), Some(expected), "{path}/");
        }
        assert_eq!(page("/"), Some(Page::Root));
    }

    #[test]
    fn a_format_can_stand_in_the_path() {
        for (path, expected) in [
            ("/.json", Page::Root),
            ("/users.json", Page::UserList),
            ("/users.json/", Page::UserList),
            ("/users/1.json", Page::User("1".to_owned())),
            ("/users/1.json/", Page::User("1".to_owned())),
        ] {
            let format = Some("json".to_owned());
            assert_eq!(find(path), Some(Found { page: expected, format }), "{path}");
        }
    }

    #[test]
    fn other_paths_below_lead_nowhere_and_the_rest_is_not_ours() {
        for path in
            ["/api-token-auth/x", "/users//", "/users/1/x/", "/users/a.b.json", "/restricted//"]
        {
            assert_eq!(page(path), Some(Page::Missing), "{path}");
        }
        for path in ["/v1/me", "//", "/healthz", "/Users/", "/users.JSON", "/openapi.json", ""] {
            assert_eq!(page(path), None, "{path}");
        }
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        assert_eq!(user_number(" +01 "), Some(1));
        assert_eq!(user_number("-1"), Some(-1));
        for bad in ["abc", "1e0", "", "99999999999999999999999", "1.0"] {
            assert_eq!(user_number(bad), None, "{bad}");
        }
    }
}
