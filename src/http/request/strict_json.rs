//! Strict JSON: an object, no duplicate key at any level, at most 32 levels deep.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

const MAX_DEPTH: usize = 32;

/// Parses `bytes` as one object.
pub fn parse_object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: MAX_DEPTH }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// Deserializes an object into a struct; `None` if [`parse_object`] or the fields would report a
/// fault. serde refuses a known name that appears twice. `T` must deny unknown fields, and must
/// have only texts, numbers and flags, which do not nest.
pub fn parse_typed<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    // serde would accept an array for a struct as well.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') { serde_json::from_slice(bytes).ok() } else { None }
}

/// Deserializes a value of at most `depth` levels.
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.inner()?)?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Typed {
        a: String,
    }

    /// Only an object with exactly this text becomes a struct.
    #[test]
    fn a_struct_is_read_from_what_passes_and_from_nothing_else() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(10_000));
        for good in [
            "{\"a\":\"b\"}",
            " \r\n\t{ \"a\" : \"b\" } ",
            "{\"\\u0061\":\"\\u00e9\\n\"}",
            "{\"a\":\"\"}",
            &long,
        ] {
            let object = parse_object(good.as_bytes()).unwrap();
            assert_eq!(parse_typed::<Typed>(good.as_bytes()).unwrap().a, object["a"], "{good}");
        }
        for bad in [
            "",
            " ",
            "null",
            "\"a\"",
            "[\"b\"]",
            " [\"b\"]",
            "\u{b}{\"a\":\"b\"}",
            "\u{c}{\"a\":\"b\"}",
            "\u{feff}{\"a\":\"b\"}",
            "{}",
            "{\"a\":null}",
            "{\"a\":1}",
            "{\"a\":[\"b\"]}",
            "{\"a\":{\"a\":\"b\"}}",
            "{\"A\":\"b\"}",
            "{\"a\":\"b\",\"a\":\"b\"}",
            "{\"a\":\"b\",\"\\u0061\":\"b\"}",
            "{\"a\":\"b\",\"c\":1}",
            "{\"c\":[[[[]]]],\"a\":\"b\"}",
            "{\"a\":\"b\"}x",
            "{\"a\":\"b\"}{\"a\":\"b\"}",
            "{\"a\":\"b\",}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "{'a':'b'}",
        ] {
            assert!(parse_typed::<Typed>(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(parse_typed::<Typed>(b"{\"a\":\"\xff\"}").is_none());
    }

    #[test]
    fn only_plain_objects_pass() {
        let nested =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        for good in
            ["{}", " {\"a\": 1} ", "{\"a\":{\"b\":[null,true,1.5,\"\\u0000\"]}}", &nested(31)]
        {
            assert!(parse_object(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            " ",
            "null",
            "[]",
            "\"a\"",
            "1",
            "{",
            "{}x",
            "{} {}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":{\"b\":1,\"b\":2}}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"a\":NaN}",
            "{'a':1}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
            "{\"a\":1,}",
            "// x\n{}",
            &nested(33),
            &nested(10_000),
        ] {
            assert!(parse_object(bad.as_bytes()).is_none(), "{bad:.60}");
        }
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_none());
    }
}
