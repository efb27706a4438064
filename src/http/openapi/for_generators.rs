//! Simplifications for client generators. utoipa writes valid OpenAPI 3.1. Generators fail at a
//! description beside a `$ref`, at a `oneOf` of a type and null, and at types of one primitive
//! value.

use serde_json::{Map, Value, json};

/// Prefix of references to schemas.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

/// Rewrites the document in place.
pub(super) fn simplify(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let primitives = Primitives(&schemas);
    simplify_value(document, primitives);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|_, schema| !is_primitive(schema));
    }
}

/// Named schemas that are not objects, such as an e-mail address.
#[derive(Clone, Copy)]
struct Primitives<'a>(&'a Value);

impl Primitives<'_> {
    fn find(self, reference: &str) -> Option<Map<String, Value>> {
        let schema = self.0.get(reference.strip_prefix(SCHEMAS)?)?;
        is_primitive(schema).then(|| schema.as_object().cloned()).flatten()
    }
}

fn is_primitive(schema: &Value) -> bool {
    matches!(schema["type"].as_str(), Some("string" | "boolean" | "integer" | "number"))
}

fn simplify_value(value: &mut Value, primitives: Primitives<'_>) {
    match value {
        Value::Object(members) => {
            // Examples are data.
            let schemas = members.iter_mut().filter(|(name, _)| !name.starts_with("example"));
            schemas.for_each(|(_, member)| simplify_value(member, primitives));
            resolve_reference(members, primitives);
            merge_null(members);
            open_object(members);
            if members.contains_key("in") {
                make_parameter_plain(members);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| simplify_value(item, primitives)),
        _ => {}
    }
}

/// Inlines references to primitives, and appends their description to that of the member. Any other
/// reference stands alone.
fn resolve_reference(schema: &mut Map<String, Value>, primitives: Primitives<'_>) {
    let Some(reference) = schema.get("$ref").and_then(Value::as_str).map(str::to_owned) else {
        return;
    };
    if let Some(mut primitive) = primitives.find(&reference) {
        schema.remove("$ref");
        if let (Some(Value::String(here)), Some(Value::String(general))) =
            (schema.get_mut("description"), primitive.get("description"))
        {
            *here = format!("{here}\n\n{general}");
        }
        primitive.append(schema);
        *schema = primitive;
    } else {
        schema.retain(|name, _| name == "$ref");
    }
}

/// Replaces `oneOf` a primitive and null by a nullable primitive.
fn merge_null(schema: &mut Map<String, Value>) {
    let Some([one, other]) = schema.get("oneOf").and_then(Value::as_array).map(Vec::as_slice)
    else {
        return;
    };
    let null = json!({"type": "null"});
    let primitive = match (one, other) {
        (primitive, it) | (it, primitive) if *it == null && is_primitive(primitive) => {
            primitive.clone()
        }
        _ => return,
    };
    schema.remove("oneOf");
    let Value::Object(mut primitive) = primitive else { return };
    let kind = primitive["type"].take();
    primitive.insert("type".to_owned(), json!([kind, "null"]));
    primitive.append(schema);
    *schema = primitive;
}

/// Declares that an object without listed members has members of any kind; openapi-typescript would
/// make it an empty one.
fn open_object(schema: &mut Map<String, Value>) {
    let is_object = match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.contains(&"object".into()),
        _ => false,
    };
    if is_object
        && !["properties", "additionalProperties"].iter().any(|it| schema.contains_key(*it))
    {
        schema.insert("additionalProperties".to_owned(), true.into());
    }
}

