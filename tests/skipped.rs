//! The last binary that `cargo test` runs: a summary of the tests that the others skipped, and why.

#[path = "support/missing.rs"]
#[allow(dead_code, reason = "nothing is needed here")]
mod missing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

/// The names of tests by what they lack.
type Skipped = BTreeMap<String, BTreeSet<String>>;

fn main() {
    // Asked for the names of its tests, it has none.
    if std::env::args().any(|it| it == "--list") {
        return;
    }
    let list = missing::list();
    let text = fs::read_to_string(&list).unwrap_or_default();
    // It belongs to this run only.
    let _ = fs::remove_file(list);
    print!("\n{}\n", summary(&skipped_in(&text)));
}

fn skipped_in(text: &str) -> Skipped {
    let mut skipped = Skipped::new();
    for (what, test) in text.lines().filter_map(|line| line.split_once('\t')) {
        skipped.entry(what.to_owned()).or_default().insert(test.to_owned());
    }
    skipped
}

fn summary(skipped: &Skipped) -> String {
    let total: usize = skipped.values().map(BTreeSet::len).sum();
    if total == 0 {
        return "No test was skipped.\n".to_owned();
    }
    let mut text = format!("SKIPPED: {total} tests (with CI=true they fail)\n");
    for (what, tests) in skipped {
        let _ = writeln!(text, "  {} for want of: {what}", tests.len());
        for (module, count) in by_module(tests) {
            let _ = writeln!(text, "    {module} ({count})");
        }
    }
    text
}

/// Number of skipped tests of each module: the name without the test and its database.
fn by_module(tests: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut modules = BTreeMap::new();
    for test in tests {
        let module = test.splitn(3, "::").take(2).collect::<Vec<_>>().join("::");
        *modules.entry(module).or_default() += 1;
    }
    modules
}
