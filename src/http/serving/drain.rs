//! Draining: the time between the signal to stop and the end, in which load balancers notice the
//! stop and no request is lost.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Time in which every connection that the kernel has completed is accepted and its request read.
pub const SETTLE_TIME: Duration = Duration::from_millis(200);

/// Flag of a service that is stopping. Requests are still served, each as the last one of its
/// connection.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// Sets the flag.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the service is stopping.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes the kernel ignore attempts to connect to `listener`, which is about to be closed: a client
/// that retries a second later is refused and uses another instance. Closing the listener
/// immediately would reset connections that wait to be accepted, whose requests may be on their
/// way.
#[cfg(target_os = "linux")]
pub fn ignore_new_connections(listener: &TcpListener) {
    use socket2::{SockFilter, SockRef};

    // Classic BPF over the TCP header (RFC 9293 section 3.1): load the byte of the flags, drop the
    // segment if it has SYN, else accept it whole.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    let program = [
        SockFilter::new(0x30, 0, 0, FLAGS),
        SockFilter::new(0x45, 0, 1, SYN),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&program) {
        tracing::debug!(%error, "cannot ignore new connections while stopping");
    }
}

/// Does nothing on other systems than Linux.
#[cfg(not(target_os = "linux"))]
pub fn ignore_new_connections(_: &TcpListener) {}
