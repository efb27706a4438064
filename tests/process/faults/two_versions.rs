//! The program of the version before and this one on one database, under load, while instances are
//! replaced one by one. `scripts/two-versions` builds the other program and runs this.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::service::{Service, Setup};

const CLIENTS: usize = 4;
/// Number of rounds of each client with every set of instances.
const ROUNDS: usize = 5;
const NEW_PASSWORD: &str = "pear tree at dawn";

fn program_before() -> PathBuf {
    let path = std::env::var_os("HALLPASS_TEST_BEFORE");
    path.expect("HALLPASS_TEST_BEFORE names the program of the version before").into()
}

/// A user who registers at one instance and verifies the address at another.
fn person(setup: &Setup, email: &str, at: &Api, proven_at: &Api) -> String {
    let registration_token = at.register(email);
    proven_at.verify(&registration_token, &Mailbox::folder(setup).code_for(email))
}

/// Resets the password of a person with one code at two instances at once: it counts once.
fn reset_at_both(mailbox: &Mailbox, email: &str, one: &Api, other: &Api) {
    assert_eq!(one.post("/v1/password-reset", &json!({"email": email})).status, 202);
    let code = mailbox.codes_for(email, 2).remove(1);
    let body = json!({"email": email, "code": code, "new_password": NEW_PASSWORD});
    let answers = thread::scope(|scope| {
        let by_one = scope.spawn(|| one.post("/v1/password-reset/confirm", &body));
        [other.post("/v1/password-reset/confirm", &body), by_one.join().unwrap()]
    });
    let statuses = answers.each_ref().map(|answer| answer.status);
    assert!(matches!(statuses, [204, 401] | [401, 204]), "{answers:?}");
    for api in [one, other] {
        assert_eq!(api.log_in(email, NEW_PASSWORD).status, 200);
    }
}

/// People who come and go at all instances there are at the moment.
struct Load {
    mailbox: Mailbox,
    /// False if the version before is one without password resets.
    has_resets: bool,
    instances: std::sync::Mutex<Vec<Api>>,
    rounds: [AtomicUsize; CLIENTS],
    is_over: AtomicBool,
}

