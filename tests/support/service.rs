//! Runs the binary with its own environment, reads its log, stops it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Api;
use crate::postgres::{self, migrated::Migrated};
use crate::scratch;

/// Longer than any start or command takes on a busy machine.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(20);

/// A working folder and settings. The process gets nothing else of the test's environment.
pub struct Setup {
    folder: TempDir,
    settings: Vec<(String, String)>,
    /// The database of [`Self::with_tables_on_postgres`], dropped with the folder.
    _postgres: Option<Migrated>,
}

/// Result of a command.
pub struct Finished {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Setup {
    /// An empty folder, and a free port as the only setting.
    pub fn bare() -> Self {
        let folder = scratch::folder();
        fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder, settings: Vec::new(), _postgres: None }.with("HALLPASS_BIND", "127.0.0.1:0")
    }

    /// Settings with cheap hashes, on SQLite.
    pub fn on_sqlite() -> Self {
        Self::bare().with("HALLPASS_BCRYPT_COST", "4").with("HALLPASS_LIMITS", "off")
    }

    /// The same on an empty Postgres; `None` (reported as skipped) without one.
    pub fn on_postgres() -> Option<Self> {
        Some(Self::on_sqlite().with("DATABASE_URL", &postgres::fresh_schema()?))
    }

    /// The same on a Postgres with the tables of this version, for tests of what comes after the
    /// first start: the migrations cost as much as a dozen requests.
    pub fn with_tables_on_postgres() -> Option<Self> {
        let postgres = Migrated::create()?;
        let setup = Self::on_sqlite().with("DATABASE_URL", &postgres.url);
        Some(Self { _postgres: Some(postgres), ..setup })
    }

    /// Sets a setting.
    pub fn with(self, name: &str, value: &str) -> Self {
        let mut setup = self.without(name);
        setup.settings.push((name.to_owned(), value.to_owned()));
        setup
    }

    /// Removes a setting.
    pub fn without(mut self, name: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self
    }

    /// Returns the value of a setting.
    pub fn setting(&self, name: &str) -> &str {
        let found = self.settings.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("{name} is not set")).1
    }

    /// Returns whether a setting is present.
    pub fn has(&self, name: &str) -> bool {
        self.settings.iter().any(|(known, _)| known == name)
    }

    /// The working folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Returns the URL of its database.
    pub fn database_url(&self) -> String {
        let chosen = self.settings.iter().find(|(name, _)| name == "DATABASE_URL");
        chosen.map_or_else(
            || format!("sqlite://{}", self.folder().join("data/hallpass.db").display()),
            |(_, url)| url.clone(),
        )
    }

    /// Writes a file into the working folder.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_hallpass")), arguments)
    }

    fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder());
        command.env_clear().envs(self.settings.iter().cloned()).stdin(Stdio::null());
        command
    }

    fn output_file(&self) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("output-{number}"))
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with_input(arguments, "")
    }

    /// The same with this standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        self.finish(&mut self.command(arguments), input)
    }

    /// The same at a terminal, at which `typed` is typed, by `script` of util-linux. What the
    /// terminal shows is the standard output.
    pub fn run_at_terminal(&self, arguments: &[&str], typed: &str) -> Finished {
        let words = [&[env!("CARGO_BIN_EXE_hallpass")], arguments].concat();
        let line = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let script = ["--quiet", "--return", "--command", &line, "/dev/null"];
        self.finish(&mut self.command_of(Path::new("script"), &script), typed)
    }

    /// The same with one more setting.
    pub fn run_with(&self, name: &str, value: &str, arguments: &[&str]) -> Finished {
        self.finish(self.command(arguments).env(name, value), "")
    }

    /// Serves with one more setting, of any bytes.
    pub fn run_with_bytes(&self, name: &str, value: &[u8]) -> Finished {
        self.finish(self.command(&["serve"]).env(name, OsStr::from_bytes(value)), "")
    }

    /// Runs a command with this time-out.
    pub fn run_within(&self, arguments: &[&str], limit: Duration) -> Finished {
        self.finish_within(&mut self.command(arguments), "", limit)
    }

    fn finish(&self, command: &mut Command, input: &str) -> Finished {
        self.finish_within(command, input, PROCESS_TIMEOUT)
    }

    fn finish_within(&self, command: &mut Command, input: &str, limit: Duration) -> Finished {
        let (stdout, stderr) = (self.output_file(), self.output_file());
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        // A command that reads nothing may have ended before.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let status = wait(&mut child, limit)
            .unwrap_or_else(|| panic!("{command:?} does not end:\n{}", read(&stderr)));
        Finished {
            success: status.success(),
            stdout: read(&stdout),
            stderr: read(&stderr),
            took: started.elapsed(),
        }
    }

    /// Runs a command to its end with this output.
    pub fn run_into(&self, arguments: &[&str], stdout: Stdio, stderr: Stdio) -> ExitStatus {
        let mut child = self.command(arguments).stdout(stdout).stderr(stderr).spawn().unwrap();
        wait(&mut child, PROCESS_TIMEOUT).unwrap_or_else(|| panic!("{arguments:?} does not end"))
    }

    /// Kills a command as soon as `text` is in its standard error.
    pub fn kill_when_it_says(&self, arguments: &[&str], text: &str) {
        let stderr = self.output_file();
        let mut child = self
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !read(&stderr).contains(text) {
            let ended = child.try_wait().unwrap();
            let waits = ended.is_none() && started.elapsed() < PROCESS_TIMEOUT;
            assert!(waits, "{arguments:?} ({ended:?}) does not say {text}:\n{}", read(&stderr));
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it had ended before it was killed");
    }

    /// Starts the service and returns when it listens.
    pub fn start(&self) -> Service {
        self.start_with(self.command(&[]))
    }

    /// The same with the program of another version.
    pub fn start_program(&self, program: &Path) -> Service {
        self.start_with(self.command_of(program, &[]))
    }

    /// The same with the low limit of open files of service managers.
    pub fn start_with_few_files(&self) -> Service {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -n 256 && exec \"$0\"", env!("CARGO_BIN_EXE_hallpass")]);
        command.current_dir(self.folder()).env_clear().envs(self.settings.iter().cloned());
        self.start_with(command)
    }

    /// The same by another program, which then runs the service in its own process.
    pub fn start_under(&self, program: &str, arguments: &[&str]) -> Service {
        let mut command = self.command_of(Path::new(program), arguments);
        command.arg(env!("CARGO_BIN_EXE_hallpass"));
        self.start_with(command)
    }

    /// Starts the service at a free port with a log that cannot be read.
    pub fn start_with_log(&self, log: Stdio) -> Service {
        self.start_logging_into(self.command(&[]), log)
    }

    /// The same with a limit of the size of each file, in blocks of 512 bytes.
    pub fn start_with_small_files(&self, blocks: u64, log: Stdio) -> Service {
        let mut command = self.command_of(Path::new("sh"), &["-c"]);
        command.arg(format!("ulimit -f {blocks} && exec \"$0\""));
        command.arg(env!("CARGO_BIN_EXE_hallpass"));
        self.start_logging_into(command, log)
    }

    fn start_logging_into(&self, mut command: Command, log: Stdio) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        command.env("HALLPASS_BIND", address.to_string());
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut service = Service { child, log: self.output_file(), address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = service.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < PROCESS_TIMEOUT,
                "not started ({ended:?})"
            );
            thread::sleep(Duration::from_millis(5));
        }
        service
    }

    fn start_with(&self, mut command: Command) -> Service {
        let log = self.output_file();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        // From here on a failed test ends the process.
        let mut service = Service { child, log, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let started = Instant::now();
        service.address = loop {
            if let Some(address) = service.announced_address() {
                break address;
            }
            let ended = service.child.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < PROCESS_TIMEOUT,
                "not started ({ended:?}):\n{}",
                service.log()
            );
            thread::sleep(Duration::from_millis(1));
        };
        service
    }
}

