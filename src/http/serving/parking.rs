//! Parking of idle connections. actix-http keeps two buffers of 8 KiB and the state of a request for
//! every open connection, 12 KiB of which are resident. So a connection that is idle for a moment is
//! taken from actix-http: to that, the client seems to have closed it. It waits for its next byte as
//! a bare socket and is then handed over as a new connection.
//!
//! actix-http may have read a part of the next request, which would be lost. It says nothing about
//! that, so [`Received`] and [`Intake`] count bytes: a connection is parked only if it has received
//! no more than the one request that was answered.
//!
//! [`Intake`]: super::backpressure::Intake

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use actix_server::GracefulShutdownSignal;
use memchr::memchr_iter;
use tokio::net::TcpStream;

/// The socket of a connection, which outlives its stay at actix-http.
pub struct SharedSocket {
    pub stream: RefCell<TcpStream>,
    /// True if the connection has left actix-http and stays open.
    pub is_parked: Cell<bool>,
}

/// Serves the requests of a connection with `http` and parks it in between. It is closed if no byte
/// arrives for `timeout` while it is parked, and when the service stops.
pub async fn serve<F: Future>(
    mut stream: TcpStream,
    timeout: Duration,
    stopping: GracefulShutdownSignal,
    http: impl Fn(Rc<SharedSocket>) -> F,
) -> Result<(), ()> {
    loop {
        let socket = SharedSocket { stream: RefCell::new(stream), is_parked: Cell::new(false) };
        let socket = Rc::new(socket);
        // In a box, which is freed: this task lasts as long as the connection.
        Box::pin(http(Rc::clone(&socket))).await;
        let Some(socket) = Rc::into_inner(socket).filter(|socket| socket.is_parked.get()) else {
            return Ok(());
        };
        stream = socket.stream.into_inner();
        let mut byte = [0];
        let has_byte = tokio::select! {
            peeked = stream.peek(&mut byte) => peeked.is_ok_and(|count| count > 0),
            () = tokio::time::sleep(timeout) => false,
            () = stopping.notified() => false,
        };
        if !has_byte {
            return Ok(());
        }
    }
}

/// The bytes that a connection received since it was last between two requests.
#[derive(Default)]
pub struct Received {
    bytes: u64,
    /// Offset of the start of the current line.
    line: u64,
    last_byte: u8,
    /// The end of the first empty line. No head is shorter.
    head: Option<u64>,
}

impl Received {
    /// Adds the bytes of a read.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.head.is_none() {
            self.look_for_head(bytes);
        }
        self.bytes += bytes.len() as u64;
    }

    fn look_for_head(&mut self, bytes: &[u8]) {
        for at in memchr_iter(b'\n', bytes) {
            let before = at.checked_sub(1).map_or(self.last_byte, |before| bytes[before]);
            let end = self.bytes + at as u64;
            let is_empty = end == self.line || (end == self.line + 1 && before == b'\r');
            self.line = end + 1;
            if is_empty {
                self.head = Some(self.line);
                return;
            }
        }
        self.last_byte = bytes.last().copied().unwrap_or(self.last_byte);
    }

    /// Returns whether nothing was received after a request with a body of `body` bytes. True only
    /// if that is certain.
    pub fn ends_with_body(&self, body: u64) -> bool {
        self.head.is_some_and(|head| self.bytes == head + body)
    }
}

#[cfg(test)]
mod tests {
    use super::Received;

    fn received(chunks: &[&str]) -> Received {
        let mut received = Received::default();
        for chunk in chunks {
            received.add(chunk.as_bytes());
        }
        received
    }

    #[test]
    fn a_request_ends_after_its_head_and_body_however_it_is_cut() {
        for (request, body) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0),
            ("GET / HTTP/1.1\nHost: a\n\n", 0),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n{\r\n\r\n}", 6),
        ] {
            for cut in 0..request.len() {
                let received = received(&[&request[..cut], &request[cut..]]);
                assert!(received.ends_with_body(body), "{request:?} at {cut}");
            }
        }
    }

    #[test]
    fn a_part_of_the_next_request_is_noticed() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nHost: a\r\n\r\n{}";
        for next in ["G", "\r\n", get, post] {
            assert!(!received(&[get, next]).ends_with_body(0), "{next:?}");
            assert!(!received(&[post, next]).ends_with_body(2), "{next:?}");
        }
    }

    #[test]
    fn what_is_not_a_whole_request_is_none() {
        assert!(!received(&[]).ends_with_body(0));
        assert!(!received(&["GET / HTTP/1.1\r\nHost: a\r\n"]).ends_with_body(0));
        assert!(!received(&["POST / HTTP/1.1\r\nHost: a\r\n\r\n{"]).ends_with_body(2));
        // Empty lines before a request belong to it.
        assert!(!received(&["\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"]).ends_with_body(0));
    }
}
