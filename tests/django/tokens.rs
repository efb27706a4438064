//! Tokens of the recording, made anew for each request, and tokens of answers, taken apart.

use std::time::SystemTime;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::corpus::{Corpus, Issued, Recipe};

/// Permitted difference of an issue time from the recording, in seconds.
const TOLERANCE: f64 = 5.0;

#[expect(clippy::disallowed_methods, reason = "the service under test runs by the same clock")]
pub fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since_epoch.as_secs()).unwrap()
}

/// Puts tokens in the place of `{{token:NAME}}`.
pub fn fill(text: &str, corpus: &Corpus, now: i64) -> String {
    replace_marks(text, "{{token:", |name| mint(&corpus.tokens[name], corpus, now))
}

fn replace_marks(text: &str, begin: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(begin) {
        let (mark, after) = after.split_once("}}").unwrap();
        filled.push_str(before);
        filled.push_str(&value(mark));
        rest = after;
    }
    filled + rest
}

fn mint(recipe: &Recipe, corpus: &Corpus, now: i64) -> String {
    let claims = replace_marks(&recipe.claims, "{{now", |offset| {
        let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().unwrap() };
        (now + offset).to_string()
    });
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = recipe.header_raw.clone().unwrap_or_else(|| encode(&recipe.header));
    let claims = recipe.claims_raw.clone().unwrap_or_else(|| encode(&claims));
    let message = format!("{header}.{claims}");
    let mut signature = sign(recipe, corpus, &message);
    if recipe.other_last_bits {
        let last = signature.pop().unwrap();
        signature.push(next_in_alphabet(last));
    }
    let signature = recipe.signature.clone().unwrap_or(signature);
    format!("{message}.{signature}{}", recipe.append)
}

fn sign(recipe: &Recipe, corpus: &Corpus, message: &str) -> String {
    let secret = match recipe.key.as_str() {
        "site" => &corpus.secrets.site,
        "other" => &corpus.secrets.other,
        key => panic!("no key {key}"),
    };
    let algorithm = match recipe.digest.as_str() {
        "sha256" => hmac::HMAC_SHA256,
        "sha384" => hmac::HMAC_SHA384,
        "sha512" => hmac::HMAC_SHA512,
        digest => panic!("no digest {digest}"),
    };
    let key = hmac::Key::new(algorithm, secret.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()))
}

/// A character that differs in the last bit, which the last one of a signature does not use.
fn next_in_alphabet(character: char) -> char {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(character).unwrap();
    alphabet.chars().nth(place ^ 1).unwrap()
}

/// Returns whether a returned token equals the one of the recording, except for the elapsed time.
pub fn check_issued(token: &str, wanted: &Issued, corpus: &Corpus, now: i64) -> Result<(), String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return Err(format!("no token: {token}")) };
    let key = hmac::Key::new(hmac::HMAC_SHA256, corpus.secrets.site.as_bytes());
    let message = format!("{header}.{claims}");
    hmac::verify(&key, message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .map_err(|_| "signed with another key")?;
    let decode = |part: &str| -> Map<String, Value> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let (header, mut claims) = (decode(header), decode(claims));
    // Hallpass adds the generation of the account's tokens.
    claims.shift_remove("gen").filter(Value::is_i64).ok_or("no generation")?;
    if header != wanted.header {
        return Err(format!("header {header:?}"));
    }
    let names = |claims: &Map<String, Value>| claims.keys().cloned().collect::<Vec<_>>();
    if names(&claims) != names(&wanted.claims) {
        return Err(format!("claims {:?}", names(&claims)));
    }
    for (name, wanted) in &wanted.claims {
        let found = &claims[name];
        if !is_same(wanted, found, now) {
            return Err(format!("claim {name}: expected {wanted}, found {found}"));
        }
    }
    Ok(())
}

fn is_same(wanted: &Value, found: &Value, now: i64) -> bool {
    match wanted.as_str().and_then(|text| text.strip_prefix("{{now")) {
        Some(rest) => {
            let offset = rest.trim_end_matches("}}");
            let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().unwrap() };
            let moment: f64 = (now + offset).to_string().parse().unwrap();
            found.as_f64().is_some_and(|found| (found - moment).abs() <= TOLERANCE)
        }
        None => wanted == found,
    }
}
