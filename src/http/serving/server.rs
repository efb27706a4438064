//! Listening, and responses to malformed requests.
//!
//! actix-http parses the heads of requests, and answers a malformed one by itself with a bare
//! status. There is no hook for that (docs/adr/0013-http-errors-and-resource-bounds.md), so
//! [`Connection`] stands between it and the socket and sends a problem document in its place.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_factory, fn_service,
    map_config,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::http::metrics::Metrics;
use crate::http::request::body::BODY_TIMEOUT;
use crate::http::serving::backpressure::Intake;
use crate::http::serving::bare_answer::BareAnswer;
use crate::http::serving::framing::Framing;
use crate::http::serving::middleware::Https;
use crate::http::serving::parking::{self, SharedSocket};

/// Time-out of the first head of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for which the body of a refused request is still received and discarded, so that the client
/// reads the refusal.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for what surrounds the work of a request: the turns of a busy thread.
const SLACK: Duration = Duration::from_secs(5);

/// Size of a read in bytes: some forty of the shortest requests.
const READ_CHUNK: usize = 1024;

/// Settings of the listening server.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Number of threads.
    pub workers: usize,
    /// Largest number of connections, over all threads.
    pub max_connections: usize,
    /// Time-out of an idle connection.
    pub keep_alive: Duration,
    /// Time-out of the work of a request.
    pub answer_limit: Duration,
    /// Time without a request after which a connection is parked.
    pub park_after: Duration,
    /// Time for requests in progress after the signal to stop.
    pub shutdown_timeout: Duration,
    /// True if clients reach the service over TLS.
    pub https: Https,
}

impl Settings {
    /// Time-out from the first byte of a request to its response, and from one full buffer of a
    /// response to the next: longer than head, body and work may take together. Without it,
    /// actix-http waits without end for later heads, for bodies that are no longer needed and for
    /// clients that do not read.
    fn write_progress_timeout(&self) -> Duration {
        HEAD_TIMEOUT + BODY_TIMEOUT + self.answer_limit + SLACK
    }
}

/// Serves `app` on `listener`.
pub fn start<F, I, S, B>(
    settings: Settings,
    listener: TcpListener,
    metrics: Arc<Metrics>,
    app: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error>,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>>,
    B: MessageBody + 'static,
{
    let server = Server::build()
        .workers(settings.workers)
        .max_concurrent_connections((settings.max_connections / settings.workers).max(1))
        .disable_signals()
        .shutdown_timeout(settings.shutdown_timeout.as_secs());
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("http", listener, move || {
        let signal = stopping.clone();
        let app = app().into_factory().map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let signal = signal.clone();
                async move { signal.notified().await }
            })
            .keep_alive(settings.keep_alive)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.intake.clone());
            })
            .finish(map_config(app, |()| AppConfig::default()));
        let (stopping, metrics) = (stopping.clone(), Arc::clone(&metrics));
        fn_factory(move || {
            let http = http.new_service(());
            let (stopping, metrics) = (stopping.clone(), Arc::clone(&metrics));
            async move {
                let http = Rc::new(http.await?);
                Ok::<_, ()>(fn_service::<_, _, _, _, _, ()>(move |stream: TcpStream| {
                    let (http, metrics) = (Rc::clone(&http), Arc::clone(&metrics));
                    // In a box, because the task of actix-server has twice the size of its future.
                    Box::pin(serve(http, stream, metrics, settings, stopping.clone()))
                }))
            }
        })
    })?;
    Ok(server.run())
}

/// Serves the requests of one connection with `http`.
fn serve<H>(
    http: Rc<H>,
    stream: TcpStream,
    metrics: Arc<Metrics>,
    settings: Settings,
    stopping: GracefulShutdownSignal,
) -> impl Future<Output = Result<(), ()>>
where
    H: Service<(Connection, Protocol, Option<SocketAddr>)>,
{
    let peer = stream.peer_addr().ok();
    // Without it each piece of a long response would wait for the acknowledgement of the one before,
    // which clients delay by up to 40 ms. A failure means that the connection is gone, which the
    // next read notices.
    let _ = stream.set_nodelay(true);
    let timeout = settings.keep_alive.saturating_sub(settings.park_after);
    parking::serve(stream, timeout, stopping, move |socket| {
        let connection = Connection::of(socket, Arc::clone(&metrics), settings);
        http.call((connection, Protocol::Http1, peer))
    })
}

/// The connection of a client, as actix-http sees it.
struct Connection {
    socket: Rc<SharedSocket>,
    metrics: Arc<Metrics>,
    settings: Settings,
    deadline: Instant,
    /// Fires at the deadline or before. Most deadlines are postponed before they come, and the
    /// timer is set again when it fires: setting it takes longer than comparing two times.
    timer: Pin<Box<Sleep>>,
    /// The time of the last response, if nothing arrived since then: the deadline is that of an
    /// idle connection.
    idle_since: Option<Instant>,
    refusal: Option<Refusal>,
    intake: Intake,
    framing: Framing,
    /// Bytes that were read beyond the current request.
    withheld: Vec<u8>,
    /// True if actix-http processes what it has before it gets more.
    is_behind: bool,
}

/// The problem document that replaces a bare response.
struct Refusal {
    bytes: Vec<u8>,
    sent: usize,
}

