//! Round trips between an instance and Postgres, counted by a proxy between them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::client::{Api, PASSWORD};
use crate::letters::Mailbox;
use crate::postgres::Cluster;
use crate::service::Setup;

const MINA: &str = "mina@example.com";
/// Beside a request, other threads of the instance look at the database now and then.
const REQUESTS: usize = 15;

/// Forwards connections to a server, and counts how often a client sends after the server has answered.
#[derive(Clone)]
struct Proxy {
    address: SocketAddr,
    round_trips: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self { address, round_trips: Arc::default() };
        let counter = proxy.round_trips.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                forward(client.unwrap(), server, &counter);
            }
        });
        proxy
    }

    /// The median of the round trips of so many requests.
    fn of(&self, mut request: impl FnMut()) -> usize {
        let mut counts: Vec<usize> = (0..REQUESTS)
            .map(|_| {
                let before = self.round_trips.load(Ordering::SeqCst);
                request();
                self.round_trips.load(Ordering::SeqCst) - before
            })
            .collect();
        counts.sort_unstable();
        counts[REQUESTS / 2]
    }
}

fn forward(client: TcpStream, server: TcpStream, counter: &Arc<AtomicUsize>) {
    for socket in [&client, &server] {
        socket.set_nodelay(true).unwrap();
    }
    let (to_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    // The server's answers, numbered.
    let answers = Arc::new(AtomicUsize::new(0));
    let (seen, counter) = (answers.clone(), counter.clone());
    let mut answered = usize::MAX;
    thread::spawn(move || {
        copy(client, to_server, || {
            let now = seen.load(Ordering::SeqCst);
            if std::mem::replace(&mut answered, now) != now {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
    });
    thread::spawn(move || {
        copy(server, to_client, || {
            answers.fetch_add(1, Ordering::SeqCst);
        });
    });
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut()) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        note();
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

#[test]
fn a_refresh_takes_one_round_trip_and_one_more_to_be_counted() {
    for (limits, most) in [("on", 2), ("off", 1)] {
        let Some((_cluster, proxy, setup)) = behind_a_proxy(limits) else { return };
        let service = setup.start();
        let api = service.api();
        Mailbox::folder(&setup).new_account(&api, MINA);
        let mut token = api.log_in(MINA, PASSWORD).text("refresh_token");
        let round_trips = proxy.of(|| refresh(&api, &mut token));
        println!("a refresh with limits {limits}: {round_trips} round trips");
        assert!(round_trips <= most, "{round_trips} with limits {limits}");
    }
}
