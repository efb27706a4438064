//! A service of its own with its data, and what is known of it: users, their tokens, their mail.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use ureq::Agent;

use crate::data;
use crate::requests::{Call, Operation};
use crate::social::Provider;

/// The password of every user, accepted by the policy.
pub const PASSWORD: &str = "plum tree at dusk";

/// Longer than anything takes that is waited for.
const WRITE_PROGRESS_TIMEOUT: Duration = Duration::from_secs(20);

/// Tokens last 15 minutes.
const LOG_IN_AGAIN: Duration = Duration::from_mins(5);

/// The tokens of a superuser.
pub struct Staff {
    since: Instant,
    pub access: String,
    /// For the Django adapter.
    pub django: String,
}

/// A request that was measured.
#[derive(Clone, Copy)]
pub struct Measured {
    pub took: Duration,
    /// Number of reads of files by the service: on SQLite, the pages of the database.
    pub reads: u64,
    /// True if one of them was a read of the disk.
    pub waited_for_disk: bool,
}

/// A running service. It ends when dropped, and its data goes.
pub struct Service {
    base: String,
    agent: Agent,
    child: Child,
    folder: TempDir,
    provider: Provider,
    database: String,
    users: u32,
    /// Numbers of users taken so far, for requests that use a user up and for those that do not.
    victims: u32,
    persons: u32,
    strangers: u32,
    staff: Option<Staff>,
}

impl Service {
    /// Starts a service with so many users, on SQLite unless there is a URL of an empty Postgres.
    /// The data of an SQLite database is kept in `keep`, and comes from there if it is there.
    pub fn start(users: u32, postgres: Option<String>, keep: Option<&Path>) -> Self {
        let keep = keep.filter(|_| postgres.is_none()).map(|it| it.join(users.to_string()));
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        if let Some(kept) = keep.as_deref().filter(|it| it.exists()) {
            copy_files(kept, &data);
            return Self::start_with(users, folder, sqlite_in(&data));
        }
        let database = postgres.unwrap_or_else(|| sqlite_in(&data));
        make_data(folder.path(), &database, users);
        if let Some(keep) = keep {
            copy_files(&data, &keep);
        }
        Self::start_with(users, folder, database)
    }

    /// Starts a service with so many users after `change` of the data at the URL of the database.
    pub fn start_after(users: u32, postgres: Option<String>, change: impl FnOnce(&str)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = postgres.unwrap_or_else(|| sqlite_in(&folder.path().join("data")));
        make_data(folder.path(), &database, users);
        change(&database);
        Self::start_with(users, folder, database)
    }

    /// Starts a service with the users that are in the database.
    fn start_with(users: u32, folder: TempDir, database: String) -> Self {
        let provider = Provider::start();
        let log = folder.path().join("log");
        let child = command(folder.path(), &database)
            .envs(provider.settings())
            .stderr(File::create(&log).unwrap())
            .spawn();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build()
            .into();
        let mut service = Self {
            base: String::new(),
            agent,
            child: child.unwrap(),
            folder,
            provider,
            database,
            users,
            victims: 0,
            persons: 0,
            strangers: 0,
            staff: None,
        };
        service.base = service.wait_for("an address", || announced_address(&log));
        service
    }

