//! Tests of the hash queue.

use std::sync::{Arc, mpsc};

use super::*;

fn from(account: &str, network: &str) -> Requester {
    Requester { account: account.into(), lane: Lane::Network(origin(network)) }
}

fn known(account: &str, network: &str) -> Requester {
    Requester { account: account.into(), lane: Lane::KnownDevice(origin(network)) }
}

/// Returns the network `block/name`, or one with a block of its own.
fn origin(network: &str) -> Origin {
    let block = network.split('/').next().unwrap_or_default();
    Origin { network: network.into(), block: block.into() }
}

/// Submits jobs that record their name when they run or are refused. Nothing takes them yet.
struct Bench {
    queue: HashQueue,
    tell: mpsc::Sender<(String, Start)>,
    told: mpsc::Receiver<(String, Start)>,
}

impl Bench {
    fn new() -> Self {
        let (tell, told) = mpsc::channel();
        Self { queue: HashQueue::new(1), tell, told }
    }

    fn submit(&self, name: &str, requester: Requester) {
        let (tell, name) = (self.tell.clone(), name.to_owned());
        self.queue.submit(requester, Box::new(move |start| tell.send((name, start)).unwrap()));
    }

    fn run_all(&self) -> Vec<String> {
        while self.queue.load().networks + self.queue.load().known_devices > 0 {
            self.queue.run_next(|job| job(Start::Run));
        }
        self.told.try_iter().filter(|it| it.1 == Start::Run).map(|it| it.0).collect()
    }

    fn refused(&self) -> Vec<String> {
        self.told.try_iter().filter(|it| it.1 == Start::Refused).map(|it| it.0).collect()
    }
}

#[test]
fn known_devices_have_two_thirds_of_the_work_and_networks_take_turns() {
    let bench = Bench::new();
    for number in 0..3 {
        bench.submit(&format!("a{number}"), from(&format!("a{number}"), "a"));
    }
    bench.submit("b0", from("b0", "b"));
    for number in 0..4 {
        bench.submit(&format!("k{number}"), known(&format!("k{number}"), "a"));
    }
    assert_eq!(bench.run_all(), ["k0", "k1", "a0", "k2", "k3", "b0", "a1", "a2"]);
}

#[test]
fn a_full_queue_favours_small_networks_and_reserves_places_for_known_devices() {
    let bench = Bench::new();
    for number in 0..20 {
        bench.submit(&format!("a{number}"), from(&format!("a{number}"), "a"));
    }
    assert_eq!(bench.refused(), ["a16", "a17", "a18", "a19"]);
    bench.submit("b0", from("b0", "b"));
    assert_eq!(bench.refused(), ["a15"]);
    for number in 0..9 {
        bench.submit(&format!("k{number}"), known(&format!("k{number}"), "a"));
    }
    assert_eq!(bench.refused(), ["k8"]);
    bench.submit("l0", known("l0", "b"));
    assert_eq!(bench.refused(), ["k7"]);
    assert_eq!(bench.run_all().len(), 24);
}

#[test]
fn a_block_without_a_job_has_a_place_before_another_has_several() {
    let bench = Bench::new();
    for number in 0..16 {
        bench.submit(&format!("x{number}"), from(&format!("x{number}"), &format!("x/{number}")));
    }
    bench.submit("x16", from("x16", "x/16"));
    assert_eq!(bench.refused(), ["x16"]);
    bench.submit("y0", from("y0", "y/0"));
    assert_eq!(bench.refused(), ["x15"]);
    // The next networks of a block have no precedence, so that a few blocks take few places.
    bench.submit("y1", from("y1", "y/1"));
    assert_eq!(bench.refused(), ["y1"]);
    for number in 0..14 {
        bench.submit(&format!("z{number}"), from(&format!("z{number}"), &format!("z{number}/0")));
    }
    assert_eq!(bench.refused().len(), 14);
    bench.submit("last", from("last", "last/0"));
    assert_eq!(bench.refused(), ["last"]);
    // A network that lost its job has its turn when it returns.
    assert_eq!(bench.run_all().len(), 16);
    bench.submit("x15", from("x15", "x/15"));
    assert_eq!(bench.run_all(), ["x15"]);
}

#[test]
fn one_account_has_few_places_and_gives_way_to_others_in_its_network() {
    let bench = Bench::new();
    for account in ["a", "b", "c"] {
        for number in 0..4 {
            bench.submit(&format!("{account}{number}"), known(account, "x"));
        }
    }
    // Three places each, and eight in all.
    assert_eq!(bench.refused(), ["a3", "b3", "c2", "c3"]);
    bench.submit("d0", known("d", "x"));
    assert_eq!(bench.refused(), ["b2"]);
    assert_eq!(bench.run_all(), ["a0", "a1", "a2", "b0", "b1", "c0", "c1", "d0"]);
}

#[test]
fn of_one_account_one_hash_is_computed_at_a_time() {
    let queue = Arc::new(HashQueue::new(4));
    let (tell, told) = mpsc::channel();
    let (go_on, waits) = mpsc::channel::<()>();
    let waits = Arc::new(Mutex::new(waits));
    for number in 0..3 {
        let (tell, waits) = (tell.clone(), Arc::clone(&waits));
        let job: Job = Box::new(move |_| {
            tell.send(number).unwrap();
            waits.lock().unwrap().recv().unwrap();
        });
        queue.submit(from("mina", &number.to_string()), job);
    }
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || while queue.run_next(|job| job(Start::Run)) {})
        })
        .collect();
    for number in 0..3 {
        assert_eq!(told.recv().unwrap(), number);
        assert!(told.try_recv().is_err(), "another one runs beside it");
        assert_eq!(queue.lock().busy.len(), 1);
        go_on.send(()).unwrap();
    }
    queue.close();
    for thread in threads {
        thread.join().unwrap();
    }
}
