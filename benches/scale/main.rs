//! Every endpoint with few and with many users, on SQLite and on Postgres.
//!
//! ```console
//! cargo bench --bench scale -- [--few 1000] [--many 1000000] [--rounds 30] [--only NAME,NAME] \
//!     [--database sqlite] [--keep FOLDER]
//! cargo bench --bench scale -- --purge 1000000
//! ```
//!
//! Makes the data, starts four services and asks each of them in turn, one request at a time.
//! Prints the median of each endpoint and the ratio of many to few users, of which [`GOAL`] is the
//! most that should be. Before each round the files of the databases are read, so that all rows are
//! in the memory of the system: a read of the disk takes longer than most requests, and rows of a
//! small database are always in memory. Everything lies in the folder for temporary files, and goes
//! with the program, except copies of the SQLite databases as they are before the first request:
//! with `--keep`, these stay in that folder, and the next run begins with them.

#![allow(missing_docs, reason = "a program of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the benchmark")]

#[path = "../../tests/support/missing.rs"]
mod missing;
#[path = "../../tests/support/postgres.rs"]
mod postgres;
#[path = "../../tests/support/scratch.rs"]
mod scratch;
#[path = "../../tests/support/scripted_provider.rs"]
mod scripted_provider;

mod data;
mod purge;
mod requests;
mod service;
mod social;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io, thread};

use requests::{Operation, operations};
use serde_json::Value;
use service::{Measured, Service};

/// The plans of Postgres by default, as in production.
const PLAN_CACHE_MODE: &str = "auto";

/// The most that a request should take with many users, compared with few.
const GOAL: f64 = 1.15;

struct Arguments {
    few: u32,
    many: u32,
    rounds: usize,
    /// Beginnings of the names of the requests to measure.
    only: Vec<String>,
    /// True if Postgres is measured beside SQLite.
    has_postgres: bool,
    /// Number of users of the purge that is measured in place of the requests.
    purge: Option<u32>,
    /// Folder of the SQLite databases that are kept.
    keep: Option<PathBuf>,
}

impl Arguments {
    fn read() -> Self {
        let mut arguments = Self {
            few: 1_000,
            many: 1_000_000,
            rounds: 30,
            only: vec![String::new()],
            has_postgres: true,
            purge: None,
            keep: None,
        };
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(name) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--few" => arguments.few = value.parse().unwrap(),
                "--many" => arguments.many = value.parse().unwrap(),
                "--rounds" => arguments.rounds = value.parse().unwrap(),
                "--only" => arguments.only = value.split(',').map(str::to_owned).collect(),
                "--database" => arguments.has_postgres = value != "sqlite",
                "--keep" => arguments.keep = Some(PathBuf::from(value)),
                "--purge" => arguments.purge = Some(value.parse().unwrap()),
                _ => panic!("unknown argument {name}"),
            }
        }
        arguments
    }
}

fn main() {
    let Arguments { few, many, rounds, only, has_postgres, purge, keep } = Arguments::read();
    let cluster = has_postgres.then(|| postgres::Cluster::start_new().expect("a Postgres"));
    if let Some(users) = purge {
        purge::measure(users, None);
        if let Some(cluster) = &cluster {
            purge::measure(users, Some(cluster.fresh_schema()));
        }
        return;
    }
    let mut services: Vec<Service> = thread::scope(|scope| {
        let keep = keep.as_deref();
        let start = |users, database| scope.spawn(move || Service::start(users, database, keep));
        let both = |users| {
            let postgres = cluster.iter().map(move |it| start(users, Some(it.fresh_schema())));
            [start(users, None)].into_iter().chain(postgres).collect::<Vec<_>>()
        };
        let threads = [both(few), both(many)];
        threads.into_iter().flatten().map(|thread| thread.join().unwrap()).collect()
    });
    assert_complete(&services[0]);
    let chosen: Vec<Operation> = operations()
        .into_iter()
        .filter(|it| only.iter().any(|name| it.name.contains(name)))
        .collect();
    let mut measured = vec![vec![Vec::new(); services.len()]; chosen.len()];
    // The first round warms caches and connections.
    for round in 0..=rounds {
        for folder in
            services.iter().map(Service::folder).chain(cluster.iter().map(postgres::Cluster::data))
        {
            read_files(&folder);
        }
        for (operation, measured) in chosen.iter().zip(&mut measured) {
            // What a request leaves to be done, such as a mail, is done while the next service
            // answers: in every second round the large services go first.
            for turn in 0..services.len() {
                let index = (turn + services.len() / 2 * (round % 2)) % services.len();
                let request = services[index].measure(operation);
                if round > 0 {
                    measured[index].push(request);
                }
            }
        }
    }
    print_table(few, many, &chosen, &measured);
}

