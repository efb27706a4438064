//! A list of breached passwords that holds none, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub struct Ranges {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Ranges {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ranges = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&ranges.asked);
        // It ends with the process of the tests.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let digits = answer(stream.unwrap());
                asked.lock().unwrap().push(digits);
            }
        });
        ranges
    }

    pub fn url(&self) -> String {
        format!("http://{}/range", self.address)
    }

    /// The digits that it was asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream) -> String {
    let reader = BufReader::new(stream.try_clone().unwrap());
    let lines = reader.lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).unwrap();
    let digits = head[0].strip_prefix("GET /range/").and_then(|rest| rest.split(' ').next());
    digits.expect("a range is asked for").to_owned()
}
