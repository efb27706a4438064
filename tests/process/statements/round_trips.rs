//! Round trips between an instance and Postgres, and commits that wait for the disk, counted by a
//! proxy between them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::client::{Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::postgres::Cluster;
use crate::service::Setup;
use crate::sql::count_postgres;
use crate::waiting::wait_until;

const MINA: &str = "mina@example.com";
/// Beside a request, other threads of the instance look at the database now and then.
const REQUESTS: usize = 15;

/// Forwards connections to a server, and counts how often a client sends after the server has
/// answered.
#[derive(Clone)]
struct Proxy {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    round_trips: AtomicUsize,
    /// Transactions that may write and whose commit waits for the disk.
    durable: AtomicUsize,
    /// `UPDATE` statements that the server has to parse: one that it has prepared has only a name.
    parsed_updates: AtomicUsize,
}

/// Begin of a transaction that may write. If its commit does not wait for the disk, `LAZY` follows
/// in the same message.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout";
const LAZY: &str = "synchronous_commit = off";

/// Cost of a request.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    round_trips: usize,
    durable: usize,
    parsed_updates: usize,
}

impl Proxy {
    fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self { address, seen: Arc::default() };
        let seen = proxy.seen.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                forward(client.unwrap(), server, &seen);
            }
        });
        proxy
    }

    /// The medians of so many requests.
    fn of(&self, mut request: impl FnMut()) -> Cost {
        let Seen { round_trips, durable, parsed_updates } = &*self.seen;
        let count = || [round_trips, durable, parsed_updates].map(|it| it.load(Ordering::SeqCst));
        let counts: Vec<[usize; 3]> = (0..REQUESTS)
            .map(|_| {
                let before = count();
                request();
                let after = count();
                std::array::from_fn(|of| after[of] - before[of])
            })
            .collect();
        let median = |of: usize| {
            let mut counts: Vec<usize> = counts.iter().map(|it| it[of]).collect();
            counts.sort_unstable();
            counts[REQUESTS / 2]
        };
        Cost { round_trips: median(0), durable: median(1), parsed_updates: median(2) }
    }
}

