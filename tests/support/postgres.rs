//! Postgres for tests: finds it, starts it when need be, and hands out empty schemas.
//!
//! In order: the server named by `HALLPASS_TEST_POSTGRES_URL` (a database to throw away: schemas
//! are made there and stay); else a private cluster made with the server programs of this machine,
//! shared by all tests of one test binary. Where there is neither, [`fresh_schema`] says `None` and
//! the test ends early, as `missing.rs` says; likewise with `HALLPASS_TEST=sqlite`, for a quick
//! look. Tests that stop or restart a server, or speak TLS to it, need the programs in any case.
//!
//! Most tests begin with the tables of this version, [`migrated::Migrated`].
//!
//! A private cluster lives exactly as long as the test process: a watchdog holds the other end of a
//! pipe, and when that closes (normal end, panic or `kill -9` alike) it stops the server and
//! removes the folder.
#![allow(dead_code, reason = "every test binary uses a part of this file")]
#![allow(clippy::expect_used, reason = "a test without its server cannot go on")]

pub mod migrated;

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use diesel::{Connection, PgConnection, connection::SimpleConnection};

use crate::missing::needs;
use crate::scratch;

const SERVER_PROGRAMS: &str =
    "Postgres server (Debian: apt-get install postgresql; HALLPASS_TEST=sqlite leaves it out)";

fn is_left_out() -> bool {
    std::env::var_os("HALLPASS_TEST").is_some_and(|value| value == "sqlite")
}

/// Returns the URL of an empty schema on the shared server, or `None` (reported as skipped) without
/// Postgres.
pub fn fresh_schema() -> Option<String> {
    needs(SERVER_PROGRAMS, shared_server()).map(schema_on)
}

/// Creates a schema on this server and returns its URL.
pub fn schema_on(server_url: &str) -> String {
    let name = fresh_name();
    execute_on(server_url, &format!("CREATE SCHEMA {name}"));
    let separator = if server_url.contains('?') { '&' } else { '?' };
    format!("{server_url}{separator}options=-csearch_path%3D{name}")
}

/// Returns a name that no other test has, nor another run on the same outside server.
fn fresh_name() -> String {
    static NAMES: AtomicU64 = AtomicU64::new(0);
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let run = uuid::Uuid::new_v4().simple().to_string();
    format!("hallpass_test_{number}_{}", &run[..12])
}

/// Executes a statement on the shared server. Tests share the connections for that.
fn execute_on_shared(server: &str, sql: &str) {
    static IDLE: Mutex<Vec<PgConnection>> = Mutex::new(Vec::new());
    let idle = || IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let known = idle().pop();
    let mut connection = known
        .unwrap_or_else(|| PgConnection::establish(server).expect("connect to the shared server"));
    connection.batch_execute(sql).unwrap_or_else(|fault| panic!("{sql}: {fault}"));
    idle().push(connection);
}

fn execute_on(server_url: &str, sql: &str) {
    try_on(server_url, sql).unwrap_or_else(|fault| panic!("{sql}: {fault}"));
}

fn try_on(server_url: &str, sql: &str) -> diesel::ConnectionResult<()> {
    let mut connection = PgConnection::establish(server_url)?;
    let done = connection.batch_execute(sql);
    done.map_err(diesel::ConnectionError::CouldntSetupConfiguration)
}

const OUTSIDE_SERVER: &str = "HALLPASS_TEST_POSTGRES_URL";

fn is_outside() -> bool {
    std::env::var_os(OUTSIDE_SERVER).is_some()
}

/// The server of this test binary: found or started by the first test that asks.
fn shared_server() -> Option<&'static str> {
    enum Server {
        Outside(String),
        Private(Cluster, String),
    }
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        if is_left_out() {
            return None;
        }
        if let Some(url) = std::env::var_os(OUTSIDE_SERVER) {
            return Some(Server::Outside(url.into_string().expect("the URL is UTF-8")));
        }
        let cluster = Cluster::create(server_programs()?, false);
        let url = cluster.url();
        Some(Server::Private(cluster, url))
    });
    match server.as_ref()? {
        Server::Outside(url) | Server::Private(_, url) => Some(url),
    }
}

/// A private server, for tests that stop it, restart it or speak TLS to it. Gone when dropped.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    programs: PathBuf,
    account: Option<Account>,
    tls: bool,
    watchdog: Child,
}

