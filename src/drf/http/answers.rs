//! Responses that several views share: faults of fields, unreadable bodies, failures of the
//! service.

use std::time::Duration;

use actix_web::http::StatusCode;

use crate::drf::http::body::Unreadable;
use crate::drf::http::parsing::fields::Faults;
use crate::drf::http::parsing::value::Fields;
use crate::drf::http::request::{NoFields, Request};
use crate::drf::http::respond::Answer;
use crate::flows::Error;
use crate::http::code::Code;

/// `Retry-After` for a client that needs a password reset.
const WAIT_FOR_PROOF: Duration = Duration::from_hours(1);

/// Parses the fields of a body, or returns the response for a body without fields.
pub fn read_fields(request: &Request) -> Result<Fields, Answer> {
    request.fields().map_err(|reason| match reason {
        NoFields::Unreadable(Unreadable::MediaType(kind)) => Answer::detail(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &format!("Unsupported media type \"{kind}\" in request."),
        ),
        NoFields::Unreadable(Unreadable::Malformed(text)) => {
            Answer::detail(StatusCode::BAD_REQUEST, &text)
        }
        NoFields::NotReceived(code) => no_answer(code),
        NoFields::Null => Answer::non_field_error("No data provided"),
        NoFields::NoObject(name) => Answer::non_field_error(&format!(
            "Invalid data. Expected a dictionary, but got {name}."
        )),
    })
}

/// Returns 400 with the messages of the faulty fields.
pub fn faults(faults: impl IntoIterator<Item = (&'static str, Option<Faults>)>) -> Answer {
    Answer::field_errors(faults.into_iter().filter_map(|(name, texts)| Some((name, texts?))))
}

/// Returns the response to a request that did not reach its page.
pub fn no_answer(code: Code) -> Answer {
    match code {
        Code::PayloadTooLarge => Answer::detail(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.",
        ),
        Code::Overloaded | Code::Unavailable => Answer::unavailable(code.retry_after()),
        Code::InternalError => Answer::internal_error(),
        other => Answer::detail(other.status(), other.title()),
    }
}

/// Returns the response to a failure of the service.
pub fn failure(error: Error) -> Answer {
    match error {
        Error::RateLimited(wait) => Answer::throttled(wait),
        // The limit of consecutive failed log-ins; a reset by mail ends it.
        Error::ProofRequired => Answer::throttled(WAIT_FOR_PROOF),
        Error::Overloaded => no_answer(Code::Overloaded),
        Error::Unavailable(cause) => {
            tracing::warn!(cause, "unavailable");
            no_answer(Code::Unavailable)
        }
        other => {
            tracing::error!(error = %other, "the Django REST adapter failed");
            Answer::internal_error()
        }
    }
}
