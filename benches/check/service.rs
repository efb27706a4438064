//! The processes that answer.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bare;

const PASSWORD: &str = "plum tree at dusk";
/// Longer than anything takes that is waited for.
const WRITE_PROGRESS_TIMEOUT: Duration = Duration::from_secs(20);

/// A running process. It ends when dropped, and its data goes.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
    _folder: Option<TempDir>,
}

impl Process {
    /// Returns the time that it has had on all processors.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name of the program, in brackets, may have spaces.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = [fields[11], fields[12]].map(|it| it.parse::<u64>().unwrap()).iter().sum();
        Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a service that signs with `algorithm`, and returns an access token of it.
pub fn hallpass(algorithm: &str) -> (Process, String) {
    let folder = tempfile::tempdir().unwrap();
    let admin = ["create-superuser", "--username", "admin", "--password", PASSWORD];
    let made = command(folder.path(), algorithm).args(admin).status().unwrap();
    assert!(made.success(), "no superuser");
    let log = folder.path().join("log");
    let child = command(folder.path(), algorithm).stderr(File::create(&log).unwrap()).spawn();
    let child = child.unwrap();
    let started = Instant::now();
    let address = loop {
        if let Some(address) = announced_address(&log) {
            break address;
        }
        assert!(
            started.elapsed() < WRITE_PROGRESS_TIMEOUT,
            "{}",
            fs::read_to_string(&log).unwrap()
        );
        thread::sleep(Duration::from_millis(2));
    };
    let log_in = json!({"username": "admin", "password": PASSWORD}).to_string();
    let answer = ureq::post(format!("http://{address}/v1/token-auth"))
        .header("content-type", "application/json")
        .send(log_in);
    let answer = answer.unwrap().body_mut().read_to_string().unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let token = answer["access_token"].as_str().unwrap().to_owned();
    (Process { address, child, _folder: Some(folder) }, token)
}

/// Starts the bare routes, whose answers have these sizes.
pub fn bare(sizes: [usize; 2]) -> Process {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(bare::ARGUMENT)
        .args(sizes.map(|size| size.to_string()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Process { address: line.trim().parse().unwrap(), child, _folder: None }
}

fn command(folder: &Path, algorithm: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallpass"));
    command.current_dir(folder).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command.envs([
        ("HALLPASS_BIND", "127.0.0.1:0"),
        ("HALLPASS_BCRYPT_COST", "4"),
        ("HALLPASS_ACCESS_TOKEN_TTL", "15m"),
        ("HALLPASS_JWT_ALGORITHM", algorithm),
    ]);
    if algorithm == "HS256" {
        command.env("HALLPASS_JWT_SECRET", "a secret that is shared with other services");
    }
    command
}

fn announced_address(log: &Path) -> Option<SocketAddr> {
    let log = fs::read_to_string(log).ok()?;
    let (_, rest) = log.split_once(" on http://")?;
    let (address, _) = rest.split_once('\n')?;
    address.trim().parse().ok()
}
