//! Starts `smtp_server.py`, a real SMTP server with real TLS, for one test.
//!
//! Needs Python 3 with aiosmtpd and the `openssl` command; `missing.rs` says what happens without.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tempfile::TempDir;

use crate::missing::needs;

/// Encryption of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    Plain,
    StartTls,
    Implicit,
}

/// Kind of the server.
#[derive(Clone, Copy)]
pub struct Mode {
    protection: Protection,
    login: Option<(&'static str, &'static str)>,
    fault: Option<&'static str>,
    certificate: Certificate,
}

/// The certificate that the server presents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// One that an authority has signed.
    Signed,
    /// A self-signed one that is no authority.
    SelfSigned,
    /// A self-signed one that is an authority, as OpenSSL makes them by default.
    Authority,
}

impl Mode {
    /// Plain text, no log-in.
    pub const PLAIN: Self = Self {
        protection: Protection::Plain,
        login: None,
        fault: None,
        certificate: Certificate::Signed,
    };
    /// STARTTLS required.
    pub const STARTTLS: Self = Self { protection: Protection::StartTls, ..Self::PLAIN };
    /// TLS from the first byte.
    pub const IMPLICIT: Self = Self { protection: Protection::Implicit, ..Self::PLAIN };

    /// Requires this user and password.
    pub const fn login(self, user: &'static str, password: &'static str) -> Self {
        Self { login: Some((user, password)), ..self }
    }

    /// Presents another certificate.
    pub const fn certificate(self, certificate: Certificate) -> Self {
        Self { certificate, ..self }
    }

    /// Starts a server with one of the faults that `smtp_server.py` lists.
    pub const fn fault(self, fault: &'static str) -> Self {
        Self { fault: Some(fault), ..self }
    }
}

/// A mail as the server took it.
#[derive(Debug, Deserialize)]
pub struct Received {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Decoded headers, names in lower case.
    pub headers: std::collections::HashMap<String, String>,
    /// The decoded plain text part.
    pub text: String,
    /// The decoded HTML part.
    pub html: String,
    /// The mail as it came over the wire.
    pub source: String,
}

/// A running server; it ends when this is dropped.
pub struct SmtpServer {
    process: Child,
    folder: TempDir,
    port: u16,
    mode: Mode,
}

impl SmtpServer {
    /// Starts a server; `None` (said aloud) where a program for it is missing.
    pub fn start(mode: Mode) -> Option<Self> {
        Self::start_on(0, mode)
    }

    /// The same at a given port of 127.0.0.1, for a server that is down before or comes back.
    pub fn start_on(port: u16, mode: Mode) -> Option<Self> {
        let python = needs(
            "Python 3 with aiosmtpd (Debian: apt-get install python3-aiosmtpd)",
            python_with_aiosmtpd(),
        )?;
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp_server.py");
        let mut command = Command::new(python);
        command.args(["-W", "ignore"]).arg(script).arg("--folder").arg(folder.path());
        command.args(["--port", &port.to_string()]);
        if mode.protection != Protection::Plain {
            let certificates = make_certificates(folder.path()).then_some(());
            needs("openssl command (Debian: apt-get install openssl)", certificates)?;
            command.args([
                "--tls",
                if mode.protection == Protection::StartTls { "starttls" } else { "implicit" },
            ]);
            let name = match mode.certificate {
                Certificate::Signed => "server",
                Certificate::SelfSigned => {
                    assert!(make_certificate(folder.path(), "server", &[]));
                    fs::copy(folder.path().join("server.pem"), folder.path().join("ca.pem"))
                        .unwrap();
                    "server"
                }
                Certificate::Authority => "ca",
            };
            command.arg("--cert").arg(folder.path().join(format!("{name}.pem")));
            command.arg("--key").arg(folder.path().join(format!("{name}.key")));
        }
        if let Some((user, password)) = mode.login {
            command.args(["--user", user, "--password", password]);
        }
        if let Some(fault) = mode.fault {
            command.args(["--fault", fault]);
        }
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the server prints its port");
        Some(Self { process, folder, port, mode })
    }

    /// A `HALLPASS_SMTP_URL` that reaches this server, with its log-in and certificate authority.
    pub fn url(&self) -> String {
        let (scheme, ca) = match self.mode.protection {
            Protection::Plain => ("smtp", String::new()),
            Protection::StartTls => ("smtp", format!("?tls=required&ca={}", self.ca().display())),
            Protection::Implicit => ("smtps", format!("?ca={}", self.ca().display())),
        };
        let login = self.mode.login.map_or_else(String::new, |(user, password)| {
            let encode = |text| {
                percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
            };
            format!("{}:{}@", encode(user), encode(password))
        });
        format!("{scheme}://{login}localhost:{}{ca}", self.port)
    }

    /// The certificate authority that signed the server's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The port the server listens on, at 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns every accepted mail, the oldest first, with headers and parts decoded.
    pub fn mails(&self) -> Vec<Received> {
        let Ok(entries) = fs::read_dir(self.folder.path().join("messages")) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let read = |file: PathBuf| serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        files.into_iter().map(read).collect()
    }

    /// The sources of every mail taken so far, oldest first.
    pub fn messages(&self) -> Vec<String> {
        self.mails().into_iter().map(|mail| mail.source).collect()
    }

    /// Waits until so many mails have come; fails the test after `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Received> {
        let start = Instant::now();
        loop {
            let mails = self.mails();
            if mails.len() >= count {
                return mails;
            }
            assert!(start.elapsed() < limit, "{} of {count} mails came", mails.len());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the text that clients sent before TLS, or all of it without TLS.
    pub fn sent_in_clear(&self) -> String {
        self.log("clear.log")
    }

    /// Returns everything that clients sent, decrypted.
    pub fn sent(&self) -> String {
        self.log("all.log")
    }

    fn log(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn python_with_aiosmtpd() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&'static str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        ["python3", "/usr/bin/python3"].into_iter().find(|python| {
            let mut command = Command::new(python);
            command.args(["-c", "import aiosmtpd"]).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
    })
}

const OPENSSL_CONFIG: &str = "[req]\ndistinguished_name = name\nprompt = no\n\
    [name]\nCN = Hallpass test\n\
    [ca]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign\n\
    [server]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:localhost\n";

/// Makes `ca.pem`, and `server.pem` with `server.key` for localhost.
pub fn make_certificates(folder: &Path) -> bool {
    make_certificate(folder, "ca", &[])
        && make_certificate(folder, "server", &["-CA", "ca.pem", "-CAkey", "ca.key"])
}

/// Makes a certificate with its key, self-signed unless `extra` names an authority.
fn make_certificate(folder: &Path, name: &str, extra: &[&str]) -> bool {
    fs::write(folder.join("openssl.cnf"), OPENSSL_CONFIG).unwrap();
    let mut command = Command::new("openssl");
    command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    command.args("req -x509 -config openssl.cnf -newkey ec -nodes -days 2".split(' '));
    command.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-extensions", name]);
    command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    command.args(extra).status().is_ok_and(|status| status.success())
}
