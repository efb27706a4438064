//! Imports between files: no file imports one that imports it in turn, however long the way round.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{code_with_whole_uses, sources};

/// A module as the names of its path: `["flows", "sign_in"]`.
type Module = Vec<String>;

/// The modules of `src/` that are files, each with the paths it names and the names it re-exports.
struct Modules {
    names: BTreeMap<Module, Vec<Module>>,
    reexports: BTreeMap<(Module, String), Module>,
}

impl Modules {
    fn read() -> Self {
        let files = sources().into_iter().map(|(_, path, text)| (module_of(&path), text));
        let files: BTreeMap<Module, String> = files.filter(|(it, _)| !is_of_tests(it)).collect();
        let known: BTreeSet<Module> = files.keys().cloned().collect();
        let mut modules = Self { names: BTreeMap::new(), reexports: BTreeMap::new() };
        for (module, text) in &files {
            // What only tests import is no dependency.
            let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
            let names = modules.names.entry(module.clone()).or_default();
            for (_, line) in code_with_whole_uses(&text[..tests]) {
                match line.split_once("use ").filter(|(before, _)| is_visibility(before)) {
                    Some((before, tree)) => {
                        let paths = paths_of(tree.trim_end_matches(';'));
                        for path in paths.iter().filter_map(|it| absolute(it, module, &known)) {
                            if before.trim().starts_with("pub") {
                                let name = path.last().unwrap().clone();
                                modules.reexports.insert((module.clone(), name), path);
                            } else {
                                names.push(path);
                            }
                        }
                    }
                    None => names.extend(
                        inline_paths(&line).iter().filter_map(|it| absolute(it, module, &known)),
                    ),
                }
            }
        }
        modules
    }

    /// The file that defines what `path` names.
    fn file_of(&self, path: &[String]) -> Module {
        for end in (0..=path.len()).rev() {
            let module = path[..end].to_vec();
            if !self.names.contains_key(&module) {
                continue;
            }
            let reexport = path.get(end).and_then(|name| {
                self.reexports.get(&(module.clone(), name.clone())).filter(|it| *it != path)
            });
            return match reexport {
                Some(target) => self.file_of(&[target.clone(), path[end + 1..].to_vec()].concat()),
                None => module,
            };
        }
        Module::new()
    }

    /// Each file with those that it imports.
    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let imports = |(module, names): (&Module, &Vec<Module>)| {
            let mut files: BTreeSet<Module> = names.iter().map(|it| self.file_of(it)).collect();
            files.remove(module);
            (module.clone(), files)
        };
        self.names.iter().map(imports).collect()
    }
}

/// Returns whether a module is compiled for tests only.
fn is_of_tests(module: &Module) -> bool {
    module.iter().any(|name| ["tests", "hostile", "samples"].contains(&name.as_str()))
}

fn module_of(path: &Path) -> Module {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let inner = path.strip_prefix(source).unwrap().with_extension("");
    let mut names: Module = inner.iter().map(|it| it.to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        names.pop();
    }
    names
}

/// Returns whether what stands before `use` is nothing or a visibility.
fn is_visibility(before: &str) -> bool {
    let before = before.trim();
    before.is_empty() || before == "pub" || before.starts_with("pub(") && before.ends_with(')')
}

/// The paths of a tree of `use`, with braces resolved.
fn paths_of(tree: &str) -> Vec<Vec<String>> {
    let names = |text: &str| -> Vec<String> {
        let text = text.split(" as ").next().unwrap_or_default();
        let names = text.split("::").map(str::trim).filter(|it| !it.is_empty() && *it != "self");
        names.map(str::to_owned).collect()
    };
    let Some((before, list)) = tree.split_once('{') else { return vec![names(tree)] };
    let list = list.trim_end().strip_suffix('}').unwrap_or(list);
    let mut depth = 0_i32;
    let mut parts = vec![String::new()];
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let parts = parts.iter().filter(|it| !it.trim().is_empty());
    parts.flat_map(|it| paths_of(it)).map(|it| [names(before), it].concat()).collect()
}

/// The paths of this crate in a line that is no `use`.
fn inline_paths(line: &str) -> Vec<Vec<String>> {
    let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let paths = words.map(|it| it.split("::").map(str::to_owned).collect::<Vec<_>>());
    paths.filter(|it| it.len() > 1 && ["crate", "super"].contains(&it[0].as_str())).collect()
}

/// The path from the root of this crate; `None` for a path of another crate.
fn absolute(path: &[String], module: &Module, known: &BTreeSet<Module>) -> Option<Module> {
    let child = || [module.clone(), vec![path[0].clone()]].concat();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "super" => {
            let up = path.iter().take_while(|it| *it == "super").count();
            let parent = &module[..module.len().checked_sub(up)?];
            Some([parent, &path[up..]].concat())
        }
        _ if known.contains(&child()) => Some([module.as_slice(), path].concat()),
        _ => None,
    }
}

/// The files that lead from `start` back to itself, if there is such a way.
fn way_round(start: &Module, imports: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut ways = vec![vec![start.clone()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in &imports[way.last().unwrap()] {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push([way.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}

#[test]
fn no_file_imports_one_that_imports_it() {
    let imports = Modules::read().imports();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 500, "this test looks at nothing");
    let mut faults = Vec::new();
    for module in imports.keys() {
        if let Some(way) = way_round(module, &imports) {
            let way: Vec<String> = way.iter().map(|it| it.join("::")).collect();
            faults.push(way.join(" -> "));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let paths = paths_of("crate::a::{self, b::{C, D as E}, f}");
    let paths: Vec<String> = paths.iter().map(|it| it.join("::")).collect();
    assert_eq!(paths, ["crate::a", "crate::a::b::C", "crate::a::b::D", "crate::a::f"]);
    let module = |text: &str| -> Module { text.split("::").map(str::to_owned).collect() };
    let known = BTreeSet::from([module("a"), module("a::b")]);
    let absolute =
        |path: &str| absolute(&module(path), &module("a"), &known).map(|it| it.join("::"));
    assert_eq!(absolute("super::c::D").as_deref(), Some("c::D"));
    assert_eq!(absolute("b::C").as_deref(), Some("a::b::C"));
    assert_eq!(absolute("std::fmt"), None);
}