/// Postgres refuses to run as root; then it runs as this account.
#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// A running server without TLS; `None` as with [`fresh_schema`].
    pub fn start_new() -> Option<Self> {
        needs(SERVER_PROGRAMS, server_programs()).map(|programs| Self::create(programs, false))
    }

    /// A running server that takes TLS only, with a certificate for `localhost` from a CA of its
    /// own ([`Cluster::ca_file`]).
    pub fn start_new_with_tls() -> Option<Self> {
        needs(SERVER_PROGRAMS, server_programs()).map(|programs| Self::create(programs, true))
    }

    fn create(programs: PathBuf, tls: bool) -> Self {
        let folder = scratch::named("hallpass-postgres-").keep();
        let account = account_for(&folder);
        let watchdog = watch_over(&folder);
        let mut cluster = Self { folder, port: free_port(), programs, account, tls, watchdog };
        cluster.give(&cluster.folder);
        cluster.initialise();
        // Another process may take the port between the look and the start.
        for _ in 0..5 {
            if cluster.try_start() {
                return cluster;
            }
            cluster.port = free_port();
            cluster.configure();
        }
        panic!("Postgres does not start:\n{}", cluster.log());
    }

    /// Copies the files of a new cluster: `initdb` takes ten times the processor time.
    fn initialise(&self) {
        static NEW: OnceLock<(PathBuf, Child)> = OnceLock::new();
        let (new, _watchdog) = NEW.get_or_init(|| {
            let folder = scratch::named("hallpass-initdb-").keep();
            self.give(&folder);
            let watchdog = watch_over(&folder);
            (self.run_initdb(&folder.join("data")), watchdog)
        });
        let copied = self.as_account("cp").arg("-a").args([new, &self.data()]).status();
        assert!(copied.expect("run cp").success(), "the cluster is not copied");
        if self.tls {
            self.make_certificates();
        }
        self.configure();
    }

    fn run_initdb(&self, data: &Path) -> PathBuf {
        let done = self
            .command("initdb")
            .arg("-D")
            .arg(data)
            .args(["-U", "hallpass", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
            .output()
            .expect("run initdb");
        assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
        data.to_owned()
    }

    /// Nothing here must survive a power failure, so nothing waits for the disk. What is committed
    /// must survive [`Cluster::stop`], so `synchronous_commit` stays on. No table becomes so large
    /// that it needs vacuuming, and each of many new connections would load the language of the
    /// triggers anew.
    fn configure(&self) {
        let mut lines = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n\
             max_connections = 500\nmax_locks_per_transaction = 512\nfsync = off\nfull_page_writes = off\n\
             max_wal_size = 128MB\nmin_wal_size = 32MB\n\
             autovacuum = off\nshared_preload_libraries = 'plpgsql'\n\
             plan_cache_mode = {}\n",
            self.port,
            self.folder.display(),
            crate::PLAN_CACHE_MODE
        );
        if self.tls {
            lines += "ssl = on\nssl_cert_file = '../server.crt'\nssl_key_file = '../server.key'\n";
            let rules = "hostssl all all 127.0.0.1/32 trust\n";
            fs::write(self.data().join("pg_hba.conf"), rules).expect("write pg_hba.conf");
        }
        fs::write(self.data().join("postgresql.auto.conf"), lines).expect("write the settings");
    }

    /// A CA and a certificate for `localhost` (and for no address), made with the openssl program.
    fn make_certificates(&self) {
        let extension = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n";
        fs::write(self.folder.join("server.ext"), extension).expect("write server.ext");
        for arguments in [
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Hallpass-test-CA \
             -addext keyUsage=critical,keyCertSign -keyout ca.key -out ca.crt",
            "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
             -extfile server.ext -out server.crt",
        ] {
            let done = self
                .as_account("openssl")
                .args(arguments.split_whitespace())
                .output()
                .expect("run openssl");
            assert!(done.status.success(), "openssl: {}", String::from_utf8_lossy(&done.stderr));
        }
        let only_owner = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.folder.join("server.key"), only_owner).expect("chmod the key");
        // The client (this process) reads the CA.
        let readable = fs::Permissions::from_mode(0o644);
        fs::set_permissions(self.folder.join("ca.crt"), readable).expect("chmod the CA");
    }

    /// The server's URL, for its database `postgres`.
    pub fn url(&self) -> String {
        let host = if self.tls { "localhost" } else { "127.0.0.1" };
        format!("postgres://hallpass@{host}:{}/postgres", self.port)
    }

    /// The URL of an empty schema of its own on this server (one without TLS).
    pub fn fresh_schema(&self) -> String {
        schema_on(&self.url())
    }

    /// The folder of the server.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Hands a folder to the account of the server.
    pub fn give(&self, folder: &Path) {
        if let Some(Account { uid, gid }) = self.account {
            chown(folder, Some(uid), Some(gid)).expect("give the folder to the Postgres account");
        }
    }

    /// The certificate of the CA that signed the server's.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The port, which stays the same over [`Cluster::stop`] and [`Cluster::start`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server at once, as a crash would: open connections break.
    pub fn stop(&self) {
        let done = self.pg_ctl(&["stop", "-m", "immediate"]);
        assert!(done, "Postgres does not stop:\n{}", self.log());
    }

    /// Starts the stopped server and returns when it takes connections.
    pub fn start(&self) {
        assert!(self.try_start(), "Postgres does not start:\n{}", self.log());
    }

    /// Stops and starts: all connections are lost, all committed data stays.
    pub fn restart(&self) {
        self.stop();
        self.start();
    }

    /// Stops every process of the server where it stands: connections stay open, and nothing
    /// answers. [`Cluster::thaw`] lets them go on. Linux only.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// The end of [`Cluster::freeze`].
    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// The first process first, so that it makes no others meanwhile.
    fn signal(&self, signal: rustix::process::Signal) {
        let first = fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        let first = first.lines().next().expect("its process id").to_owned();
        let send = |pid: &str| {
            let pid = rustix::process::Pid::from_raw(pid.parse().expect("a process id"));
            // A child may have ended just now.
            let _ = rustix::process::kill_process(pid.expect("not zero"), signal);
        };
        send(&first);
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        children.expect("the list of its children").split_whitespace().for_each(send);
    }

    fn try_start(&self) -> bool {
        let log = self.folder.join("server.log");
        self.pg_ctl(&["start", "-l", log.to_str().expect("a UTF-8 path")])
    }

    fn pg_ctl(&self, arguments: &[&str]) -> bool {
        self.command("pg_ctl")
            .arg("-D")
            .arg(self.data())
            .args(["-w", "-t", "60", "-s"])
            .args(arguments)
            // The server would inherit them, and keep a test runner's pipes open.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("run pg_ctl")
            .success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// Returns the folder of its files.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        self.as_account(self.programs.join(program))
    }

    /// A program that runs as the account of the server.
    pub fn as_account(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.account {
            None => Command::new(program),
            Some(Account { uid, gid }) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
                command.arg("--clear-groups").arg(program);
                command
            }
        };
        command.current_dir(&self.folder);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // A failure leaves a folder behind; it must not hide the test's own result.
        let _ = self.watchdog.wait();
    }
}

