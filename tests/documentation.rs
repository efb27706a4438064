//! The documents that no program prints are held to the program all the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that does not find what it needs has failed"
)]

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

/// Names of tests between backquotes: a file and a function in it.
fn tests_named_in(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|it| it.rsplit_once(".rs::")).collect()
}

/// Returns whether a file has a test of that name: with an attribute, or in a macro, whose
/// parameter has no type.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let begins = |line: &&str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ")
            .and_then(|it| it.strip_prefix(name))
            .is_some_and(|it| it.starts_with('('))
    };
    let Some(place) = lines.iter().position(begins) else { return false };
    let parameters = lines[place].split(['(', ')']).nth(1).unwrap_or_default();
    let above =
        lines[..place].iter().rev().take_while(|it| it.starts_with("#[") || it.starts_with("//"));
    !parameters.is_empty() && !parameters.contains(':')
        || above.into_iter().any(|it| it.ends_with("test]"))
}

/// The pages on ASVS, one for each chapter, with the number of the chapter.
fn chapters() -> Vec<(u32, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security");
    let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("asvs-v")?.strip_suffix(".md")?.parse().ok()
    };
    let mut pages: Vec<(u32, String)> = files
        .map(|path| (number(&path).expect("asvs-vNN.md"), fs::read_to_string(path).unwrap()))
        .collect();
    pages.sort();
    pages
}

/// All pages on security as one text.
fn security_pages() -> String {
    let pages = chapters().into_iter().map(|(_, page)| page);
    std::iter::once(SECURITY.to_owned()).chain(pages).collect::<Vec<String>>().join("\n")
}

/// An entry of a page on ASVS: `## REQUIREMENTS TITLE (level N): STATUS` and the text below it.
struct Entry {
    requirements: Vec<Number>,
    status: String,
    text: String,
}

fn entries(page: &str) -> Vec<Entry> {
    let sections = page.split("\n## ").skip(1);
    let sections = sections.filter_map(|section| {
        let (heading, text) = section.split_once('\n').unwrap();
        let (title, status) = heading.rsplit_once("): ")?;
        assert!(title.contains(" (level"), "{heading}");
        let numbers = title.split(|it: char| it.is_alphabetic() || it == '`').next().unwrap();
        Some(Entry {
            requirements: requirements(numbers),
            status: status.to_owned(),
            text: text.to_owned(),
        })
    });
    sections.collect()
}

/// The requirements that a page lists as not applicable, each line with its reason.
fn not_applicable(page: &str) -> Vec<Number> {
    let Some((_, list)) = page.split_once("\n## Not applicable\n") else { return Vec::new() };
    let lines = list.split("\n- ").skip(1);
    lines.flat_map(|line| requirements(line.split_once(": ").expect("a reason").0)).collect()
}

#[test]
fn every_test_that_the_page_on_security_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = security_pages();
    let named = tests_named_in(&pages);
    assert!(named.len() > 300, "{}", named.len());
    for (file, name) in named {
        let file = format!("{file}.rs");
        let places = match file.strip_prefix("src/") {
            Some(_) => vec![root.join(&file)],
            None => vec![root.join("tests/api").join(&file), root.join("tests").join(&file)],
        };
        let text = places.iter().find_map(|place| fs::read_to_string(place).ok());
        let text = text.unwrap_or_else(|| panic!("there is no {file}"));
        assert!(is_test(&text, name), "{file} has no test {name}");
    }
}

