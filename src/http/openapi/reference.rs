//! The API reference: the OpenAPI document as one page of Markdown.

use serde_json::{Value, json};

use super::for_generators::SCHEMAS;
use super::responses::ERROR_CODES;
use crate::http::code::Code;

const HEAD: &str = "# API reference\n\n\
Generated from the OpenAPI document by `hallpass openapi --format markdown`. The document itself is\n\
[openapi/openapi.json](../openapi/openapi.json); a running service has it at `/openapi.json` (3.0:\n\
`/openapi-3.0.json`) and lets you try it at `/docs/`. [Errors](errors.md) explains the codes.\n";

/// The methods of operations, in the order of this page.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Returns the page for a document.
pub(super) fn render(document: &Value) -> String {
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    let mut page = vec![HEAD.to_owned(), "\n| operation | purpose |\n| --- | --- |\n".to_owned()];
    for Operation { method, path, value } in tags.iter().flat_map(|it| operations(document, it)) {
        let (id, summary) = (text(&value["operationId"]), text(&value["summary"]));
        page.push(format!("| [`{method} {path}`](#{}) | {} |\n", anchor(id), cell(summary)));
    }
    for tag in tags {
        let (name, about) = (text(&tag["name"]), text(&tag["description"]));
        page.push(format!("\n## {name}\n\n{about}\n"));
        page.extend(operations(document, tag).map(|operation| section_of(&operation)));
    }
    page.push("\n## Schemas\n".to_owned());
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let about = paragraph(&schema["description"]);
        page.push(format!("\n### {name} schema\n{about}{}", members_of(schema)));
    }
    page.concat()
}

struct Operation<'a> {
    method: String,
    path: &'a str,
    value: &'a Value,
}

/// Returns the operations of a tag.
fn operations<'a>(document: &'a Value, tag: &'a Value) -> impl Iterator<Item = Operation<'a>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, methods)| {
        METHODS.iter().filter_map(move |method| {
            Some(Operation { method: method.to_uppercase(), path, value: methods.get(*method)? })
        })
    });
    all.filter(|it| it.value["tags"][0] == tag["name"])
}

fn section_of(Operation { method, path, value }: &Operation<'_>) -> String {
    let id = text(&value["operationId"]);
    let (summary, about) = (text(&value["summary"]), text(&value["description"]));
    let mut section = vec![format!("\n### {id}\n\n`{method} {path}`\n\n**{summary}.** {about}\n")];
    section.push(credentials_of(value));
    section.push(parameters_of(value));
    for (kind, content) in value["requestBody"]["content"].as_object().into_iter().flatten() {
        let body = type_of(&content["schema"]);
        section.push(format!("\nRequest body (`{kind}`): {body}\n{}", example_of(content)));
    }
    section.push("\n| status | response |\n| --- | --- |\n".to_owned());
    for (status, response) in value["responses"].as_object().into_iter().flatten() {
        if !status.starts_with(['2', '3']) {
            continue;
        }
        let contents = response["content"].as_object().into_iter().flatten();
        let bodies = contents.map(|(kind, it)| format!(" {} (`{kind}`)", type_of(&it["schema"])));
        let bodies: Vec<String> = bodies.collect();
        let about = cell(text(&response["description"]));
        section.push(format!("| {status} | {about}{} |\n", bodies.join(",")));
    }
    section.push(errors_of(value));
    section.concat()
}

/// Returns the alternative credentials of an operation.
fn credentials_of(operation: &Value) -> String {
    let alternatives = || operation["security"].as_array().into_iter().flatten();
    let is_named = |scheme: &str| alternatives().any(|it| it.get(scheme).is_some());
    let taken = SCHEMES.into_iter().filter(|(scheme, _)| is_named(scheme));
    let taken: Vec<&str> = taken.map(|(_, words)| words).collect();
    if taken.is_empty() {
        return String::new();
    }
    let is_optional = alternatives().any(|it| *it == json!({}));
    let verb = if is_optional { "Takes" } else { "Needs" };
    format!("\n{verb} {}.\n", taken.join(", or "))
}

/// The security schemes of the document, in words.
const SCHEMES: [(&str, &str); 3] = [
    ("bearer", "an access token: `Authorization: Bearer …`"),
    ("api_key", "an API key: `Authorization: Bearer hpk_…`"),
    ("client_secret", "an API key as the password of HTTP Basic: `Authorization: Basic …`"),
];

fn parameters_of(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten().map(|parameter| {
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        let (kind, about) = (type_of(&parameter["schema"]), text(&parameter["description"]));
        format!("| `{name}` | {place} | {} | {} |\n", cell(&kind), cell(about))
    });
    let rows: String = parameters.collect();
    if rows.is_empty() {
        return rows;
    }
    format!("\n| parameter | in | type | description |\n| --- | --- | --- | --- |\n{rows}")
}

