//! The machine's clock is set, by an hour back and an hour ahead, under the real binary:
//! libfaketime (Debian: faketime) moves what the process takes for the time. Its timers stay, as in
//! reality.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::both::on_both;
use crate::client::{Answer, Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::missing::needs;
use crate::service::Setup;
use crate::waiting::wait_until;

const MINA: &str = "mina@example.com";
/// The service looks for ended sessions twice a second.
const SYNC: Duration = Duration::from_millis(1500);

struct Clock(PathBuf);

impl Clock {
    /// The clock of services made with this setup.
    fn of(setup: Setup) -> Option<(Setup, Self)> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = folders
            .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
            .find(|library| library.exists());
        let library = needs("libfaketime (Debian: apt-get install faketime)", library)?;
        let clock = Self(setup.folder().join("clock"));
        clock.set("+0");
        let setup = setup
            .with("LD_PRELOAD", library.to_str().unwrap())
            .with("FAKETIME_TIMESTAMP_FILE", clock.0.to_str().unwrap())
            .with("FAKETIME_NO_CACHE", "1")
            .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .with("DONT_FAKE_MONOTONIC", "1");
        Some((setup, clock))
    }

    /// Sets the difference from the true time. The file is replaced whole, so it is never empty.
    fn set(&self, offset: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

impl Drop for Clock {
    /// A process that is killed leaves what libfaketime shares among processes, under its id.
    fn drop(&mut self) {
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let of_process = name.rsplit_once('_').filter(|(kind, _)| kind.contains("faketime_"));
            if of_process.is_some_and(|(_, id)| !Path::new("/proc").join(id).exists()) {
                // Another clock may have removed it.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[derive(Clone)]
struct Tokens {
    access: String,
    refresh: String,
}

fn tokens(answer: &Answer) -> Tokens {
    assert_eq!(answer.status, 200, "{answer:?}");
    Tokens { access: answer.text("access_token"), refresh: answer.text("refresh_token") }
}

/// Asserts that `token` is refused for the period of a sync, and returns the last response.
fn never_believed(api: &Api, token: &str) -> Answer {
    let started = Instant::now();
    loop {
        let answer = api.verify_token(token);
        assert_ne!(answer.status, 200, "a revoked token is believed");
        if started.elapsed() > SYNC {
            return answer;
        }
    }
}

on_both! {
    fn setting_the_clock_restores_no_revoked_token_and_logs_no_user_out(setup) {
        let Some((setup, clock)) = Clock::of(setup) else { return };
        let service = setup.start();
        let (api, mailbox) = (service.api(), Mailbox::folder(&setup));
        mailbox.new_account(&api, MINA);
        let ended = tokens(&api.log_in(MINA, PASSWORD));
        let mut kept = tokens(&api.log_in(MINA, PASSWORD));
        let answer = api.post("/v1/token-revoke", &json!({"refresh_token": ended.refresh}));
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(never_believed(&api, &ended.access).body["code"], "token_revoked");

        clock.set("-3600");
        never_believed(&api, &ended.access);
        assert_eq!(api.refresh(&ended.refresh).body["code"], "refresh_token_revoked");
        // Tokens from the future are not believed; that is why a client refreshes.
        assert_eq!(api.verify_token(&kept.access).body["code"], "token_invalid");
        kept = tokens(&api.refresh(&kept.refresh));
        assert_eq!(api.verify_token(&kept.access).status, 200);
        // Mail that is ordered now goes out now.
        mailbox.new_account(&api, "noah@example.com");

        clock.set("+0");
        assert_eq!(never_believed(&api, &ended.access).body["code"], "token_revoked");
        kept = tokens(&api.refresh(&kept.refresh));

        clock.set("+3600");
        assert_eq!(never_believed(&api, &ended.access).body["code"], "token_expired");
        assert_eq!(api.verify_token(&kept.access).body["code"], "token_expired");
        kept = tokens(&api.refresh(&kept.refresh));
        assert_eq!(api.verify_token(&kept.access).status, 200);

        // Ahead, the service has forgotten the log-out: its tokens had expired. Now they have not.
        clock.set("+0");
        assert_eq!(never_believed(&api, &ended.access).body["code"], "token_revoked");
        tokens(&api.refresh(&kept.refresh));
        assert!(!service.log().contains("panic"), "{}", service.log());
    }

    fn setting_the_clock_extends_no_wait_beyond_the_limits(setup) {
        let Some((setup, clock)) = Clock::of(setup.with("HALLPASS_LIMITS", "on")) else { return };
        let service = setup.start();
        let api = service.api();
        let exhaust = || {
            for _ in 0..5 {
                assert_eq!(api.log_in("nobody", "wrong").status, 401);
            }
            let refused = api.log_in("nobody", "wrong");
            assert_eq!(refused.status, 429, "{refused:?}");
            assert!(refused.retry_after.is_some_and(|seconds| seconds <= 900), "{refused:?}");
        };
        exhaust();
        for offset in ["-3600", "+0", "+3600", "+0"] {
            clock.set(offset);
            thread::sleep(Duration::from_millis(50));
            exhaust();
        }
    }
}

#[test]
fn a_clock_that_differs_from_that_of_the_database_is_logged() {
    let Some(setup) = Setup::with_tables_on_postgres() else { return };
    let Some((setup, clock)) = Clock::of(setup) else { return };
    let told = "the clocks of the database and this machine differ";
    for offset in ["+10", "-10"] {
        clock.set(offset);
        let service = setup.start();
        service.wait_for_log(told, 1);
        service.stop();
    }
    clock.set("+0");
    let service = setup.start();
    // The metric is of the same look at the clocks.
    let difference = || service.api().get_text("/metrics").contains("hallpass_database_clock");
    wait_until("a look at the clocks", difference);
    assert!(!service.stop_for_log().contains(told));
}