/// Reads all files of a folder, so that the system has them in memory.
fn read_files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_files(&path);
        } else if let Ok(mut file) = fs::File::open(&path) {
            // Sockets and files that were deleted meanwhile are no data.
            io::copy(&mut file, &mut io::sink()).unwrap();
        }
    }
}

/// Fails if the document has an operation that is not asked here.
fn assert_complete(service: &Service) {
    let document: Value = serde_json::from_str(&service.get("/openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let methods = paths.flat_map(|path| path.as_object().unwrap().values());
    let documented: BTreeSet<&str> =
        methods.filter_map(|operation| operation["operationId"].as_str()).collect();
    let asked: BTreeSet<&str> = operations().iter().map(|operation| operation.name).collect();
    let missing: Vec<_> = documented.difference(&asked).collect();
    assert!(missing.is_empty(), "not asked: {missing:?}");
}

/// `measured` are the requests of each operation at each service: few users, then many.
fn print_table(few: u32, many: u32, chosen: &[Operation], measured: &[Vec<Vec<Measured>>]) {
    let has_postgres = measured.first().is_some_and(|services| services.len() > 2);
    let names = if has_postgres { &["SQLite", "Postgres"][..] } else { &["SQLite"] };
    println!("Medians in milliseconds with {few} and {many} users, and of pages that are read.\n");
    let columns =
        names.iter().flat_map(|name| [format!("{name}, few"), "many".into(), "ratio".into()]);
    let columns = columns.chain(["pages, few".to_owned(), "many".to_owned()]);
    print_row("request", columns);
    print_row("---", (0..3 * names.len() + 2).map(|_| "---".to_owned()));
    let mut beyond = 0;
    for (operation, services) in chosen.iter().zip(measured) {
        let median_time = |requests: &Vec<Measured>| {
            median(requests.iter().map(|it| it.took).collect()).as_secs_f64() * 1_000.0
        };
        let median_reads =
            |index: usize| median(services[index].iter().map(|it| it.reads).collect());
        let medians: Vec<f64> = services.iter().map(median_time).collect();
        let (small, large) = medians.split_at(names.len());
        let times = small.iter().zip(large).flat_map(|(small, large)| {
            let ratio = large / small;
            beyond += usize::from(ratio > GOAL);
            let mark = if ratio > GOAL { "**" } else { "" };
            [format!("{small:.2}"), format!("{large:.2}"), format!("{mark}{ratio:.2}{mark}")]
        });
        // Postgres reads its files itself.
        let reads = [0, names.len()].map(|sqlite| median_reads(sqlite).to_string());
        print_row(operation.name, times.chain(reads));
    }
    let all = || measured.iter().flatten().flatten();
    let waits = all().filter(|it| it.waited_for_disk).count();
    println!("\n{beyond} ratios are beyond {GOAL}.");
    println!("Services read the disk in {waits} of {} requests.", all().count());
}

fn print_row(name: &str, columns: impl Iterator<Item = String>) {
    let columns: Vec<String> = columns.collect();
    println!("| {name} | {} |", columns.join(" | "));
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort();
    values[values.len() / 2]
}