/// Returns the errors of an operation, by status.
fn errors_of(operation: &Value) -> String {
    let names = operation[ERROR_CODES].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut codes: Vec<Code> = names.filter_map(Code::from_name).collect();
    codes.sort_by_key(|code| code.status().as_u16());
    let groups = codes.chunk_by(|one, other| one.status() == other.status());
    let rows = groups.map(|group| {
        let names: Vec<String> = group.iter().map(|code| format!("`{}`", code.name())).collect();
        format!("| {} | {} |\n", group[0].status().as_u16(), names.join(", "))
    });
    rows.collect()
}

fn example_of(content: &Value) -> String {
    match serde_json::to_string_pretty(&content["example"]) {
        Ok(example) if !content["example"].is_null() => format!("\n```json\n{example}\n```\n"),
        _ => String::new(),
    }
}

/// Returns the members of an object, or the alternatives of another schema.
fn members_of(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object() else {
        return format!("\n{}\n", type_of(schema));
    };
    let is_required = |name: &str| {
        let required = schema["required"].as_array();
        required.is_some_and(|them| them.iter().any(|it| it == name))
    };
    let rows = properties.iter().map(|(name, value)| {
        let required = if is_required(name) { "yes" } else { "" };
        let (kind, about) = (type_of(value), text(&value["description"]));
        format!("| `{name}` | {} | {required} | {} |\n", cell(&kind), cell(about))
    });
    let rows: String = rows.collect();
    format!("\n| member | type | required | description |\n| --- | --- | --- | --- |\n{rows}")
}

/// Returns the type of a schema in words, with links to the schemas that it names.
fn type_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix(SCHEMAS).unwrap_or(reference);
        return format!("[{name}](#{}-schema)", anchor(name));
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(them) = schema[several].as_array() {
            return them.iter().map(type_of).collect::<Vec<String>>().join(" or ");
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().map(type_of).collect::<Vec<String>>().join(" and ");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        return words.collect::<Vec<String>>().join(" or ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kind = match kinds.as_slice() {
        [] => "any".to_owned(),
        ["array"] => format!("array of {}", type_of(&schema["items"])),
        kinds => kinds.join(" or "),
    };
    let bounds = BOUNDS.into_iter().filter_map(|(name, words)| {
        let bound = schema.get(name)?;
        let is_shown = bound.is_number() || bound.is_boolean() || bound.is_string();
        is_shown.then(|| format!("{words}{bound}"))
    });
    let bounds: Vec<String> = bounds.collect();
    if bounds.is_empty() { kind } else { format!("{kind} ({})", bounds.join(", ")) }
}

/// The limits of a schema that are shown, and the words before them.
const BOUNDS: [(&str, &str); 6] = [
    ("minLength", "at least "),
    ("maxLength", "at most "),
    ("minimum", "from "),
    ("maximum", "to "),
    ("default", "default "),
    ("maxItems", "at most "),
];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn paragraph(value: &Value) -> String {
    value.as_str().map_or_else(String::new, |text| format!("\n{text}\n"))
}

/// Returns the text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// Returns the anchor that Markdown renderers give to a heading of words.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_reference_is_that_of_the_document() {
        let committed = include_str!("../../../docs/api.md");
        let command = "hallpass openapi --format markdown > docs/api.md";
        assert_eq!(committed, super::super::reference(), "write it anew: {command}");
    }

    #[test]
    fn every_link_of_the_page_has_its_heading_and_no_heading_comes_twice() {
        let page = super::super::reference();
        let mut headings: Vec<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")))
            .map(anchor)
            .collect();
        for link in page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(headings.iter().any(|heading| heading == link), "{link}");
        }
        headings.sort();
        let doubled: Vec<&[String]> =
            headings.chunk_by(|one, other| one == other).filter(|it| it.len() > 1).collect();
        assert_eq!(doubled, [&[] as &[String]; 0]);
    }

    #[test]
    fn types_are_described_in_words() {
        for (schema, words) in [
            (json!({"type": "string", "maxLength": 9}), "string (at most 9)"),
            (json!({"type": ["integer", "null"], "minimum": 1}), "integer or null (from 1)"),
            (json!({"type": "array", "items": {"type": "string"}}), "array of string"),
            (json!({"$ref": "#/components/schemas/Account"}), "[Account](#account-schema)"),
            (json!({"oneOf": [{"type": "null"}, {"enum": ["a", "b"]}]}), "null or `a` or `b`"),
            (json!({}), "any"),
        ] {
            assert_eq!(type_of(&schema), words);
        }
    }
}