#[test]
fn what_the_page_on_security_calls_met_names_its_test_or_says_that_there_is_none() {
    let mut met = 0;
    for (chapter, page) in chapters() {
        let count = |status: &str| entries(&page).iter().filter(|it| it.status == status).count();
        let counts = ["met", "partly met", "not met"].map(count);
        let row =
            format!("asvs-v{chapter:02}.md) | {} | {} | {} |", counts[0], counts[1], counts[2]);
        assert!(SECURITY.contains(&row), "docs/security.md lacks: {row}");
        for entry in entries(&page) {
            let says_none = entry.text.contains("No test.") || entry.text.contains("no test ");
            let has_test = !tests_named_in(&entry.text).is_empty() || says_none;
            let deviates = entry.text.to_lowercase().contains("deviation");
            let holds = match entry.status.as_str() {
                "met" => has_test,
                "partly met" => has_test && deviates,
                "not met" => deviates,
                status => panic!("{:?} is {status}", entry.requirements),
            };
            assert!(holds, "{:?} is called {}", entry.requirements, entry.status);
            met += usize::from(entry.status != "not met");
        }
    }
    assert!(met > 150, "{met}");
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

const SECURITY: &str = include_str!("../docs/security.md");

/// Numbers of requirements of each section of ASVS 5.0.0, by chapter. Chapters 5 and 17 do not
/// apply.
const ASVS: [(u32, &[u32]); 15] = [
    (1, &[2, 10, 12, 3, 3]),
    (2, &[3, 3, 5, 2]),
    (3, &[1, 3, 5, 8, 8, 1, 5]),
    (4, &[5, 5, 2, 4]),
    (6, &[3, 12, 8, 6, 8, 4, 2, 4]),
    (7, &[3, 4, 2, 5, 3, 2]),
    (8, &[4, 4, 3, 2]),
    (9, &[3, 4]),
    (10, &[2, 3, 5, 16, 5, 2, 3]),
    (11, &[4, 5, 5, 4, 2, 2, 2]),
    (12, &[5, 2, 5]),
    (13, &[4, 6, 4, 7]),
    (14, &[2, 8, 3]),
    (15, &[5, 5, 7, 4]),
    (16, &[1, 5, 4, 3, 4]),
];

type Number = (u32, u32, u32);

/// The requirements that a text names. A section stands for all that it has, `a to b` for those
/// between.
fn requirements(text: &str) -> Vec<Number> {
    let is_number = |it: &char| it.is_ascii_digit() || *it == '.';
    let clean = |word: &str| word.chars().filter(is_number).collect::<String>();
    let read = |word: &str| -> Vec<u32> {
        clean(word).trim_matches('.').split('.').filter_map(|it| it.parse().ok()).collect()
    };
    let mut numbers = Vec::new();
    let mut is_range = false;
    for word in text.split_whitespace() {
        match read(word)[..] {
            [chapter, section, last] if is_range => {
                let first = numbers.last().map_or(last, |it: &Number| it.2 + 1);
                numbers.extend((first..=last).map(|it| (chapter, section, it)));
            }
            [chapter, section, one] => numbers.push((chapter, section, one)),
            [chapter, section] => numbers.extend((1..=40).map(|it| (chapter, section, it))),
            _ => {}
        }
        is_range = word == "to";
    }
    numbers
}

#[test]
fn every_requirement_is_on_the_page_on_security() {
    let pages = chapters();
    let numbers: Vec<u32> = pages.iter().map(|it| it.0).collect();
    assert_eq!(numbers, ASVS.map(|it| it.0));
    for ((chapter, page), (_, sections)) in pages.iter().zip(ASVS) {
        let exists = |it: &Number| {
            let count = sections.get(it.1 as usize - 1).copied();
            it.0 == *chapter && count.is_some_and(|count| (1..=count).contains(&it.2))
        };
        let listed: Vec<Number> =
            entries(page).into_iter().flat_map(|it| it.requirements).collect();
        let not_applicable = not_applicable(page);
        let unknown: Vec<&Number> = listed.iter().filter(|it| !exists(it)).collect();
        assert!(unknown.is_empty(), "chapter {chapter} of ASVS has no {unknown:?}");
        for (section, count) in (1..).zip(sections) {
            for number in 1..=*count {
                let wanted = (*chapter, section, number);
                let times = [&listed, &not_applicable].map(|them| them.contains(&wanted));
                assert_ne!(times, [false, false], "the page lacks {wanted:?}");
                assert_ne!(times, [true, true], "{wanted:?} applies and does not");
            }
        }
    }
}

/// Statements of the pages about defaults: the setting, its default, and the words.
const DEFAULTS: [(&str, &str, &str); 9] = [
    ("HALLPASS_SESSIONS_PER_USER", "20", "At most 20; then the least recently used one ends."),
    ("HALLPASS_REFRESH_TOKEN_TTL", "7d", "7 and 30 days, by settings"),
    ("HALLPASS_SESSION_TTL", "30d", "7 and 30 days, by settings"),
    ("HALLPASS_PASSWORD_MIN_LENGTH", "8", "8 to 256 characters"),
    ("HALLPASS_BCRYPT_COST", "12", "| bcrypt, cost 12,"),
    ("HALLPASS_ACCESS_TOKEN_TTL", "5m", "with the client, up to 5 minutes"),
    ("HALLPASS_REAUTH_WINDOW", "5m", "a log-in of the last 5 minutes replaces"),
    ("HALLPASS_KEY_ROTATION", "30d", "30 days, then the next"),
    ("HALLPASS_REFRESH_GRACE", "30s", "A replay after 30 seconds ends the session"),
];

#[test]
fn the_page_on_security_gives_the_defaults_of_the_settings() {
    let settings = include_str!("../.env.example");
    let pages = security_pages().split_whitespace().collect::<Vec<&str>>().join(" ");
    for (name, default, words) in DEFAULTS {
        let line = format!("#{name}={default}");
        assert!(settings.lines().any(|it| it == line), ".env.example has no {line}");
        assert!(pages.contains(words), "the pages on security do not say: {words}");
    }
}

#[test]
fn prose_of_the_page_on_security_has_short_lines() {
    for line in security_pages().lines().filter(|line| !line.starts_with('|')) {
        // The name of a test is as long as it is.
        let most = if line.starts_with("- `") { 120 } else { 100 };
        assert!(line.chars().count() <= most, "{line}");
    }
}

/// The packages of the lock file, each as its text.
fn packages() -> impl Iterator<Item = &'static str> {
    include_str!("../Cargo.lock").split("\n[[package]]\n").skip(1)
}

