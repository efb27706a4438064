//! Dependency rules between the modules of `ARCHITECTURE.md`: a line of source that uses a module
//! or a crate against them fails here.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

mod cycles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and the other modules that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("outgoing", &[]),
    ("private_files", &[]),
    ("clock", &["domain"]),
    ("telemetry", &["config"]),
    ("store", &["domain", "private_files"]),
    ("security", &["domain", "outgoing"]),
    ("social", &["domain", "outgoing"]),
    ("jobs", &["clock", "domain", "store"]),
    ("mail", &["clock", "domain", "jobs", "private_files", "store", "telemetry"]),
    ("flows", &["clock", "domain", "mail", "security", "social", "store", "telemetry"]),
    ("http", &["domain", "flows", "telemetry"]),
    ("drf", &["domain", "flows", "http", "security", "store"]),
    ("config", &["domain", "mail", "outgoing", "security", "social", "store"]),
    (
        "cli",
        &[
            "app",
            "clock",
            "config",
            "domain",
            "flows",
            "http",
            "mail",
            "private_files",
            "security",
            "social",
            "store",
            "telemetry",
        ],
    ),
];

/// Modules that build the service from the others.
const BUILDS_ALL: &[&str] = &["app", "lib", "main"];

/// A crate and the modules that may use it.
const CRATES: &[(&str, &[&str])] = &[
    ("diesel", &["store"]),
    ("diesel_migrations", &["store"]),
    ("r2d2", &["store"]),
    ("actix_web", &["http", "drf", "app"]),
    ("actix_http", &["http"]),
    ("actix_server", &["http"]),
    ("actix_service", &["http"]),
    // Flows pass JSON through unread: metadata of accounts, and public keys.
    ("serde_json", &["http", "drf", "security", "social", "domain", "flows", "telemetry"]),
    ("utoipa", &["http"]),
    ("utoipa_swagger_ui", &["http"]),
    ("lettre", &["mail"]),
    ("tokio_rustls", &["mail"]),
    ("webpki_roots", &["mail"]),
    ("bcrypt", &["security"]),
    ("argon2", &["security"]),
    ("scrypt", &["security"]),
    ("jsonwebtoken", &["security", "social"]),
    ("ureq", &["outgoing"]),
    ("encoding_rs", &["drf"]),
    ("clap", &["cli"]),
    ("dotenvy", &["config"]),
    ("strsim", &["config"]),
];

/// Modules of input and output. IP addresses are values, so `std::net` is not among them.
const INPUT_AND_OUTPUT: &[&str] = &["env", "fs", "io", "process", "thread", "os"];
const SOCKETS: &[&str] = &["TcpListener", "TcpStream", "UdpSocket", "ToSocketAddrs"];
const READS_OR_WRITES_JSON: &[&str] = &["json!", "serde_json::from_", "serde_json::to_"];

/// Returns every source file with its module: the folder, or the file at the top, without `.rs`.
fn sources() -> Vec<(String, PathBuf, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut unseen = vec![source.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = unseen.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                unseen.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inner = path.strip_prefix(&source).unwrap();
                let first = Path::new(inner.iter().next().unwrap());
                let module = first.file_stem().unwrap().to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                sources.push((module, path, text));
            }
        }
    }
    assert!(sources.len() > 50, "only {} sources", sources.len());
    sources
}

/// Returns the numbered lines without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}

/// Returns the numbered lines without comments, with each `use` in one line.
fn code_with_whole_uses(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in code(text) {
        match lines.last_mut() {
            Some((_, begun)) if is_open_use(begun) => begun.push_str(line.trim()),
            _ => lines.push((number, line.to_owned())),
        }
    }
    lines
}

fn is_open_use(line: &str) -> bool {
    uses(line, "use") && line.contains('{') && !line.contains(';')
}

/// Returns whether `line` uses the path that begins with `name`, and not a longer name.
fn uses(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !before.is_some_and(|c| is_word(c) || c == ':') && !after.is_some_and(is_word)
    })
}

/// Returns whether a line has `root::part` or `use root::{..., part, ...}`.
fn names(line: &str, root: &str, part: &str) -> bool {
    uses(line, &format!("{root}::{part}"))
        || line.split_once(&format!("use {root}::{{")).is_some_and(|(_, list)| {
            // At depth 0 of the list: `use crate::{config::Config, store}`.
            let mut depth = 0_i32;
            let mut names = vec![String::new()];
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(String::new()),
                    _ if depth == 0 => names.last_mut().unwrap().push(c),
                    _ => {}
                }
            }
            names.iter().any(|name| name.trim().split("::").next() == Some(part))
        })
}

