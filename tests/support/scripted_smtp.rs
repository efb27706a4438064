//! A mail server with scripted replies, byte by byte.
//!
//! `smtp_server.py` is a real one; this one is for replies that no library sends.

#![allow(clippy::unwrap_used, reason = "a surprise ends the test")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A command of a client, with its context.
pub struct Said<'a> {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// Number of open connections.
    pub open: usize,
    /// The command; empty at the greeting, `.` at the end of a message.
    pub line: &'a str,
    /// The recipient of the current mail.
    pub recipient: &'a str,
}

/// Reaction of the server.
pub enum Act {
    /// The usual reply.
    Usual,
    /// This reply, followed by CRLF.
    Say(&'static [u8]),
    /// This reply after a delay.
    Late(Duration, &'static [u8]),
    /// This reply, and the end of the connection.
    Bye(&'static [u8]),
    /// Closes the connection.
    Close,
    /// Accepts a message and closes the connection without a reply.
    AcceptAndClose,
    /// No reply.
    Hang,
}

type Script = dyn Fn(&Said<'_>) -> Act + Send + Sync;

/// The reply to a connection beyond those that the server admits.
const FULL: &[u8] = b"421 4.7.0 too many connections\r\n";
/// Time for a connection that the client has left to be gone here too.
const SETTLES: Duration = Duration::from_millis(300);

#[derive(Default)]
struct State {
    connections: usize,
    /// The number of connections that are admitted at a time.
    admits: Option<usize>,
    refused: usize,
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

    /// Changes the script.
    pub fn change(&self, script: impl Fn(&Said<'_>) -> Act + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// Admits at most so many connections at a time from now on, and answers further ones 421.
    pub fn admit(&self, connections: usize) {
        self.state.lock().unwrap().admits = Some(connections);
    }

    /// Returns the number of connections that were not admitted.
    pub fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }

    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Returns the recipients of accepted mails, in their order.
    pub fn accepted(&self) -> Vec<String> {
        self.state.lock().unwrap().accepted.iter().map(|(to, _)| to.clone()).collect()
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Returns the largest number of simultaneous connections.
    pub fn most_open(&self) -> usize {
        self.state.lock().unwrap().most_open
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.state.lock().unwrap().open
    }

    /// Returns the commands, without messages.
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
    if is_one_too_many(state) {
        return stream.write_all(FULL);
    }
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

fn is_one_too_many(state: &Mutex<State>) -> bool {
    let arrived = Instant::now();
    loop {
        {
            let mut state = state.lock().unwrap();
            if state.admits.is_none_or(|admits| state.open <= admits) {
                return false;
            }
            if arrived.elapsed() > SETTLES {
                state.refused += 1;
                return true;
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn accept(state: &Mutex<State>, recipient: &str) {
    state.lock().unwrap().accepted.push((recipient.to_owned(), Instant::now()));
}