    /// Returns for how long the thread that writes to SQLite has run on a processor.
    pub fn writer_time(&self) -> Option<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).ok()?;
        let mut threads = threads.filter_map(|thread| Some(thread.ok()?.path()));
        let writer = threads.find(|it| {
            fs::read_to_string(it.join("comm")).is_ok_and(|name| name.trim() == "sqlite-writer")
        })?;
        let times = fs::read_to_string(writer.join("schedstat")).ok()?;
        Some(Duration::from_nanos(times.split(' ').next()?.parse().ok()?))
    }

    /// Returns the URL of the database.
    pub fn database(&self) -> String {
        self.database.clone()
    }

    /// Returns the folder of its data.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Prepares a request and measures it.
    pub fn measure(&mut self, operation: &Operation) -> Measured {
        let call = (operation.prepare)(self);
        // An idle connection may have been closed.
        self.get("/healthz");
        let before = self.reads();
        let started = Instant::now();
        let (status, body) = self.send(&call);
        let took = started.elapsed();
        assert_eq!(status, call.status, "{}: {body}", operation.name);
        let after = self.reads();
        Measured { took, reads: after.0 - before.0, waited_for_disk: after.1 > before.1 }
    }

    /// Returns the number of reads of files by its process so far, and their bytes from the disk.
    fn reads(&self) -> (u64, u64) {
        let counts = fs::read_to_string(format!("/proc/{}/io", self.child.id())).unwrap();
        let count = |name| {
            let value = counts.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().parse().unwrap()
        };
        (count("syscr:"), count("read_bytes:"))
    }

    /// Returns the body of an answer.
    pub fn get(&self, path: &str) -> String {
        self.send(&Call::get(path)).1
    }

    /// Returns the answer of a call that is not measured.
    pub fn ask(&self, call: &Call) -> Value {
        let (status, body) = self.send(call);
        assert_eq!(status, call.status, "{}: {body}", call.path);
        serde_json::from_str(&body).unwrap_or_default()
    }

    fn send(&self, call: &Call) -> (u16, String) {
        let mut request = ureq::http::Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header("user-agent", data::USER_AGENT)
            .header("x-forwarded-for", &call.from);
        if let Some(authorization) = &call.authorization {
            request = request.header("authorization", authorization);
        }
        let (kind, body) = match &call.body {
            Value::Null => (None, String::new()),
            Value::String(form) => (Some("application/x-www-form-urlencoded"), form.clone()),
            body => (Some("application/json"), body.to_string()),
        };
        let answer = match kind {
            None => self.agent.run(request.body(()).unwrap()),
            Some(kind) => self.agent.run(request.header("content-type", kind).body(body).unwrap()),
        };
        let mut answer = answer.unwrap();
        let body = answer.body_mut().with_config().limit(u64::MAX).read_to_string().unwrap();
        (answer.status().as_u16(), body)
    }

    /// Returns the number of a user, of the first half of all.
    pub fn person(&mut self) -> u32 {
        self.persons += 1;
        1 + spread(self.persons, self.users / 2)
    }

    /// Returns the number of a user who was not taken before, of the second half of all.
    pub fn victim(&mut self) -> u32 {
        self.victims += 1;
        assert!(self.victims <= self.users / 2, "too few users for so many rounds");
        1 + self.users / 2 + spread(self.victims, self.users / 2)
    }

    /// Returns an e-mail address that has no account.
    pub fn stranger(&mut self) -> String {
        self.strangers += 1;
        format!("stranger{}@example.org", self.strangers)
    }

    /// Returns the provider of social log-in.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Logs a user in.
    pub fn log_in(&self, number: u32) -> Value {
        self.ask(&Call::log_in(&data::username(number)).of(number))
    }

    /// Returns an access token of a user.
    pub fn access(&self, number: u32) -> String {
        text(&self.log_in(number), "access_token")
    }

    /// Returns a token of a user for the Django adapter.
    pub fn django(&self, number: u32) -> String {
        text(&self.ask(&Call::django_log_in(&data::username(number)).of(number)), "token")
    }

    /// Returns the tokens of a superuser.
    pub fn staff(&mut self) -> &Staff {
        if self.staff.as_ref().is_none_or(|staff| staff.since.elapsed() > LOG_IN_AGAIN) {
            let access = text(&self.ask(&Call::log_in("admin")), "access_token");
            let django = text(&self.ask(&Call::django_log_in("admin")), "token");
            self.staff = Some(Staff { since: Instant::now(), access, django });
        }
        self.staff.as_ref().unwrap()
    }

    /// Takes the next mail to `address` that contains `part`, and returns its text.
    pub fn mail(&self, address: &str, part: &str) -> String {
        let folder = self.folder.path().join("data/mail");
        let to = format!("To: {address}");
        self.wait_for("mail", || {
            let files = fs::read_dir(&folder).ok()?.map(|entry| entry.unwrap().path());
            let mut mails = files.filter(|file| file.extension().is_some_and(|it| it == "eml"));
            mails.find_map(|file| {
                let text = fs::read_to_string(&file).ok()?;
                let is_it = text.lines().any(|line| line == to) && text.contains(part);
                is_it.then(|| {
                    fs::remove_file(&file).unwrap();
                    text
                })
            })
        })
    }

    fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(started.elapsed() < WRITE_PROGRESS_TIMEOUT, "no {what}:\n{}", log());
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the text of a field.
pub fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

/// Returns the `number`th of `of` numbers, which are far from each other and none of which comes
/// twice.
fn spread(number: u32, of: u32) -> u32 {
    // A prime, so that it has no factor in common with a round number.
    const STEP: u64 = 618_033_989;
    u32::try_from(u64::from(number) * STEP % u64::from(of)).unwrap()
}

fn sqlite_in(data: &Path) -> String {
    format!("sqlite://{}", data.join("hallpass.db").display())
}

/// Makes a superuser and so many users.
fn make_data(folder: &Path, database: &str, users: u32) {
    let admin = ["create-superuser", "--username", "admin", "--password", PASSWORD];
    let made = command(folder, database).args(admin).status().unwrap();
    assert!(made.success(), "no superuser");
    let started = Instant::now();
    data::fill(database, users);
    eprintln!("{users} users in {:.0?}: {}", started.elapsed(), kind(database));
}

/// Copies the files of a folder without its folders.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn kind(database: &str) -> &str {
    database.split(':').next().unwrap_or_default()
}

fn command(folder: &Path, database: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallpass"));
    command.current_dir(folder).env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    command.envs([
        ("DATABASE_URL", database),
        ("HALLPASS_BIND", "127.0.0.1:0"),
        ("HALLPASS_BCRYPT_COST", "4"),
        ("HALLPASS_ACCESS_TOKEN_TTL", "15m"),
        ("HALLPASS_DRF_JWT_TTL", "15m"),
        ("HALLPASS_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    command
}

fn announced_address(log: &Path) -> Option<String> {
    let log = fs::read_to_string(log).ok()?;
    let (_, rest) = log.split_once(" on http://")?;
    let (address, _) = rest.split_once('\n')?;
    Some(format!("http://{}", address.trim()))
}
