//! Parking of idle connections. actix-http keeps two buffers of 8 KiB and the state of a request for
//! every open connection, 12 KiB of which are resident. So a connection that is idle for a moment is
//! taken from actix-http: to that, the client seems to have closed it. It waits for its next byte as
//! a bare socket and is then handed over as a new connection.
//!
//! actix-http may have read a part of the next request, which would be lost. It says nothing about
//! that, so a connection is parked only if all that it has received are whole requests, by its
//! [`Framing`](super::framing::Framing), and their responses are sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use actix_server::GracefulShutdownSignal;
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
