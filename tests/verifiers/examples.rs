//! Starts an example as a service and asks it about tokens.
//!
//! Node and Python need what the examples name in `package.json` and `requirements.txt`: in the
//! folder `HALLPASS_TEST_NODE_MODULES`, and known to the interpreter `HALLPASS_TEST_PYTHON`
//! (`python3` otherwise). Go needs golang-jwt, as Debian packages it, below `HALLPASS_TEST_GOPATH`
//! (`/usr/share/gocode` otherwise).

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use actix_web::rt;
use reqwest::blocking::Client;
use serde_json::Value;
use tempfile::TempDir;

use super::rust_service;
use crate::missing::needs;

/// The language of the example.
#[derive(Clone, Copy, Debug)]
pub enum Language {
    Rust,
    Node,
    Python,
    Go,
}

/// A running example. Dropped, its process is killed.
pub struct Example {
    http: Client,
    address: SocketAddr,
    process: Option<Child>,
    _folder: TempDir,
}

/// Verdict on a token: the status, and the code of a refusal.
pub type Verdict = (u16, String);

impl Language {
    /// Starts the example, which believes this issuer and may be out of touch with it for so long.
    /// `None` (said aloud) if what it needs is not here.
    pub fn start(self, issuer: &str, max_staleness: Duration) -> Option<Example> {
        self.start_for(issuer, None, max_staleness)
    }

    /// The same for tokens with this audience, instead of the issuer.
    pub fn start_for(
        self,
        issuer: &str,
        audience: Option<&str>,
        max_staleness: Duration,
    ) -> Option<Example> {
        let folder = tempfile::tempdir().unwrap();
        let command = match self {
            Self::Rust => None,
            Self::Node => Some(node(folder.path())),
            Self::Python => Some(python(folder.path())),
            Self::Go => Some(go()),
        };
        let (address, process) = match command {
            None => (serve_in_this_process(issuer, audience, max_staleness), None),
            Some(command) => {
                let mut command =
                    needs(&format!("{self:?} with the packages of its example"), command)?;
                command.env("HALLPASS_PUBLIC_URL", issuer).env("PORT", "0");
                if let Some(audience) = audience {
                    command.env("AUDIENCE", audience);
                }
                command.env("MAX_STALENESS", max_staleness.as_secs().to_string());
                let (process, port) = spawn(command, folder.path());
                (SocketAddr::from(([127, 0, 0, 1], port)), Some(process))
            }
        };
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let example = Example { http, address, process, _folder: folder };
        example.wait_until_it_knows();
        Some(example)
    }
}

fn serve_in_this_process(
    issuer: &str,
    audience: Option<&str>,
    max_staleness: Duration,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (issuer, audience) = (issuer.to_owned(), audience.map(str::to_owned));
    // Ends with the process.
    thread::spawn(move || {
        let serving = rust_service::serve(listener, &issuer, audience.as_deref(), max_staleness);
        rt::System::new().block_on(serving).unwrap();
    });
    address
}

fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/verify-token").join(language)
}

/// Node looks for packages above the files that ask for them, so these are copied.
fn node(folder: &Path) -> Option<Command> {
    let modules = std::env::var_os("HALLPASS_TEST_NODE_MODULES")
        .map_or_else(|| sources("node").join("node_modules"), PathBuf::from);
    if !modules.join("jose").exists() {
        return None;
    }
    symlink(modules, folder.join("node_modules")).unwrap();
    for file in ["package.json", "service.mjs", "verifier.mjs"] {
        fs::copy(sources("node").join(file), folder.join(file)).unwrap();
    }
    let mut command = Command::new("node");
    command.arg(folder.join("service.mjs"));
    Some(command)
}

fn python(folder: &Path) -> Option<Command> {
    let interpreter = std::env::var_os("HALLPASS_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let looked =
        Command::new(&interpreter).args(["-c", "import jwt, cryptography"]).output().ok()?;
    if !looked.status.success() {
        return None;
    }
    let mut command = Command::new(interpreter);
    command.arg(sources("python").join("service.py"));
    command.env("PYTHONPYCACHEPREFIX", folder);
    Some(command)
}

fn go() -> Option<Command> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build_go).as_ref().map(Command::new)
}

