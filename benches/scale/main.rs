//! Every endpoint with few and with many users, on SQLite and on Postgres.
//!
//! ```console
//! cargo bench --bench scale -- [--few 1000] [--many 1000000] [--rounds 30] [--only NAME]
//! ```
//!
//! Makes the data, starts four services and asks each of them in turn, one request at a time. Prints the
//! median of each endpoint and the ratio of many to few users, of which [`GOAL`] is the most that should be.
//! Everything lies in the folder for temporary files, and goes with the program.

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
mod requests;
mod service;
mod social;

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use requests::{Operation, operations};
use serde_json::Value;
use service::Service;

/// The most that a request should take with many users, compared with few.
const GOAL: f64 = 1.15;

struct Arguments {
    few: u32,
    many: u32,
    rounds: usize,
    only: String,
}

impl Arguments {
    fn read() -> Self {
        let mut arguments = Self { few: 1_000, many: 1_000_000, rounds: 30, only: String::new() };
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(name) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--few" => arguments.few = value.parse().unwrap(),
                "--many" => arguments.many = value.parse().unwrap(),
                "--rounds" => arguments.rounds = value.parse().unwrap(),
                "--only" => arguments.only = value,
                _ => panic!("unknown argument {name}"),
            }
        }
        arguments
    }
}

fn main() {
    let Arguments { few, many, rounds, only } = Arguments::read();
    let cluster = postgres::Cluster::start_new().expect("a Postgres");
    let mut services: Vec<Service> = thread::scope(|scope| {
        let start = |users, database| scope.spawn(move || Service::start(users, database));
        let both = |users| [start(users, None), start(users, Some(cluster.fresh_schema()))];
        let threads = [both(few), both(many)];
        threads.into_iter().flatten().map(|thread| thread.join().unwrap()).collect()
    });
    assert_complete(&services[0]);
    let chosen: Vec<Operation> =
        operations().into_iter().filter(|it| it.name.contains(&only)).collect();
    let mut times = vec![vec![Vec::new(); services.len()]; chosen.len()];
    // The first round warms caches and connections.
    for round in 0..=rounds {
        for (operation, times) in chosen.iter().zip(&mut times) {
            // What a request leaves to be done, such as a mail, is done while the next service answers:
            // in every second round the large services go first.
            for turn in 0..services.len() {
                let index = (turn + 2 * (round % 2)) % services.len();
                let took = services[index].measure(operation);
                if round > 0 {
                    times[index].push(took);
                }
            }
        }
    }
    print_table(few, many, &chosen, times);
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

fn print_table(few: u32, many: u32, chosen: &[Operation], times: Vec<Vec<Vec<Duration>>>) {
    println!("Medians in milliseconds with {few} and {many} users.\n");
    println!("| request | SQLite, few | many | ratio | Postgres, few | many | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut beyond = 0;
    for (operation, times) in chosen.iter().zip(times) {
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        let [sqlite_few, postgres_few, sqlite_many, postgres_many] = medians[..] else {
            unreachable!("there are four services")
        };
        let ratios = [sqlite_many / sqlite_few, postgres_many / postgres_few];
        beyond += ratios.iter().filter(|ratio| **ratio > GOAL).count();
        let [sqlite, postgres] = ratios.map(|ratio| {
            if ratio > GOAL { format!("**{ratio:.2}**") } else { format!("{ratio:.2}") }
        });
        println!(
            "| {} | {sqlite_few:.2} | {sqlite_many:.2} | {sqlite} | {postgres_few:.2} | \
             {postgres_many:.2} | {postgres} |",
            operation.name
        );
    }
    println!("\n{beyond} ratios are beyond {GOAL}.");
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}