/// Starts the process that outlives this one just long enough to clean up.
fn watch_over(folder: &Path) -> Child {
    // $1 is the folder. The interrupt that ends a test run must not end its cleaner.
    const SCRIPT: &str = r#"
        trap '' INT TERM HUP
        cat >/dev/null
        if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null); then
            kill -QUIT "$pid" 2>/dev/null
            # A frozen server takes no signal but this one.
            kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) 2>/dev/null
            while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
        fi
        rm -rf -- "$1"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "watchdog"])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the watchdog")
}

/// Returns the folder of `initdb` and `pg_ctl`.
fn server_programs() -> Option<PathBuf> {
    if is_left_out() {
        return None;
    }
    let on_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    // Debian keeps them off the PATH, one folder a version; the newest is taken.
    let mut packaged: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    packaged.sort_unstable();
    on_path
        .into_iter()
        .chain(packaged.into_iter().rev().map(|(_, folder)| folder))
        .find(|folder| folder.join("initdb").exists() && folder.join("pg_ctl").exists())
}

/// `None` when this process may run Postgres itself, that is, when it is not root.
fn account_for(folder: &Path) -> Option<Account> {
    let own_uid = fs::metadata(folder).expect("look at the temporary folder").uid();
    if own_uid != 0 {
        return None;
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| Some(Account { uid: id_of("-u", name)?, gid: id_of("-g", name)? }))
        .or_else(|| panic!("Postgres refuses to run as root, and there is no other account here"))
}

fn id_of(kind: &str, name: &str) -> Option<u32> {
    let answer = Command::new("id").args([kind, name]).output().ok()?;
    String::from_utf8(answer.stdout).ok()?.trim().parse().ok()
}

/// Returns a port without a listener, below the range of ports for outgoing connections, so that
/// none of those occupies it while the server is stopped.
pub fn free_port() -> u16 {
    static OFFSET: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 12_000).expect("below 12000");
    (0..12_000)
        .map(|_| 20_000 + (own + OFFSET.fetch_add(1, Ordering::Relaxed)) % 12_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port on the loopback interface")
}