/// Builds the example without modules: Debian's packages are a `GOPATH`.
fn build_go() -> Option<PathBuf> {
    let libraries = std::env::var_os("HALLPASS_TEST_GOPATH")
        .map_or_else(|| PathBuf::from("/usr/share/gocode"), PathBuf::from);
    if !libraries.join("src/github.com/golang-jwt/jwt/v5").exists() {
        return None;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = target.join("verify-token-go");
    let built = Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&program)
        .current_dir(sources("go"))
        .envs([("GO111MODULE", "off"), ("GOFLAGS", "")])
        .env("GOPATH", libraries)
        .env("GOCACHE", target.join("go-cache"))
        .output()
        .ok()?;
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

fn spawn(mut command: Command, folder: &Path) -> (Child, u16) {
    let log = folder.join("log");
    let output = File::create(&log).unwrap();
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    let mut process = command.spawn().unwrap();
    let started = Instant::now();
    loop {
        let said = fs::read_to_string(&log).unwrap();
        if let Some(port) = said.strip_prefix("listening on ").and_then(|it| it.strip_suffix('\n'))
        {
            return (process, port.parse().unwrap());
        }
        let ended = process.try_wait().unwrap();
        let late = started.elapsed() > Duration::from_secs(20);
        if ended.is_some() || late {
            let _ = process.kill();
            panic!("the example does not start ({ended:?}):\n{said}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}

impl Example {
    /// Returns whether the example accepts this token.
    pub fn judge(&self, token: &str) -> Verdict {
        let request = self.http.get(format!("http://{}/", self.address)).bearer_auth(token);
        let response = request.send().unwrap();
        let status = response.status().as_u16();
        let challenge = response.headers().get("www-authenticate").map(|it| it.to_str().unwrap());
        let expected = (status == 401).then_some("Bearer error=\"invalid_token\"");
        assert_eq!(challenge, expected, "{response:?}");
        let body: Value = response.json().unwrap();
        let text = if status == 200 { &body["username"] } else { &body["code"] };
        (status, text.as_str().unwrap().to_owned())
    }

    /// Until its first look at the revocations every answer would be 503. A token that is none
    /// shows nothing of that, so this waits for as long as the look takes at most.
    fn wait_until_it_knows(&self) {
        let started = Instant::now();
        let answer = loop {
            match self.http.get(format!("http://{}/", self.address)).send() {
                Ok(answer) => break answer,
                Err(_) => assert!(started.elapsed() < Duration::from_secs(20), "no answer"),
            }
            thread::sleep(Duration::from_millis(10));
        };
        // RFC 6750 section 3.1: no error code where no token was sent.
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
    }

    /// The same as [`Example::judge`], once the example has had time for its first poll.
    pub fn judge_when_ready(&self, token: &str) -> Verdict {
        let started = Instant::now();
        loop {
            let verdict = self.judge(token);
            if verdict.0 != 503 || started.elapsed() > Duration::from_secs(10) {
                return verdict;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Returns the verdict of a refusal with `code`.
pub fn refused(code: &str) -> Verdict {
    (if code == "unavailable" { 503 } else { 401 }, code.to_owned())
}

/// Makes four tests of one function, one for each language.
macro_rules! for_each_language {
    ($($(#[$meta:meta])* fn $name:ident($language:ident) $story:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every story needs everything")]
            use super::*;
            use crate::verifiers::examples::Language;

            fn story($language: Language) $story

            #[test]
            fn rust() { story(Language::Rust) }

            #[test]
            fn node() { story(Language::Node) }

            #[test]
            fn python() { story(Language::Python) }

            #[test]
            fn go() { story(Language::Go) }
        }
    )*};
}
pub(crate) use for_each_language;
