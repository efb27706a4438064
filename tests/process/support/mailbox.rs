//! Received mail, in a folder or at a mail server.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Api;
use crate::service::Setup;
use crate::smtp::{Mode, SmtpServer};

/// Destination of mail.
pub enum Mailbox {
    Folder(PathBuf),
    Server(SmtpServer),
}

impl Mailbox {
    /// The folder of a service without SMTP.
    pub fn folder(setup: &Setup) -> Self {
        Self::Folder(setup.folder().join("data/mail"))
    }

    /// A mail server of that kind, and the service set up for it.
    pub fn server(setup: Setup, mode: Mode) -> Option<(Setup, Self)> {
        let server = SmtpServer::start(mode)?;
        Some((setup.with("HALLPASS_SMTP_URL", &server.url()), Self::Server(server)))
    }

    /// The received codes by address, the oldest first.
    pub fn codes(&self) -> HashMap<String, Vec<String>> {
        let mut codes: HashMap<String, Vec<String>> = HashMap::new();
        match self {
            Self::Folder(folder) => {
                for text in sources(folder) {
                    let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
                    codes.entry(to.to_owned()).or_default().extend(code_in(&text));
                }
            }
            Self::Server(server) => {
                for mail in server.mails() {
                    codes.entry(mail.to[0].clone()).or_default().extend(code_in(&mail.text));
                }
            }
        }
        codes
    }

    /// Waits until all users have mail, at most `limit`. Returns the codes and the time it took.
    pub fn wait_for<'a>(
        &self,
        addresses: impl IntoIterator<Item = &'a str>,
        limit: Duration,
    ) -> (HashMap<String, Vec<String>>, Duration) {
        let (codes, took) = self.wait_or(addresses, limit, String::new);
        assert!(took < limit, "the last mail came after {took:?}");
        (codes, took)
    }

    /// Waits likewise, at most `limit` for each next mail. A failure shows what `explain` returns.
    pub fn wait_or<'a>(
        &self,
        addresses: impl IntoIterator<Item = &'a str>,
        limit: Duration,
        explain: impl Fn() -> String,
    ) -> (HashMap<String, Vec<String>>, Duration) {
        let addresses: Vec<&str> = addresses.into_iter().collect();
        let started = Instant::now();
        let (mut last_mail, mut left) = (started, addresses.len());
        loop {
            let codes = self.codes();
            let waiting: Vec<&&str> =
                addresses.iter().filter(|address| !codes.contains_key(**address)).collect();
            if waiting.is_empty() {
                return (codes, started.elapsed());
            }
            if waiting.len() < left {
                (last_mail, left) = (Instant::now(), waiting.len());
            }
            assert!(
                last_mail.elapsed() < limit,
                "no mail came for {limit:?}, and {} of {} have no mail: {waiting:?}\n{}",
                waiting.len(),
                addresses.len(),
                explain()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Registers a user and verifies the address; returns the access token.
    pub fn new_account(&self, api: &Api, address: &str) -> String {
        let registration_token = api.register(address);
        api.verify(&registration_token, &self.code_for(address))
    }

    /// Waits until a client has sent this to the mail server.
    pub fn wait_for_text(&self, text: &str) {
        let Self::Server(server) = self else { panic!("a folder is not talked to") };
        let started = Instant::now();
        while !server.sent().contains(text) {
            assert!(started.elapsed() < Duration::from_secs(20), "no {text:?} was sent");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until so many mails with a code came to an address and returns the codes, the oldest
    /// first.
    pub fn codes_for(&self, address: &str, count: usize) -> Vec<String> {
        let started = Instant::now();
        loop {
            let codes = self.codes().remove(address).unwrap_or_default();
            if codes.len() >= count {
                return codes;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{address} has {codes:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the mail to one address and returns its code.
    pub fn code_for(&self, address: &str) -> String {
        let (mut codes, _) = self.wait_for([address], Duration::from_secs(20));
        codes.remove(address).unwrap().remove(0)
    }
}

fn sources(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    // Hallpass names mails so, and a mail server delivers them to `new`.
    let is_mail = |file: &PathBuf| {
        file.extension().is_some_and(|extension| extension == "eml") || folder.ends_with("new")
    };
    files.retain(is_mail);
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// The code stands in a line of its own. A notice has none.
fn code_in(text: &str) -> Option<String> {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    text.lines().map(str::trim).find(is_code).map(str::to_owned)
}