#[test]
fn a_module_uses_the_listed_ones_only() {
    let sources = sources();
    let modules: BTreeSet<&str> = sources.iter().map(|(module, ..)| module.as_str()).collect();
    let mut faults = Vec::new();
    for (module, path, text) in &sources {
        if BUILDS_ALL.contains(&module.as_str()) {
            continue;
        }
        let found = MAY_USE.iter().find(|(name, _)| name == module);
        let (_, allowed) = found.unwrap_or_else(|| panic!("`MAY_USE` has no row for {module}"));
        let others = modules.iter().filter(|it| *it != module && !allowed.contains(it));
        let others: Vec<&str> = others.copied().collect();
        for (number, line) in code_with_whole_uses(text) {
            for other in others.iter().filter(|it| names(&line, "crate", it)) {
                faults.push(format!("{}:{number}: {module} uses {other}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_of_modules_says_what_each_may_use() {
    let text = include_str!("../../ARCHITECTURE.md");
    for (module, allowed) in MAY_USE {
        let row = text.lines().find(|line| {
            let rest = line.strip_prefix(&format!("| `src/{module}"));
            rest.is_some_and(|it| it.starts_with("/` |") || it.starts_with(".rs` |"))
        });
        let row = row.unwrap_or_else(|| panic!("ARCHITECTURE has no row for {module}"));
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        assert_eq!(row.split(" | ").nth(2), Some(&*allowed), "{row}");
    }
}

#[test]
fn a_crate_is_used_in_its_modules_only() {
    let mut faults = Vec::new();
    let mut known = 0;
    for (module, path, text) in sources() {
        for (name, modules) in CRATES {
            for (number, line) in code(&text) {
                let is_use = uses(line, &format!("{name}::"))
                    || line.contains(&format!("{name}::"))
                        && uses(line.trim_start_matches("#["), name);
                if !is_use {
                    continue;
                }
                known += 1;
                if !modules.contains(&module.as_str()) {
                    faults.push(format!("{}:{number}: {module} uses {name}", path.display()));
                }
            }
        }
    }
    assert!(known > 30, "this test looks at nothing: {known}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_domain_has_no_input_or_output() {
    for (module, path, text) in sources() {
        if module != "domain" {
            continue;
        }
        for (number, line) in code_with_whole_uses(&text) {
            let reaches = INPUT_AND_OUTPUT.iter().any(|it| names(&line, "std", it))
                || SOCKETS.iter().any(|it| uses(&line, it));
            assert!(!reaches, "{}:{number}: {line}", path.display());
        }
    }
}

#[test]
fn flows_do_not_read_json() {
    for (module, path, text) in sources() {
        if module != "flows" {
            continue;
        }
        for (number, line) in code(&text) {
            let looks_inside = READS_OR_WRITES_JSON.iter().any(|it| line.contains(it));
            assert!(!looks_inside, "{}:{number}: {line}", path.display());
        }
    }
}

#[test]
fn every_module_has_a_doc_comment() {
    for (_, path, text) in sources() {
        assert!(text.starts_with("//! "), "{} begins without //!", path.display());
    }
}

#[test]
fn sql_asks_no_clock() {
    for (module, path, text) in sources() {
        if module != "store" {
            continue;
        }
        for (number, line) in code(&text) {
            let lower = line.to_lowercase();
            let asks = ["now()", "current_timestamp", "datetime('now"]
                .iter()
                .any(|it| lower.contains(it) && lower.contains('"'));
            assert!(!asks, "{}:{number}: {line}", path.display());
        }
    }
}

#[test]
fn a_crossed_wall_is_detected() {
    assert!(names("use crate::store::users;", "crate", "store"));
    assert!(names("use crate::{config::Config, store};", "crate", "store"));
    assert!(names("    let x = crate::store::ping();", "crate", "store"));
    assert!(!names("use crate::storeroom;", "crate", "store"));
    assert!(!names("use crate::{domain::{store, x}};", "crate", "store"));
    let broken = code_with_whole_uses("use std::{\n    fmt, // a word\n    fs,\n};\nlet x = 1;\n");
    assert!(names(&broken[0].1, "std", "fs"), "{broken:?}");
    assert_eq!(broken[1], (5, "let x = 1;".to_owned()));
    assert!(uses("use diesel::prelude::*;", "diesel"));
    assert!(!uses("use diesel_migrations::x;", "diesel"));
    assert!(!uses("let diesels = 1;", "diesel"));
}
