//! Time from the start to the first response.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::client::Api;
use crate::postgres::free_port;
use crate::service::Setup;

const STARTS: usize = 10;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_start_on_an_existing_database_is_quick() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let setup = Setup::on_sqlite().with("HALLPASS_BIND", &address.to_string());
    let admin = ["create-superuser", "--username", "admin", "--password", "admin"];
    assert!(setup.run(&[&admin[..], &["--allow-weak-password"]].concat()).success);
    let api = Api::at(address);
    let (mut healthy, mut logged_in) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let spawned = Instant::now();
        let service = setup.start();
        while TcpStream::connect(address).is_err() {}
        assert_eq!(api.get("/healthz").status, 200);
        healthy.push(spawned.elapsed());
        assert_eq!(api.log_in("admin", "admin").status, 200);
        logged_in.push(spawned.elapsed());
        service.kill();
    }
    let (healthy, logged_in) = (median(healthy), median(logged_in));
    println!("median of {STARTS} from spawn: /healthz {healthy:?}, token-auth {logged_in:?}");
    assert!(logged_in < Duration::from_secs(2), "{logged_in:?}");
}
