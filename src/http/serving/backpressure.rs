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
    is_write_waiting: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    seen: Cell<Seen>,
}

/// The requests since the connection was last between two of them.
#[derive(Clone, Copy, Default)]
enum Seen {
    #[default]
    None,
    /// One, with the length of its body if that was received to its end.
    One(Option<u64>),
    Several,
}

impl Intake {
    /// Returns the state of the connection of `request`.
    pub fn of(request: &HttpRequest) -> Self {
        request.conn_data::<Self>().cloned().unwrap_or_default()
    }

    /// Returns whether more may be read. If not, the task is woken when that may have changed.
    pub fn is_open(&self, context: &Context<'_>) -> bool {
        let wants_more = self.0.answers.get() == 0 || self.0.bodies.get() > 0;
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
        intake.0.seen.set(match intake.0.seen.get() {
            Seen::None => Seen::One(matches!(payload, Payload::None).then_some(0)),
            Seen::One(_) | Seen::Several => Seen::Several,
        });
        CountGuard::on(&intake, |counts| &counts.answers)
    }

    /// Returns a guard for a body that is being received.
    pub fn reading_body(&self) -> CountGuard {
        CountGuard::on(self, |counts| &counts.bodies)
    }

    /// Records that a body was received to its end.
    pub fn set_body_read(&self, length: usize) {
        if matches!(self.0.seen.get(), Seen::One(_)) {
            self.0.seen.set(Seen::One(Some(length as u64)));
        }
    }

    /// Returns the length of the body of the one request that was received and answered. `None` if
    /// there was no request or more than one, if it is in progress, or if the end of its body was
    /// not received.
    pub fn body_of_the_only_request(&self) -> Option<u64> {
        match self.0.seen.get() {
            Seen::One(body) if self.0.answers.get() == 0 => body,
            _ => None,
        }
    }

    /// Forgets the requests that were seen.
    pub fn forget_seen(&self) {
        self.0.seen.take();
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
