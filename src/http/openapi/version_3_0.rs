//! The document in OpenAPI 3.0, for generators that do not support 3.1. It is equivalent except for
//! the texts that a schema forbids one by one.

use serde_json::{Map, Value, json};

/// Returns the document in 3.0.
pub(super) fn derive(mut document: Value) -> Value {
    document["openapi"] = "3.0.3".into();
    if let Some(license) = document["info"]["license"].as_object_mut() {
        license.remove("identifier");
    }
    derive_value(&mut document);
    document
}

fn derive_value(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let schemas = members.iter_mut().filter(|(name, _)| !name.starts_with("example"));
            schemas.for_each(|(_, member)| derive_value(member));
            move_null(members);
            // Removes the lists of forbidden texts: 3.0 generators rarely support `not`, and the
            // server validates anyway.
            members.remove("not");
        }
        Value::Array(items) => items.iter_mut().for_each(derive_value),
        _ => {}
    }
}

/// Replaces the type null, which 3.0 does not have, by `nullable`.
fn move_null(schema: &mut Map<String, Value>) {
    let null = json!({"type": "null"});
    if let Some(Value::Array(kinds)) = schema.get("type") {
        let mut others = kinds.iter().filter(|kind| *kind != "null").cloned();
        if let (Some(kind), None) = (others.next(), others.next()) {
            schema.insert("type".to_owned(), kind);
            schema.insert("nullable".to_owned(), true.into());
        }
    }
    if let Some(Value::Array(choices)) = schema.get("oneOf")
        && choices.contains(&null)
    {
        let others: Vec<Value> = choices.iter().filter(|it| **it != null).cloned().collect();
        let name = if others.len() == 1 { "allOf" } else { "oneOf" };
        schema.remove("oneOf");
        schema.insert(name.to_owned(), others.into());
        schema.insert("nullable".to_owned(), true.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_a_property_of_types() {
        let derived = derive(json!({
            "openapi": "3.1.0",
            "info": {"license": {"name": "MIT", "identifier": "MIT"}},
            "a": {"type": ["string", "null"], "maxLength": 9},
            "b": {"oneOf": [{"$ref": "#/x"}, {"type": "null"}]},
            "c": {"oneOf": [{"$ref": "#/x"}, {"$ref": "#/y"}]},
            "d": {"oneOf": [{"$ref": "#/x"}, {"$ref": "#/y"}, {"type": "null"}]},
            "e": {"type": "string", "not": {"enum": ["x"]}},
            "example": {"type": ["string", "null"]},
        }));
        assert_eq!(
            derived,
            json!({
                "openapi": "3.0.3",
                "info": {"license": {"name": "MIT"}},
                "a": {"type": "string", "maxLength": 9, "nullable": true},
                "b": {"allOf": [{"$ref": "#/x"}], "nullable": true},
                "c": {"oneOf": [{"$ref": "#/x"}, {"$ref": "#/y"}]},
                "d": {"oneOf": [{"$ref": "#/x"}, {"$ref": "#/y"}], "nullable": true},
                "e": {"type": "string"},
                "example": {"type": ["string", "null"]},
            })
        );
    }

    #[test]
    fn nothing_of_3_1_is_left() {
        let text = super::super::document_3_0();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["openapi"], "3.0.3");
        let newer: Value = serde_json::from_str(&super::super::document()).unwrap();
        let paths = |document: &Value| document["paths"].as_object().unwrap().len();
        assert_eq!(paths(&document), paths(&newer));
        let mut waiting = vec![&document];
        while let Some(value) = waiting.pop() {
            match value {
                Value::Object(members) => {
                    assert!(!members.get("type").is_some_and(Value::is_array), "{value}");
                    assert_ne!(members.get("type"), Some(&"null".into()), "{value}");
                    for newer in ["const", "prefixItems", "$defs", "contentMediaType", "identifier"]
                    {
                        assert!(!members.contains_key(newer), "{newer}: {value}");
                    }
                    let others = members.iter().filter(|(name, _)| !name.starts_with("example"));
                    waiting.extend(others.map(|(_, member)| member));
                }
                Value::Array(items) => waiting.extend(items),
                _ => {}
            }
        }
    }
}