fn forward(client: TcpStream, server: TcpStream, seen: &Arc<Seen>) {
    for socket in [&client, &server] {
        socket.set_nodelay(true).unwrap();
    }
    let (to_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    // The server's answers, numbered.
    let answers = Arc::new(AtomicUsize::new(0));
    let (answers_so_far, seen) = (answers.clone(), seen.clone());
    let mut answered = usize::MAX;
    thread::spawn(move || {
        copy(client, to_server, |sent| {
            let now = answers_so_far.load(Ordering::SeqCst);
            if std::mem::replace(&mut answered, now) != now {
                seen.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            let sent = String::from_utf8_lossy(sent);
            if sent.contains(BEGIN) && !sent.contains(LAZY) {
                seen.durable.fetch_add(1, Ordering::SeqCst);
            }
            if sent.contains("UPDATE \"") {
                seen.parsed_updates.fetch_add(1, Ordering::SeqCst);
            }
        });
    });
    thread::spawn(move || {
        copy(server, to_client, |_| {
            answers.fetch_add(1, Ordering::SeqCst);
        });
    });
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        note(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other side may have closed it.
    drop(to.shutdown(Shutdown::Both));
}

/// An instance whose connections go through a proxy.
fn behind_a_proxy(limits: &str) -> Option<(Cluster, Proxy, Setup)> {
    let cluster = Cluster::start_new()?;
    let proxy = Proxy::start(cluster.port());
    let port = format!(":{}/", cluster.port());
    assert!(cluster.url().contains(&port), "{}", cluster.url());
    let url = cluster.url().replace(&port, &format!(":{}/", proxy.address.port()));
    let setup = Setup::on_sqlite()
        .with("DATABASE_URL", &url)
        .with("HALLPASS_BCRYPT_COST", "4")
        .with("HALLPASS_LIMITS", limits);
    Some((cluster, proxy, setup))
}

fn refresh(api: &Api, token: &mut String) {
    let answer = api.refresh(token);
    assert_eq!(answer.status, 200, "{answer:?}");
    *token = answer.text("refresh_token");
}

/// The checks of the tables and of the privileges on them are a statement each, whatever the number
/// of tables. When they were one for each table, it was 80.
#[test]
fn a_start_on_tables_that_exist_takes_few_round_trips() {
    let Some((_cluster, proxy, setup)) = behind_a_proxy("on") else { return };
    drop(setup.start());
    let starts = (0..3).map(|_| {
        let before = proxy.seen.round_trips.load(Ordering::SeqCst);
        let service = setup.start();
        assert_eq!(service.api().get("/healthz").status, 200);
        proxy.seen.round_trips.load(Ordering::SeqCst) - before
    });
    // The first purge and the periodic reads run beside it, and only add to it.
    let round_trips = starts.min().unwrap();
    println!("a start: {round_trips} round trips");
    assert!(round_trips < 65, "{round_trips}");
}

#[test]
fn a_refresh_takes_one_round_trip_and_one_more_to_be_counted() {
    for (limits, most) in [("on", 2), ("off", 1)] {
        let Some((_cluster, proxy, setup)) = behind_a_proxy(limits) else { return };
        let service = setup.start();
        let api = service.api();
        Mailbox::folder(&setup).new_account(&api, MINA);
        let mut token = api.log_in(MINA, PASSWORD).text("refresh_token");
        let round_trips = proxy.of(|| refresh(&api, &mut token)).round_trips;
        println!("a refresh with limits {limits}: {round_trips} round trips");
        assert!(round_trips <= most, "{round_trips} with limits {limits}");
    }
}

/// One to look the account up; three to count the attempt, in a transaction; four for the session:
/// its transaction, the account and all the rest; one to reset the failures.
#[test]
fn a_log_in_takes_nine_round_trips_and_one_commit_that_waits_for_the_disk() {
    for (limits, round_trips) in [("on", 9), ("off", 5)] {
        let Some((_cluster, proxy, setup)) = behind_a_proxy(limits) else { return };
        let setup = setup
            .with("HALLPASS_LIMIT_NETWORK", "1000/1m")
            .with("HALLPASS_SESSIONS_PER_USER", "100");
        let service = setup.start();
        let api = service.api();
        Mailbox::folder(&setup).new_account(&api, MINA);
        let device = api.log_in(MINA, PASSWORD).text("device_token");
        let known = json!({"username": MINA, "password": PASSWORD, "device_token": device});
        let unknown = json!({"username": MINA, "password": PASSWORD});
        for body in [known, unknown] {
            let cost = proxy.of(|| {
                assert_eq!(api.post("/v1/token-auth", &body).status, 200);
            });
            println!("a log-in with limits {limits}: {cost:?}");
            assert_eq!(cost.durable, 1);
            assert_eq!(cost.parsed_updates, 0);
            assert!(cost.round_trips <= round_trips, "{cost:?} with limits {limits}");
        }
    }
}

/// One records the hashes of its secrets and confirms the claim, the other that it was sent.
#[test]
fn a_mail_takes_two_commits_that_wait_for_the_disk() {
    let Some((cluster, proxy, setup)) = behind_a_proxy("off") else { return };
    let service = setup.start();
    let api = service.api();
    let mailbox = Mailbox::folder(&setup);
    let addresses: Vec<String> =
        (0..REQUESTS).map(|number| format!("user{number}@example.com")).collect();
    for address in &addresses {
        mailbox.new_account(&api, address);
    }
    let log_in = |address: &str, browser: &str| {
        let body = json!({"username": address, "password": PASSWORD});
        let answer = api.post_with("/v1/token-auth", &[("user-agent", browser)], &body);
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    for address in &addresses {
        log_in(address, "curl/8");
    }
    let sent = || count_postgres(&cluster.url(), "outbox WHERE status = 'sent'");
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let mut those = addresses.iter();
    let cost = proxy.of(|| {
        let before = sent();
        log_in(those.next().unwrap(), firefox);
        wait_until("the mail", || sent() > before);
    });
    println!("a log-in and its mail: {cost:?}");
    assert_eq!(cost.durable, 3);
}
