//! The documents that no program prints are held to the program all the same.

use std::fs;
use std::path::Path;

use hallpass::http::code::Code;

#[test]
fn every_error_code_is_explained_with_its_status() {
    let page = include_str!("../docs/errors.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.name(), code.status().as_u16());
        assert!(rows.iter().any(|line| line.starts_with(&row)), "docs/errors.md lacks: {row}");
    }
    assert_eq!(rows.len(), Code::ALL.len(), "docs/errors.md explains codes that are never sent");
}

/// A row of a table: its cells.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    page.lines().filter(|line| line.starts_with("| ")).map(|line| line.split(" | ").collect())
}

/// What stands between backquotes and names a test: a file and a function in it.
fn tests_named_in(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|it| it.rsplit_once(".rs::")).collect()
}

#[test]
fn every_test_that_the_page_on_security_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = include_str!("../docs/security.md");
    let named = tests_named_in(page);
    assert!(named.len() > 100, "{}", named.len());
    for (file, name) in named {
        let file = format!("{file}.rs");
        let places = match file.strip_prefix("src/") {
            Some(_) => vec![root.join(&file)],
            None => vec![root.join("tests/api").join(&file), root.join("tests").join(&file)],
        };
        let text = places.iter().find_map(|place| fs::read_to_string(place).ok());
        let text = text.unwrap_or_else(|| panic!("there is no {file}"));
        assert!(text.contains(&format!("fn {name}(")), "{file} has no test {name}");
    }
}

#[test]
fn what_the_page_on_security_calls_met_names_its_test_or_says_that_there_is_none() {
    let page = include_str!("../docs/security.md");
    let is_met = |cells: &&Vec<&str>| {
        let words =
            |cell: &str| cell.split(|c: char| !c.is_alphanumeric()).any(|word| word == "met");
        cells.len() == 3 && words(cells[2])
    };
    let rows: Vec<Vec<&str>> = rows(page).collect();
    let met: Vec<&Vec<&str>> = rows.iter().filter(is_met).collect();
    assert!(met.len() > 80, "{}", met.len());
    for cells in met {
        let holds = !tests_named_in(cells[2]).is_empty() || cells[2].contains("no test");
        assert!(holds, "{} names no test", cells[0]);
    }
}

#[test]
fn the_benchmark_asks_every_endpoint() {
    let requests = include_str!("../benches/scale/requests.rs");
    let document = include_str!("../openapi/openapi.json");
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let ids: Vec<&str> =
        operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    assert!(ids.len() > 30, "only {} operations", ids.len());
    let django = [
        "POST /api-token-auth/",
        "POST /api-token-verify/",
        "POST /api-token-refresh/",
        "GET /restricted/",
        "GET /",
        "GET /users/ (own)",
        "POST /users/",
        "GET /users/N/",
        "PUT /users/N/",
        "PATCH /users/N/",
        "DELETE /users/N/",
    ];
    for name in ids.into_iter().chain(django) {
        let line = format!("\n    \"{name}\": |");
        assert!(requests.contains(&line), "benches/scale/requests.rs does not ask {name}");
    }
}