impl Connection {
    fn of(socket: Rc<SharedSocket>, metrics: Arc<Metrics>, settings: Settings) -> Self {
        let timer = Box::pin(sleep(settings.write_progress_timeout()));
        Self {
            socket,
            metrics,
            settings,
            deadline: timer.deadline(),
            timer,
            idle_since: None,
            refusal: None,
            intake: Intake::default(),
            framing: Framing::default(),
            withheld: Vec::new(),
            is_behind: false,
        }
    }

    fn check_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if now >= self.deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let next = self.park_at().filter(|at| now < *at).unwrap_or(self.deadline);
            self.timer.as_mut().reset(next);
        }
        Ok(())
    }

    /// Has the timer fire at `moment` or before.
    fn wake_at(&mut self, moment: Instant) {
        if moment < self.timer.deadline() {
            self.timer.as_mut().reset(moment);
        }
    }

    /// Starts the time-out of a new request, or of a part of its response.
    fn end_idleness(&mut self) {
        if self.idle_since.take().is_some() {
            self.deadline = Instant::now() + self.settings.write_progress_timeout();
            self.wake_at(self.deadline);
        }
    }

    /// Starts the time-out of an idle connection.
    fn begin_idleness(&mut self) {
        let now = Instant::now();
        self.idle_since = Some(now);
        let timeout = self.settings.keep_alive + self.settings.write_progress_timeout();
        self.deadline = now + timeout;
        self.wake_at(self.park_at().unwrap_or(self.deadline));
    }

    /// Returns the time at which an idle connection is parked, if nothing prevents it.
    fn park_at(&self) -> Option<Instant> {
        let can_wait = self.settings.park_after < self.settings.keep_alive;
        self.idle_since.filter(|_| can_wait).map(|since| since + self.settings.park_after)
    }

    /// Returns whether to park the connection: actix-http holds nothing that the client sent.
    fn should_park(&self) -> bool {
        self.park_at().is_some_and(|at| at <= Instant::now())
            && self.framing.is_between_requests()
            && self.intake.is_done()
    }

    /// Hands what was read to actix-http, up to the end of the current request.
    fn hand_over(&mut self, bytes: &[u8], buffer: &mut ReadBuf<'_>) {
        let room = bytes.len().min(buffer.remaining());
        let count = self.framing.advance(&bytes[..room]);
        buffer.put_slice(&bytes[..count]);
        if count < bytes.len() {
            self.withheld = bytes[count..].to_vec();
            self.is_behind = true;
        }
        // Line ends between requests are no beginning of one.
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        if !self.framing.is_between_requests() || !bytes[..count].iter().all(is_line_end) {
            self.end_idleness();
        }
    }

    /// Sends a refusal in place of `bare`, in as many writes as it takes.
    fn poll_refuse(
        &mut self,
        context: &mut Context<'_>,
        bare: &BareAnswer<'_>,
    ) -> Poll<io::Result<()>> {
        let (https, metrics) = (self.settings.https, &self.metrics);
        let refusal = self
            .refusal
            .get_or_insert_with(|| Refusal { bytes: bare.explained(https, metrics), sent: 0 });
        while refusal.sent < refusal.bytes.len() {
            let rest = &refusal.bytes[refusal.sent..];
            match ready!(Pin::new(&mut *self.socket.stream.borrow_mut()).poll_write(context, rest))?
            {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => refusal.sent += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_deadline(context)?;
        if !self.intake.is_open(context, self.framing.is_between_requests()) {
            return Poll::Pending;
        }
        if std::mem::take(&mut self.is_behind) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.withheld.is_empty() {
            let withheld = std::mem::take(&mut self.withheld);
            self.hand_over(&withheld, buffer);
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; READ_CHUNK];
        let size = buffer.remaining().min(READ_CHUNK);
        let mut chunk = ReadBuf::new(&mut bytes[..size]);
        let read = Pin::new(&mut *self.socket.stream.borrow_mut()).poll_read(context, &mut chunk);
        if read.is_pending() && self.should_park() {
            self.socket.is_parked.set(true);
            // The end of the connection, as far as actix-http is concerned.
            return Poll::Ready(Ok(()));
        }
        ready!(read)?;
        self.is_behind = chunk.remaining() == 0;
        self.hand_over(chunk.filled(), buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    /// Writes `bytes`. A bare response is the last that actix-http writes, in one piece, so it can
    /// only be the end of `bytes`. The part before it is written first.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.end_idleness();
        self.check_deadline(context)?;
        let bare = BareAnswer::at_the_end_of(bytes);
        let before = bare.as_ref().map_or(bytes.len(), |bare| bare.start);
        if let Some(bare) = bare.filter(|bare| bare.start == 0) {
            ready!(self.poll_refuse(context, &bare))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        self.intake.set_write_waiting(true);
        let count = ready!(
            Pin::new(&mut *self.socket.stream.borrow_mut()).poll_write(context, &bytes[..before])
        )?;
        if count == before {
            self.intake.set_write_waiting(false);
            self.begin_idleness();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.stream.borrow_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.socket.is_parked.get() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut *self.socket.stream.borrow_mut()).poll_shutdown(context)
    }
}
