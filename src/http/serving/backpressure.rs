//! Backpressure: limits how far a connection is read ahead. actix-http parses all requests that it
//! has read, and would keep thousands of them for one client that sends without waiting for
//! responses. So a connection is read while none of its requests is in progress, or while one waits
//! for its body; and not while the client does not read the response.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::web::Bytes;

/// The state of one connection, shared with its requests.
#[derive(Clone, Default)]
pub struct Intake(Rc<Counts>);

#[derive(Default)]
struct Counts {
    answers: Cell<usize>,
    bodies: Cell<usize>,
    has_unread_body: Cell<bool>,
    is_write_waiting: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl Intake {
    /// Returns the state of the connection of `request`.
    pub fn of(request: &HttpRequest) -> Self {
        request.conn_data::<Self>().cloned().unwrap_or_default()
    }

    fn is_answered(&self) -> bool {
        self.0.answers.get() == 0
    }

    /// Returns whether all requests that were read are answered and their bodies read to the end.
    /// actix-http closes the connection after a response to another request.
    pub fn is_done(&self) -> bool {
        self.is_answered() && !self.0.has_unread_body.get()
    }

    /// Returns whether more may be read. If not, the task is woken when that may have changed.
    /// `is_between_requests` tells that the next byte belongs to another request.
    pub fn is_open(&self, context: &Context<'_>, is_between_requests: bool) -> bool {
        let wants_body = self.0.bodies.get() > 0 && !is_between_requests;
        let wants_more = self.is_answered() || wants_body;
        if wants_more && !self.0.is_write_waiting.get() {
            return true;
        }
        *self.0.reader.borrow_mut() = Some(context.waker().clone());
        false
    }

    /// Records whether a part of the response is still unsent.
    pub fn set_write_waiting(&self, is_waiting: bool) {
        self.0.is_write_waiting.set(is_waiting);
        if !is_waiting {
            self.wake_reader();
        }
    }

    fn wake_reader(&self) {
        let reader = self.0.reader.borrow_mut().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Returns a guard for this request, which is in progress.
    pub fn answering(request: &ServiceRequest) -> CountGuard {
        let (request, payload) = request.parts();
        let intake = Self::of(request);
        intake.0.has_unread_body.set(!matches!(payload, Payload::None));
        CountGuard::on(&intake, |counts| &counts.answers)
    }

    /// Records that the body of the request was read to its end.
    pub fn set_body_read(&self) {
        self.0.has_unread_body.set(false);
    }

    /// Returns a guard for a body that is being received.
    pub fn reading_body(&self) -> CountGuard {
        CountGuard::on(self, |counts| &counts.bodies)
    }
}

/// Increments a counter until it is dropped.
pub struct CountGuard {
    intake: Intake,
    count: fn(&Counts) -> &Cell<usize>,
}

impl CountGuard {
    fn on(intake: &Intake, count: fn(&Counts) -> &Cell<usize>) -> Self {
        let held = Self { intake: intake.clone(), count };
        held.change(|count| count + 1);
        held
    }

    fn change(&self, by: impl Fn(usize) -> usize) {
        let count = (self.count)(&self.intake.0);
        count.set(by(count.get()));
        self.intake.wake_reader();
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.change(|count| count - 1);
    }
}

/// The body of a response. The request is in progress until its last part is sent.
pub struct AnswerBody {
    body: BoxBody,
    _answering: CountGuard,
}

impl AnswerBody {
    /// Returns this body with the guard of its request.
    pub fn new(body: BoxBody, answering: CountGuard) -> Self {
        Self { body, _answering: answering }
    }
}

impl MessageBody for AnswerBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
