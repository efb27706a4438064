//! Metadata that a front end keeps with an account: a small JSON object that Hallpass does not
//! read.

use serde_json::{Map, Value};

use crate::domain::{Fault, Length};

/// A JSON object of at most [`Metadata::MAX_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(Map<String, Value>);

impl Metadata {
    /// Longest metadata in bytes, written without spaces.
    pub const MAX_BYTES: usize = 4096;

    /// Returns the stored metadata; unreadable text counts as none.
    pub fn known(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }

    /// Returns the metadata after a JSON merge patch (RFC 7396): `null` removes a member, objects
    /// are merged, everything else replaces.
    pub fn merged(&self, patch: &Map<String, Value>) -> Result<Self, Fault> {
        let mut merged = self.0.clone();
        merge(&mut merged, patch);
        let merged = Self(merged);
        if merged.to_text().len() > Self::MAX_BYTES {
            return Err(Fault::TooLong(Length::Bytes(Self::MAX_BYTES)));
        }
        Ok(merged)
    }

    /// The members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Returns the stored form.
    pub fn to_text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
}

fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, change) in patch {
        match change {
            Value::Null => drop(target.shift_remove(name)),
            Value::Object(change) => {
                let member = target.entry(name.clone()).or_insert_with(|| Map::new().into());
                match member {
                    Value::Object(member) => merge(member, change),
                    other => {
                        let mut fresh = Map::new();
                        merge(&mut fresh, change);
                        *other = fresh.into();
                    }
                }
            }
            other => drop(target.insert(name.clone(), other.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn patches_merge_as_the_rfc_shows() {
        // RFC 7396, appendix A, as far as both sides are objects.
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let merged = Metadata(object(&target)).merged(&object(&patch)).unwrap();
            assert_eq!(Value::from(merged.members().clone()), result, "{patch}");
        }
    }

    #[test]
    fn it_has_room_for_4096_bytes() {
        let text = |n: usize| object(&json!({"a": "x".repeat(n)}));
        let around = r#"{"a":""}"#.len();
        assert!(Metadata::default().merged(&text(4096 - around)).is_ok());
        assert_eq!(
            Metadata::default().merged(&text(4097 - around)),
            Err(Fault::TooLong(Length::Bytes(4096)))
        );
    }
}
