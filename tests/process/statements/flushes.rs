//! Flushes of the disk by SQLite, counted by strace.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::client::{Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::missing::needs;
use crate::service::{Service, Setup};
use crate::sql;
use crate::waiting::wait_until;

/// Beside a request, other threads of the service write now and then.
const REQUESTS: usize = 7;

/// A service whose flushes are counted.
struct Traced {
    setup: Setup,
    service: Service,
    trace: PathBuf,
}

impl Traced {
    /// Starts a service whose system calls of these names are traced.
    fn start(calls: &str) -> Option<Self> {
        let calls = format!("trace={calls}");
        let command = ["-D", "-f", "-y", "--seccomp-bpf", "-qq", "-e", &calls];
        let tried = Command::new("strace").args(command).args(["-o", "/dev/null", "true"]).output();
        let traces = tried.is_ok_and(|it| it.status.success()).then_some(());
        needs("strace and the right to trace (Debian: apt-get install strace)", traces)?;
        let setup = Setup::on_sqlite()
            .with("HALLPASS_LIMITS", "on")
            .with("HALLPASS_LIMIT_MAIL_NETWORK", "1000")
            .with("HALLPASS_LIMIT_NETWORK", "1000/1m");
        let trace = setup.folder().join("flushes");
        let output = ["-o", trace.to_str().unwrap()];
        let service = setup.start_under("strace", &[&command[..], &output].concat());
        Some(Self { setup, service, trace })
    }

    /// Returns the number of flushes of the database so far.
    fn flushes(&self) -> usize {
        let trace = fs::read_to_string(&self.trace).unwrap();
        trace.lines().filter(|line| line.contains("/hallpass.db")).count()
    }

    /// Returns the median of the flushes of these requests.
    fn of(&self, mut request: impl FnMut(usize)) -> usize {
        let mut counts: Vec<usize> = (0..REQUESTS)
            .map(|number| {
                let before = self.flushes();
                request(number);
                self.flushes() - before
            })
            .collect();
        counts.sort_unstable();
        counts[REQUESTS / 2]
    }

    /// Returns the number of mails whose end is stored.
    fn sent(&self) -> i64 {
        let path = self.setup.folder().join("data/hallpass.db");
        sql::count_sqlite(&path, "outbox WHERE status = 'sent'")
    }
}

fn address(number: usize) -> String {
    format!("user{number}@example.com")
}

fn log_in(api: &Api, number: usize, device: Option<&str>, browser: &str) -> String {
    let mut body = json!({"username": address(number), "password": PASSWORD});
    if let Some(device) = device {
        body["device_token"] = device.into();
    }
    let answer = api.post_with("/v1/token-auth", &[("user-agent", browser)], &body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text("device_token")
}

#[test]
fn a_log_in_waits_for_one_flush_and_its_mail_for_one_more() {
    let Some(traced) = Traced::start("fsync,fdatasync") else { return };
    let api = traced.service.api();
    let mailbox = Mailbox::folder(&traced.setup);
    (0..REQUESTS).for_each(|number| drop(mailbox.new_account(&api, &address(number))));
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let device = log_in(&api, 0, None, "curl/8");
    let known = traced.of(|_| drop(log_in(&api, 0, Some(&device), "curl/8")));
    let with_mail = traced.of(|number| {
        let before = traced.sent();
        log_in(&api, number, None, firefox);
        wait_until("the mail", || traced.sent() > before);
    });
    assert_eq!((known, with_mail), (1, 2));
}

/// The counters of mails wait for no flush: on Postgres, other requests would wait for it too.
#[test]
fn a_registration_waits_for_one_flush_and_its_mail_for_one_more() {
    let Some(traced) = Traced::start("fsync,fdatasync") else { return };
    let api = traced.service.api();
    let flushes = traced.of(|number| {
        let before = traced.sent();
        api.register(&address(number));
        wait_until("the mail", || traced.sent() > before);
    });
    assert_eq!(flushes, 2);
}

#[test]
fn a_log_in_creates_no_temporary_file() {
    let Some(traced) = Traced::start("openat") else { return };
    let api = traced.service.api();
    Mailbox::folder(&traced.setup).new_account(&api, &address(0));
    for _ in 0..3 {
        log_in(&api, 0, None, "curl/8");
    }
    let trace = fs::read_to_string(&traced.trace).unwrap();
    assert!(trace.contains("/hallpass.db"), "{trace}");
    // So SQLite names them.
    let created: Vec<&str> = trace.lines().filter(|line| line.contains("/etilqs_")).collect();
    assert_eq!(created, [""; 0]);
}
