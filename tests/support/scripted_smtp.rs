//! A mail server that says what a test wants, byte by byte.
//!
//! `smtp_server.py` is a real one; this one is for replies that no library sends.

#![allow(clippy::unwrap_used, reason = "a surprise ends the test")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What a client said, and when.
pub struct Said<'a> {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// How many connections are open.
    pub open: usize,
    /// The command; empty at the greeting, `.` at the end of a message.
    pub line: &'a str,
    /// The recipient of the current mail.
    pub recipient: &'a str,
}

/// What the server does.
pub enum Act {
    /// What servers usually do.
    Usual,
    /// Says this, with CRLF behind it.
    Say(&'static [u8]),
    /// Says this after a while.
    Late(Duration, &'static [u8]),
    /// Says this and closes the connection.
    Bye(&'static [u8]),
    /// Closes the connection.
    Close,
    /// Accepts a message and closes the connection instead of saying so.
    AcceptAndClose,
    /// Says nothing more.
    Hang,
}

type Script = dyn Fn(&Said<'_>) -> Act + Send + Sync;

#[derive(Default)]
struct State {
    connections: usize,
    open: usize,
    most_open: usize,
    accepted: Vec<(String, Instant)>,
    said: Vec<String>,
}

/// A running server. It ends with the test.
pub struct ScriptedServer {
    port: u16,
    state: Arc<Mutex<State>>,
    script: Arc<Mutex<Arc<Script>>>,
}

impl ScriptedServer {
    pub fn start(script: impl Fn(&Said<'_>) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(script)));
        let (shared, scripts) = (Arc::clone(&state), Arc::clone(&script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, script) = (Arc::clone(&shared), Arc::clone(&scripts));
                let connection = {
                    let mut state = state.lock().unwrap();
                    state.connections += 1;
                    state.open += 1;
                    state.most_open = state.most_open.max(state.open);
                    state.connections - 1
                };
                thread::spawn(move || {
                    // The client may leave at any time.
                    let _ = serve(stream.unwrap(), connection, &state, &script);
                    state.lock().unwrap().open -= 1;
                });
            }
        });
        Self { port, state, script }
    }

    /// Behaves in another way from now on.
    pub fn change(&self, script: impl Fn(&Said<'_>) -> Act + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The recipients of the mails that were accepted, the first first.
    pub fn accepted(&self) -> Vec<String> {
        self.state.lock().unwrap().accepted.iter().map(|(to, _)| to.clone()).collect()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// How many connections were open at once.
    pub fn most_open(&self) -> usize {
        self.state.lock().unwrap().most_open
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.state.lock().unwrap().open
    }

    /// The commands, without messages.
    pub fn said(&self) -> Vec<String> {
        self.state.lock().unwrap().said.clone()
    }
}

const EHLO: &[u8] = b"250-scripted\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN";

fn usual(line: &str) -> &'static [u8] {
    match line.split([' ', ':']).next().unwrap_or_default() {
        "" => b"220 scripted",
        "EHLO" => EHLO,
        "DATA" => b"354 go on",
        "AUTH" => b"235 welcome",
        _ => b"250 fine",
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    state: &Mutex<State>,
    script: &Mutex<Arc<Script>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut recipient) = (String::new(), String::new());
    loop {
        if let Some(address) = line.strip_prefix("RCPT TO:<") {
            address.trim_end_matches('>').clone_into(&mut recipient);
        }
        let open = state.lock().unwrap().open;
        let script = Arc::clone(&script.lock().unwrap());
        let act = script(&Said { connection, open, line: &line, recipient: &recipient });
        let (reply, goes_on) = match act {
            Act::Usual => (usual(&line), true),
            Act::Say(reply) => (reply, true),
            Act::Late(delay, reply) => {
                thread::sleep(delay);
                (reply, true)
            }
            Act::Bye(reply) => (reply, false),
            Act::Close => return Ok(()),
            Act::AcceptAndClose => {
                accept(state, &recipient);
                return Ok(());
            }
            Act::Hang => {
                // Until the client leaves.
                while reader.read_line(&mut line)? > 0 {}
                return Ok(());
            }
        };
        if line == "." && reply.starts_with(b"2") {
            accept(state, &recipient);
        }
        stream.write_all(&[reply, b"\r\n"].concat())?;
        if !goes_on || line == "QUIT" {
            return Ok(());
        }
        let in_message = line == "DATA" && reply.starts_with(b"3");
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            line.truncate(line.trim_end().len());
            if !in_message || line == "." {
                break;
            }
        }
        state.lock().unwrap().said.push(line.clone());
    }
}

fn accept(state: &Mutex<State>, recipient: &str) {
    state.lock().unwrap().accepted.push((recipient.to_owned(), Instant::now()));
}