/// A running service. Dropping it kills the process.
pub struct Service {
    child: Child,
    log: PathBuf,
    address: SocketAddr,
}

impl Service {
    fn announced_address(&self) -> Option<SocketAddr> {
        let log = self.log();
        let (_, rest) = log.split_once(" on http://")?;
        // A line that is only half written has no end yet.
        let line = rest.split_once('\n')?.0;
        // In JSON a quote follows.
        line.split('"').next()?.trim().parse().ok()
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a client.
    pub fn api(&self) -> Api {
        Api::at(self.address)
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// The memory it holds, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most that it ever held.
    pub fn peak_resident_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// The memory that belongs to it alone: without pages of files, such as the program.
    pub fn anonymous_kib(&self) -> u64 {
        self.memory_kib("RssAnon:")
    }

    fn memory_kib(&self, measure: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(measure)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until `text` is in the log that many times.
    pub fn wait_for_log(&self, text: &str, times: usize) {
        let started = Instant::now();
        while self.log().matches(text).count() < times {
            assert!(started.elapsed() < PROCESS_TIMEOUT, "no {text:?} in:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills the process. Unlike after a power cut, the system keeps what it has written.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Sends SIGHUP, as a closed terminal does.
    pub fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Lets it do nothing until [`Self::resume`], as a busy machine does.
    #[allow(dead_code, reason = "for the stories of proxies")]
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    #[allow(dead_code, reason = "for the stories of proxies")]
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Waits for the end and returns the exit status and the time until then.
    pub fn wait(mut self, limit: Duration) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let status = wait(&mut self.child, limit)
            .unwrap_or_else(|| panic!("still there after {limit:?}:\n{}", self.log()));
        (status, started.elapsed())
    }

    /// Asks it to end and expects that it does, well.
    pub fn stop(self) {
        self.terminate();
        let (status, _) = self.wait(PROCESS_TIMEOUT);
        assert!(status.success(), "{status}");
    }

    /// The same; returns all that it logged.
    pub fn stop_for_log(self) -> String {
        let log = self.log.clone();
        self.stop();
        read(&log)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if started.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
