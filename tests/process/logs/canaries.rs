//! Values to search for in a log.

use serde_json::Value;

/// Values that must not be in a log.
#[derive(Clone, Default)]
pub struct Canaries {
    words: Vec<(String, String)>,
    codes: Vec<(String, String)>,
}

impl Canaries {
    pub fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 6, "{what} is too short to be looked for: {secret}");
        self.words.push((what.to_owned(), secret.to_lowercase()));
    }

    /// A few digits, which times have as well.
    pub fn add_code(&mut self, what: &str, code: &str) {
        self.codes.push((what.to_owned(), code.to_owned()));
    }

    pub fn assert_absent_in(&self, log: &str) {
        for line in log.lines() {
            let lower = line.to_lowercase();
            for (what, secret) in &self.words {
                assert!(!lower.contains(secret), "{what} is in the log: {line}");
            }
            let timeless = without_times(line);
            for (what, code) in &self.codes {
                let mut words = timeless.split(|c: char| !c.is_ascii_alphanumeric());
                assert!(words.all(|word| word != code), "{what} is in the log: {line}");
            }
        }
    }
}

fn without_times(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut event)) => {
            event.remove("timestamp");
            event.remove("micros");
            Value::Object(event).to_string()
        }
        _ => line.to_owned(),
    }
}
