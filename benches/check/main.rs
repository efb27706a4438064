//! Cost of a token check, compared with a bare route of actix-web that receives and sends as many bytes.
//!
//! ```console
//! cargo bench --profile release --bench check -- [--rounds 5] [--seconds 3] [--connections 32]
//! ```
//!
//! Starts a service that signs with ES256, one that signs with HS256, and the bare routes, each in a process of
//! its own; drives them in turn with one client (`wrk` where it is installed, else one of its own) and prints
//! the medians of the rounds. [`RATIO`] and [`CPU`] are the goals. Without `--profile release` the services
//! are built like other benchmarks, without link-time optimisation.

#![allow(missing_docs, reason = "a program of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the benchmark")]

mod bare;
mod client;
mod service;

use std::time::Duration;

use client::{Client, Request};
use service::{Process, hallpass};

/// The least share of the requests of the bare route that should be answered.
const RATIO: f64 = 0.85;
/// The most that a check should take of a processor, in microseconds.
const CPU: f64 = 20.0;

struct Arguments {
    rounds: usize,
    seconds: u64,
    connections: usize,
}

impl Arguments {
    fn read(words: impl Iterator<Item = String>) -> Self {
        let mut arguments = Self { rounds: 5, seconds: 3, connections: 32 };
        let mut words = words.filter(|word| word != "--bench");
        while let Some(name) = words.next() {
            let value = words.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--rounds" => arguments.rounds = value.parse().unwrap(),
                "--seconds" => arguments.seconds = value.parse().unwrap(),
                "--connections" => arguments.connections = value.parse().unwrap(),
                _ => panic!("unknown argument {name}"),
            }
        }
        arguments
    }
}

/// A request, the process that answers it, and what was measured.
struct Target<'a> {
    name: String,
    process: &'a Process,
    request: Request,
    per_second: Vec<f64>,
    micros: Vec<f64>,
}

impl<'a> Target<'a> {
    fn new(name: impl Into<String>, process: &'a Process, request: Request) -> Self {
        let (per_second, micros) = (Vec::new(), Vec::new());
        Self { name: name.into(), process, request, per_second, micros }
    }

    fn measure(&mut self, client: Client, connections: usize, time: Duration) {
        let before = self.process.cpu();
        let per_second = client.drive(self.process.address, &self.request, connections, time);
        let used = self.process.cpu().saturating_sub(before);
        self.per_second.push(per_second);
        self.micros.push(used.as_secs_f64() * 1e6 / (per_second * time.as_secs_f64()));
    }
}

fn main() {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == bare::ARGUMENT).is_some() {
        return bare::serve(words);
    }
    let Arguments { rounds, seconds, connections } = Arguments::read(words);
    let client = Client::choose();
    let services = ["ES256", "HS256"].map(|algorithm| (algorithm, hallpass(algorithm)));
    let bare = {
        let (_, (service, token)) = &services[0];
        let sizes = [Request::token_verify(token), Request::forward_auth(token)]
            .map(|request| client::answer(service.address, &request).len());
        service::bare(sizes)
    };
    // The token of ES256 is the longer one; those of the bare routes are of its length.
    let (_, (_, token)) = &services[0];
    let mut targets = Vec::new();
    for (name, of) in [
        ("token-verify", Request::token_verify as fn(&str) -> Request),
        ("forward-auth", Request::forward_auth),
    ] {
        targets.push(Target::new(format!("bare {name}"), &bare, of(token)));
        for (algorithm, (service, token)) in &services {
            targets.push(Target::new(format!("{name} {algorithm}"), service, of(token)));
        }
    }
    // The first round warms caches.
    for round in 0..=rounds {
        let time = Duration::from_secs(if round == 0 { 1 } else { seconds });
        for target in &mut targets {
            target.measure(client, connections, time);
            if round == 0 {
                (target.per_second, target.micros) = (Vec::new(), Vec::new());
            }
        }
    }
    print_table(&targets);
}

fn print_table(targets: &[Target]) {
    println!("| request | requests/s | ratio to bare | CPU per request |");
    println!("| --- | --- | --- | --- |");
    let mut missed = 0;
    for group in targets.chunks(3) {
        for target in group {
            let (per_second, micros) = (median(&target.per_second), median(&target.micros));
            let ratios: Vec<f64> =
                target.per_second.iter().zip(&group[0].per_second).map(|(a, b)| a / b).collect();
            let ratio = median(&ratios);
            missed += usize::from(ratio < RATIO) + usize::from(micros > CPU);
            println!("| {} | {per_second:.0} | {ratio:.2} | {micros:.1} us |", target.name);
        }
    }
    println!("\n{missed} goals are missed (ratio {RATIO}, {CPU} us).");
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