/// Removes null from the type of a parameter: an absent parameter is not null.
fn make_parameter_plain(parameter: &mut Map<String, Value>) {
    let kinds = parameter.get("schema").and_then(|it| it["type"].as_array());
    let kind = kinds.and_then(|it| it.iter().find(|kind| *kind != "null")).cloned();
    if let (Some(kind), Some(schema)) = (kind, parameter.get_mut("schema")) {
        schema["type"] = kind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every object of the document with its JSON pointer, except examples.
    fn objects(document: &Value) -> Vec<(String, &Map<String, Value>)> {
        let mut found = Vec::new();
        let mut waiting = vec![(String::new(), document)];
        while let Some((place, value)) = waiting.pop() {
            match value {
                Value::Object(members) => {
                    found.push((place.clone(), members));
                    let others = members.iter().filter(|(name, _)| !name.starts_with("example"));
                    waiting.extend(others.map(|(name, value)| (format!("{place}/{name}"), value)));
                }
                Value::Array(items) => {
                    let items = items.iter().enumerate();
                    waiting.extend(items.map(|(number, it)| (format!("{place}/{number}"), it)));
                }
                _ => {}
            }
        }
        found
    }

    /// Returns the problems that generators have with the document.
    fn faults(document: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        for (place, object) in objects(document) {
            let mut check = |is_good: bool, rule: &str| {
                if !is_good {
                    faults.push(format!("{place}: {rule}"));
                }
            };
            check(!object.contains_key("links"), "links with a body");
            check(!object.contains_key("$ref") || object.len() == 1, "something beside a $ref");
            let is_boolean = object.get("type").is_some_and(|it| it == "boolean");
            check(!is_boolean || !object.contains_key("enum"), "an enum of booleans");
            let is_open =
                ["properties", "additionalProperties"].iter().any(|it| object.contains_key(*it));
            let is_object = object.get("type").is_some_and(|it| it == "object");
            check(!is_object || is_open, "an object without members");
            if let Some(Value::Object(content)) = object.get("content") {
                check(content.len() == 1, "two media types");
            }
            if object.contains_key("in") {
                check(object["schema"]["type"].is_string(), "a parameter that may be null");
            }
            if let Some(Value::Object(responses)) = object.get("responses") {
                let schemas = responses.iter().filter(|(status, _)| status.starts_with('2'));
                let mut schemas = schemas.map(|(_, response)| &response["content"]);
                let first = schemas.next();
                check(schemas.all(|it| Some(it) == first), "two answers of success");
            }
        }
        faults
    }

    #[test]
    fn the_document_has_no_form_that_generators_stumble_over() {
        let document: Value = serde_json::from_str(&super::super::document()).unwrap();
        assert_eq!(faults(&document), Vec::<String>::new());
        assert!(objects(&document).len() > 1_000);
    }

    #[test]
    fn each_of_these_forms_is_noticed() {
        let whole = |value: Value| json!({"paths": {"/": value}});
        for bad in [
            json!({"links": {}}),
            json!({"$ref": "#/x", "description": "y"}),
            json!({"type": "boolean", "enum": [true]}),
            json!({"type": "object"}),
            json!({"content": {"a/b": {}, "c/d": {}}}),
            json!({"in": "header", "schema": {"type": ["string", "null"]}}),
            json!({"responses": {"200": {"content": {"a/b": 1}}, "201": {"content": {"a/b": 2}}}}),
        ] {
            assert_eq!(faults(&whole(bad.clone())).len(), 1, "{bad}");
        }
    }

    #[test]
    fn primitives_stand_where_they_are_used() {
        let name = json!({"type": "string", "maxLength": 9, "description": "A name."});
        let person = json!({"type": "object", "properties": {}});
        let mut document = json!({
            "paths": {"/": {
                "one": {"$ref": "#/components/schemas/Name", "description": "Of the cat."},
                "two": {"oneOf": [{"$ref": "#/components/schemas/Name"}, {"type": "null"}]},
                "three": {"$ref": "#/components/schemas/Person", "description": "The owner."},
                "four": {"oneOf": [{"$ref": "#/components/schemas/Person"}, {"type": "null"}]},
                "five": {"type": ["object", "null"]},
                "six": {"in": "query", "schema": {"type": ["string", "null"]}},
                "example": {"$ref": "as it is", "type": "object"},
            }},
            "components": {"schemas": {"Name": name, "Person": person}},
        });
        simplify(&mut document);
        let person = json!({"$ref": "#/components/schemas/Person"});
        assert_eq!(
            document["paths"]["/"],
            json!({
                "one": {"type": "string", "maxLength": 9, "description": "Of the cat.\n\nA name."},
                "two": {"type": ["string", "null"], "maxLength": 9, "description": "A name."},
                "three": person,
                "four": {"oneOf": [person, {"type": "null"}]},
                "five": {"type": ["object", "null"], "additionalProperties": true},
                "six": {"in": "query", "schema": {"type": "string"}},
                "example": {"$ref": "as it is", "type": "object"},
            })
        );
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert_eq!(schemas.keys().collect::<Vec<_>>(), ["Person"]);
    }
}
