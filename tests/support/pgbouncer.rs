//! `PgBouncer` in transaction mode before a private Postgres.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::missing::needs;
use crate::postgres::{Cluster, free_port};

/// A pooler that is stopped when it is dropped, or when the test process ends.
pub struct Pooler {
    port: u16,
    child: Child,
}

impl Pooler {
    /// Starts a pooler that gives each transaction to one of `size` server processes; `None`
    /// (reported as skipped) without `PgBouncer`.
    pub fn start(cluster: &Cluster, size: u32) -> Option<Self> {
        Self::start_with(cluster, size, "")
    }

    /// Starts one with further settings.
    pub fn start_with(cluster: &Cluster, size: u32, more: &str) -> Option<Self> {
        let program = needs("pgbouncer (Debian: apt-get install pgbouncer)", program())?;
        let folder = cluster.folder().join("pooler");
        fs::create_dir(&folder).expect("a folder for the pooler");
        let port = free_port();
        let (users, settings) = (folder.join("users.txt"), folder.join("pgbouncer.ini"));
        fs::write(&users, "\"hallpass\" \"\"\n").expect("write the users");
        let text = format!(
            "[databases]\npostgres = host=127.0.0.1 port={} dbname=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {size}\nmax_client_conn = 500\nlogfile = {}\n{more}\n",
            cluster.port(),
            users.display(),
            folder.join("log").display(),
        );
        fs::write(&settings, text).expect("write the settings");
        cluster.give(&folder);
        // It ends with the pipe that the test process holds.
        let script = "\"$0\" -q \"$1\" & cat >/dev/null; kill $!; wait";
        let mut command = cluster.as_account("sh");
        command.args(["-c", script]).arg(program).arg(&settings);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let pooler = Self { port, child: command.spawn().expect("start pgbouncer") };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "pgbouncer does not start");
            thread::sleep(Duration::from_millis(10));
        }
        Some(pooler)
    }

    /// The URL of the database through the pooler.
    pub fn url(&self) -> String {
        format!("postgres://hallpass@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let known = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
    known.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned)
}
