//! Implementations of OpenID Connect that share no code with this one, each with a browser that
//! logs in there: `oidc-provider` (certified; needs Node.js and `npm ci` in
//! `tests/social/provider`) and Authlib (needs `tests/social/authlib/requirements.txt` at the
//! interpreter `HALLPASS_TEST_AUTHLIB_PYTHON`, `python3` unless it is set).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::missing::needs;

/// A running provider. It ends when it is dropped.
pub struct RealProvider {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    settings: Value,
}

impl RealProvider {
    /// Starts `oidc-provider`; `None` (said aloud) where it is not installed.
    pub fn oidc_provider(redirect_uri: &str) -> Option<Self> {
        let folder = folder("provider");
        let installed = folder.join("node_modules/oidc-provider").is_dir().then_some(());
        needs("oidc-provider (npm ci in tests/social/provider)", installed)?;
        let mut command = Command::new("node");
        command.arg(folder.join("provider.mjs")).arg(redirect_uri);
        Some(Self::start(command))
    }

    /// Starts a provider made of Authlib; `None` (said aloud) where it is not installed.
    pub fn authlib(redirect_uri: &str) -> Option<Self> {
        let python = std::env::var_os("HALLPASS_TEST_AUTHLIB_PYTHON");
        let python = python.unwrap_or_else(|| "python3".into());
        let imports = Command::new(&python)
            .args(["-c", "import authlib, flask"])
            .stderr(Stdio::null())
            .status();
        let installed = imports.is_ok_and(|status| status.success()).then_some(());
        needs("Authlib for Python (tests/social/authlib/requirements.txt)", installed)?;
        let mut command = Command::new(python);
        command.arg(folder("authlib").join("provider.py")).arg(redirect_uri);
        Some(Self::start(command))
    }

    fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let settings = output.next().expect("a provider that starts").unwrap();
        Self { process, input, output, settings: serde_json::from_str(&settings).unwrap() }
    }

    pub fn issuer(&self) -> &str {
        self.text("issuer")
    }

    pub fn client_id(&self) -> &str {
        self.text("client_id")
    }

    pub fn client_secret(&self) -> &str {
        self.text("client_secret")
    }

    fn text(&self, name: &str) -> &str {
        self.settings[name].as_str().unwrap()
    }

    /// Logs in as a browser would, and returns the URL that the browser is sent to. One whose name
    /// begins with "refusing" refuses its consent, and the address of one that begins with
    /// "unverified" is not verified.
    pub fn log_in(&mut self, url: &str, login: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{url} {login}").unwrap();
        self.output.next().unwrap().unwrap()
    }
}

impl Drop for RealProvider {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ended = self.process.wait();
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/social").join(name)
}