/// The first cells of the table below a heading, of which what stands in backquotes is kept.
fn first_cells(heading: &str, cell: usize) -> Vec<&'static str> {
    let (_, rest) = SECURITY.split_once(&format!("\n### {heading}\n")).expect("the heading");
    let table =
        rest.lines().skip_while(|it| !it.starts_with('|')).take_while(|it| it.starts_with('|'));
    let cells = table.skip(2).map(|row| row.split(" | ").nth(cell).unwrap());
    cells.flat_map(|it| it.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn each_risky_component_is_in_the_lock_file() {
    let risky = first_cells("Risky components", 0);
    assert!(risky.len() > 10, "{risky:?}");
    for name in &risky {
        let line = format!("name = \"{name}\"\n");
        assert!(packages().any(|it| it.starts_with(&line)), "Cargo.lock has no {name}");
    }
    // What is C is among them.
    let is_bound = |name: &str| name.ends_with("-sys") || name.ends_with("-src");
    let bindings = packages().filter_map(|it| it.strip_prefix("name = \"")?.split('"').next());
    let bindings: Vec<&str> =
        bindings.filter(|it| is_bound(it) && !BOUND_ELSEWHERE.contains(it)).collect();
    assert!(bindings.iter().all(|it| risky.contains(it)), "{bindings:?}");
}

/// Bindings to what is listed under another name, or is not in the binary for Linux.
const BOUND_ELSEWHERE: [&str; 6] =
    ["pq-sys", "openssl-sys", "linux-raw-sys", "windows-sys", "js-sys", "web-sys"];

#[test]
fn each_reader_of_foreign_bytes_is_fuzzed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name());
    let mut targets: Vec<String> =
        files.map(|it| it.to_str().unwrap().trim_end_matches(".rs").to_owned()).collect();
    let mut named = first_cells("Dangerous functions", 1);
    targets.sort();
    named.sort_unstable();
    assert_eq!(named, targets);
}

#[test]
fn every_dependency_is_from_the_one_registry_with_its_checksum() {
    let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    let others = packages().filter(|it| !it.starts_with("name = \"hallpass\"\n"));
    let others: Vec<&str> = others.collect();
    assert!(others.len() > 100, "{}", others.len());
    for package in others {
        assert!(package.contains(registry) && package.contains("checksum = \""), "{package}");
    }
    let policy = include_str!("../deny.toml");
    assert!(policy.contains("unknown-registry = \"deny\""));
    assert!(policy.contains("unknown-git = \"deny\""));
}

/// All files of Rust below a folder.
fn sources(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let of_one = |path: std::path::PathBuf| {
        if path.is_dir() {
            return sources(&path);
        }
        let is_rust = path.extension().is_some_and(|it| it == "rs");
        is_rust.then(|| fs::read_to_string(path).unwrap()).into_iter().collect()
    };
    entries.flat_map(of_one).collect()
}

#[test]
fn the_program_starts_no_other_and_has_no_unsafe_code() {
    let manifest = include_str!("../Cargo.toml");
    assert!(manifest.lines().any(|line| line == "unsafe_code = \"forbid\""));
    assert!(!manifest.lines().any(|line| line.starts_with("regex")));
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 100, "{}", files.len());
    for text in files {
        for word in ["process::Command", "Command::new", "libc::", "extern \"C\"", "unsafe {"] {
            assert!(!text.contains(word), "{word} in a file of src");
        }
    }
}
