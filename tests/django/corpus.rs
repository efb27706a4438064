//! The recorded exchanges, as the files hold them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
pub struct Corpus {
    pub secrets: Secrets,
    pub tokens: BTreeMap<String, Recipe>,
    pub exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
pub struct Secrets {
    pub site: String,
    pub other: String,
}

/// Instructions to create a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub header: String,
    pub claims: String,
    pub key: String,
    pub digest: String,
    pub header_raw: Option<String>,
    pub claims_raw: Option<String>,
    pub signature: Option<String>,
    #[serde(default)]
    pub append: String,
    #[serde(default)]
    pub other_last_bits: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub name: String,
    pub request: Sent,
    /// The response of the reference.
    pub reference: Expected,
    /// The response of Hallpass, where it differs intentionally.
    pub hallpass: Option<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub body_base64: Option<String>,
    pub body_repeat: Option<Repeat>,
    #[serde(default)]
    pub chunked: bool,
}

impl Sent {
    pub fn host(&self) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == "Host").map(|(_, value)| value.as_str())
    }
}

#[derive(Deserialize)]
pub struct Repeat {
    pub prefix: String,
    pub unit: String,
    pub times: usize,
    pub suffix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Reasons for differences.
    #[serde(rename = "reason")]
    _reason: Option<String>,
    pub status: u16,
    pub headers: Option<BTreeMap<String, String>>,
    pub body: Option<String>,
    pub body_prefix: Option<String>,
    pub token: Option<Issued>,
}

/// A token in an answer, taken apart.
#[derive(Deserialize)]
pub struct Issued {
    pub header: Map<String, Value>,
    pub claims: Map<String, Value>,
}
