//! A response.

use reqwest::blocking::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::Tokens;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.bytes().expect("a whole body").to_vec();
        Self { status, headers, body }
    }
}

impl Answer {
    /// Asserts a success with that status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.shown());
        self
    }

    /// Asserts a refusal with that code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.shown());
        self
    }

    /// The code of a problem document; empty for a success.
    pub fn code(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The faulty fields of a 422 with their codes, sorted.
    #[track_caller]
    pub fn faults(self) -> Vec<(String, String)> {
        let problem = self.refused(422, "validation_failed").json();
        let mut faults: Vec<_> = problem["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .map(|fault| {
                let text = |name: &str| fault[name].as_str().expect("a text").to_owned();
                (text("field"), text("code"))
            })
            .collect();
        faults.sort();
        faults
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.shown()))
    }

    #[track_caller]
    pub fn text(&self, field: &str) -> String {
        let body = self.json();
        body[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.shown())).to_owned()
    }

    #[track_caller]
    pub fn tokens(&self) -> Tokens {
        Tokens {
            access: self.text("access_token"),
            refresh: self.text("refresh_token"),
            session: self.text("session_id"),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    pub fn shown(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}