impl Load {
    fn at(api: Api, mailbox: Mailbox) -> Self {
        let reset = api.post("/v1/password-reset", &json!({"email": "unknown@example.com"}));
        Self {
            mailbox,
            has_resets: reset.status != 404,
            instances: vec![api].into(),
            rounds: Default::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// Runs rounds until the test ends. Each uses two instances, if there are two: one gets what the
    /// other returned.
    fn go_round(&self, client: usize) {
        let name = format!("client-{client}@example.com");
        while !self.is_over.load(Ordering::SeqCst) {
            let number = self.rounds[client].load(Ordering::SeqCst);
            let instances = self.instances.lock().unwrap().clone();
            let one = &instances[number % instances.len()];
            let other = &instances[(number + 1) % instances.len()];
            let log_in = one.log_in(&name, PASSWORD);
            assert_eq!(log_in.status, 200, "{log_in:?}");
            let next = other.refresh(&log_in.text("refresh_token"));
            assert_eq!(next.status, 200, "{next:?}");
            for (api, answer) in [(one, &next), (other, &log_in), (other, &next)] {
                let verified = api.verify_token(&answer.text("access_token"));
                assert_eq!(verified.status, 200, "{verified:?}");
            }
            let stranger = format!("new-{client}-{number}@example.com");
            let registration_token = one.register(&stranger);
            other.verify(&registration_token, &self.mailbox.code_for(&stranger));
            if self.has_resets {
                reset_at_both(&self.mailbox, &stranger, one, other);
            }
            self.rounds[client].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Lets every client go round with these instances.
    fn go_on_with(&self, instances: Vec<Api>) {
        *self.instances.lock().unwrap() = instances;
        let before: Vec<usize> =
            self.rounds.iter().map(|rounds| rounds.load(Ordering::SeqCst)).collect();
        let started = Instant::now();
        while self
            .rounds
            .iter()
            .zip(&before)
            .any(|(rounds, before)| rounds.load(Ordering::SeqCst) < before + ROUNDS)
        {
            let patience = Duration::from_secs(180);
            assert!(started.elapsed() < patience, "a client failed, or is far too slow");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Clients that wait for the end must not wait for ever when a check fails.
struct EndOf<'a>(&'a Load);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

fn is_soon_refused(api: &Api, token: &str) {
    let started = Instant::now();
    while api.verify_token(token).status == 200 {
        assert!(started.elapsed() < Duration::from_secs(5), "an ended session is still believed");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(api.verify_token(token).text("code"), "token_revoked");
}

fn changes_at_one_version_apply_at_the_other(setup: &Setup, old: &Api, new: &Api) {
    let mailbox = Mailbox::folder(setup);
    person(setup, "old-new@example.com", old, new);
    person(setup, "new-old@example.com", new, old);

    for (one, other) in [(old, new), (new, old)] {
        let pair = one.log_in("old-new@example.com", PASSWORD);
        let body = json!({"refresh_token": pair.text("refresh_token")});
        assert_eq!(one.post("/v1/token-revoke", &body).status, 204);
        is_soon_refused(other, &pair.text("access_token"));
        let refused = other.refresh(&pair.text("refresh_token"));
        assert_eq!(refused.text("code"), "refresh_token_revoked");
    }

    // The older one knows nothing of resets, and leaves their mails to the newer one.
    let names: Vec<String> = (0..6).map(|number| format!("reset-{number}@example.com")).collect();
    for name in &names {
        person(setup, name, old, old);
    }
    let at_old = old.log_in(&names[0], PASSWORD).text("access_token");
    for name in &names {
        assert_eq!(new.post("/v1/password-reset", &json!({"email": name})).status, 202);
    }
    for name in &names {
        let code = mailbox.codes_for(name, 2).remove(1);
        let body: Value = json!({"email": name, "code": code, "new_password": NEW_PASSWORD});
        let answer = new.post("/v1/password-reset/confirm", &body);
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(old.log_in(name, PASSWORD).status, 401);
        assert_eq!(old.log_in(name, NEW_PASSWORD).status, 200);
    }
    is_soon_refused(old, &at_old);
}

fn instances_are_replaced_one_by_one(setup: &Setup) {
    let before = program_before();
    let start_old = || -> Service { setup.start_program(&before) };
    let old = start_old();
    for client in 0..CLIENTS {
        person(setup, &format!("client-{client}@example.com"), &old.api(), &old.api());
    }
    let load = Load::at(old.api(), Mailbox::folder(setup));
    let last = thread::scope(|scope| {
        for client in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.go_round(client));
        }
        let _end = EndOf(&load);
        load.go_on_with(vec![old.api()]);
        // It brings the tables up to date beneath the other one.
        let new = setup.start();
        load.go_on_with(vec![old.api()]);
        load.go_on_with(vec![old.api(), new.api()]);
        changes_at_one_version_apply_at_the_other(setup, &old.api(), &new.api());
        // Back again: the older one starts on the newer tables.
        let again = start_old();
        load.go_on_with(vec![new.api(), again.api()]);
        old.stop();
        load.go_on_with(vec![new.api()]);
        again.stop();
        load.go_on_with(vec![new.api()]);
        // It outlives the clients.
        new
    });
    let log = last.stop_for_log();
    assert!(!log.contains("internal error") && !log.contains("panicked"), "{log}");
    let rounds: usize = load.rounds.iter().map(|rounds| rounds.load(Ordering::SeqCst)).sum();
    let reset = if load.has_resets { ", a reset tried at two instances" } else { "" };
    println!(
        "{rounds} rounds of log-in, refresh, three checks, a registration verified elsewhere{reset}: \
         none refused"
    );
}

#[test]
#[ignore = "needs the program of the version before: scripts/two-versions"]
fn two_versions_serve_one_sqlite_file() {
    instances_are_replaced_one_by_one(&Setup::on_sqlite());
}

#[test]
#[ignore = "needs the program of the version before: scripts/two-versions"]
fn two_versions_serve_one_postgres() {
    let Some(setup) = Setup::on_postgres() else { return };
    instances_are_replaced_one_by_one(&setup);
}
