//! What each page does, in the reference's order of checks: `Accept`, log-in, permission, method, body,
//! fields.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::json;

use super::{
    authentication::{self, Credentials, Schemes},
    body::Unreadable,
    fields::{self, Faults},
    negotiation::{Indent, NegotiationError, negotiate},
    pages::Page,
    request::{NoFields, Request},
    respond::{Answer, NOT_AUTHENTICATED},
    users,
    value::Fields,
};
use crate::domain::{PlainPassword, User};
use crate::flows::{DjangoTokenError, Error, Flows};
use crate::http::code::Code;

/// What a client is told to wait that waiting does not help.
const WAIT_FOR_PROOF: Duration = Duration::from_hours(1);
const CANNOT_LOG_IN: &str = "Unable to log in with provided credentials.";
const UNDECODABLE: &str = "Error decoding signature.";

/// An answer and how to write it.
#[derive(Debug)]
pub struct Outcome {
    /// What to say.
    pub answer: Answer,
    /// Whether the check for a log-in was reached.
    pub authenticated: bool,
    /// How to lay it out.
    pub indent: Indent,
}

/// Answers a request. May wait for the database and for a hash.
pub fn answer(flows: &Flows, request: &Request, schemes: Schemes) -> Outcome {
    match negotiate(request.accept.as_deref(), request.format.as_deref()) {
        Ok(indent) => {
            let answer = answer_page(flows, request, schemes).unwrap_or_else(|refused| refused);
            Outcome { answer, authenticated: true, indent }
        }
        Err(refusal) => {
            let answer = match refusal {
                NegotiationError::UnknownFormat => Answer::not_found(),
                NegotiationError::NotAcceptable => Answer::detail(
                    StatusCode::NOT_ACCEPTABLE,
                    "Could not satisfy the request Accept header.",
                ),
            };
            Outcome { answer, authenticated: false, indent: None }
        }
    }
}

fn answer_page(flows: &Flows, request: &Request, schemes: Schemes) -> Result<Answer, Answer> {
    let method = request.method.as_str();
    match &request.page {
        Page::ObtainToken | Page::VerifyToken | Page::RefreshToken => match method {
            "POST" => answer_token_page(flows, request),
            "OPTIONS" => Ok(Answer::ok(request.page.description(true))),
            _ => Err(Answer::method_not_allowed(method)),
        },
        Page::Restricted => {
            let (user, token) = log_in_by_token(flows, request, schemes)
                .map_err(|refused| refused.with_challenge(schemes))?;
            match method {
                "GET" | "HEAD" => Ok(Answer::ok(json!({
                    "id": user.id.0,
                    "username": user.username.as_str(),
                    "token": token,
                }))),
                "OPTIONS" => Ok(Answer::ok(request.page.description(false))),
                _ => Err(Answer::method_not_allowed(method)),
            }
        }
        Page::Root => {
            log_in(flows, request, schemes)?;
            match method {
                "GET" | "HEAD" => {
                    Ok(Answer::ok(json!({ "users": format!("{}/users/", request.origin) })))
                }
                "OPTIONS" => Ok(Answer::ok(request.page.description(false))),
                _ => Err(Answer::method_not_allowed(method)),
            }
        }
        Page::UserList => users::answer_list(flows, request, &log_in(flows, request, schemes)?),
        Page::User(key) => {
            users::answer_one(flows, request, key, &log_in(flows, request, schemes)?)
        }
        Page::Missing => Err(Answer::not_found()),
    }
}

fn answer_token_page(flows: &Flows, request: &Request) -> Result<Answer, Answer> {
    let fields = read_fields(request)?;
    let token = match request.page {
        Page::ObtainToken => obtain_token(flows, request, &fields)?,
        Page::RefreshToken => {
            let device = &request.entrance.device;
            flows.django_refresh(&read_token(&fields)?, device).map_err(body_refusal)?
        }
        _ => {
            let token = read_token(&fields)?;
            flows.django_user_by_token(&token).map_err(body_refusal)?;
            token
        }
    };
    Ok(Answer::ok(json!({ "token": token })))
}

fn read_token(fields: &Fields) -> Result<String, Answer> {
    fields::required_text(fields, "token").map_err(|texts| faults([("token", Some(texts))]))
}

fn obtain_token(flows: &Flows, request: &Request, fields: &Fields) -> Result<String, Answer> {
    let username = fields::required_text(fields, "username");
    let password = fields::required_text(fields, "password");
    let (username, password) = match (username, password) {
        (Ok(username), Ok(password)) => (username, password),
        (username, password) => {
            return Err(faults([("username", username.err()), ("password", password.err())]));
        }
    };
    let wrong = || Answer::non_field_error(CANNOT_LOG_IN);
    // A name or a password too long for any account is wrong for each.
    if username.chars().count() > fields::MAX_EMAIL {
        return Err(wrong());
    }
    let password = PlainPassword::parse(&password).map_err(|_| wrong())?;
    flows.django_log_in(&username, &password, &request.entrance).map_err(|error| match error {
        Error::InvalidCredentials => wrong(),
        other => failure(other),
    })
}

/// Reads the fields of a body, or says why there are none.
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

/// 400 with the texts of the fields that have any.
pub fn faults(faults: impl IntoIterator<Item = (&'static str, Option<Faults>)>) -> Answer {
    Answer::field_errors(faults.into_iter().filter_map(|(name, texts)| Some((name, texts?))))
}

/// The answer to a request that did not come through to its page.
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

/// A failure that has nothing to do with what was sent.
pub fn failure(error: Error) -> Answer {
    match error {
        Error::RateLimited(wait) => Answer::throttled(wait),
        // Beyond a hundred wrong passwords in a row; a reset by mail ends it.
        Error::ProofRequired => Answer::throttled(WAIT_FOR_PROOF),
        Error::Overloaded => no_answer(Code::Overloaded),
        Error::Unavailable(cause) => {
            tracing::warn!(cause, "unavailable");
            no_answer(Code::Unavailable)
        }
        other => {
            tracing::error!(error = %other, "the Django face failed");
            Answer::internal_error()
        }
    }
}

fn body_refusal(error: DjangoTokenError) -> Answer {
    Answer::non_field_error(match error {
        DjangoTokenError::Undecodable | DjangoTokenError::Unacceptable => UNDECODABLE,
        DjangoTokenError::Expired => "Signature has expired.",
        DjangoTokenError::Nameless => "Invalid payload.",
        DjangoTokenError::UnknownAccount => "User doesn't exist.",
        DjangoTokenError::AccountDisabled => "User account is disabled.",
        DjangoTokenError::NoOrigin => "orig_iat field is required.",
        DjangoTokenError::OriginTooOld => "Refresh has expired.",
        DjangoTokenError::Failed(error) => return failure(error),
    })
}

/// The caller of `/restricted/`, where a token is the only way in.
fn log_in_by_token(
    flows: &Flows,
    request: &Request,
    schemes: Schemes,
) -> Result<(User, String), Answer> {
    let refuse = |text: &str| Answer::detail(StatusCode::UNAUTHORIZED, text);
    match authentication::read(request.authorization.as_deref(), schemes, false).map_err(refuse)? {
        Some(Credentials::Token(token)) => {
            let user = flows.django_user_by_token(&token);
            Ok((user.map_err(|error| header_refusal(error, StatusCode::UNAUTHORIZED))?, token))
        }
        _ => Err(refuse(NOT_AUTHENTICATED)),
    }
}

/// The caller of the other pages, by password or token.
fn log_in(flows: &Flows, request: &Request, schemes: Schemes) -> Result<User, Answer> {
    let refuse = |text: &str| Answer::detail(StatusCode::FORBIDDEN, text);
    match authentication::read(request.authorization.as_deref(), schemes, true).map_err(refuse)? {
        Some(Credentials::Token(token)) => flows
            .django_user_by_token(&token)
            .map_err(|error| header_refusal(error, StatusCode::FORBIDDEN)),
        Some(Credentials::Basic { username, password }) => {
            let wrong = || refuse("Invalid username/password.");
            let password = PlainPassword::parse(&password).map_err(|_| wrong())?;
            let entrance = &request.entrance;
            flows.django_user_by_password(&username, &password, entrance).map_err(|error| {
                match error {
                    Error::InvalidCredentials => wrong(),
                    other => failure(other),
                }
            })
        }
        None => Err(refuse(NOT_AUTHENTICATED)),
    }
}

fn header_refusal(error: DjangoTokenError, status: StatusCode) -> Answer {
    let text = match error {
        DjangoTokenError::Undecodable => UNDECODABLE,
        DjangoTokenError::Expired => "Signature has expired.",
        DjangoTokenError::Nameless => "Invalid payload.",
        DjangoTokenError::UnknownAccount => "Invalid signature.",
        DjangoTokenError::AccountDisabled => "User account is disabled.",
        DjangoTokenError::Unacceptable
        | DjangoTokenError::NoOrigin
        | DjangoTokenError::OriginTooOld => "Incorrect authentication credentials.",
        DjangoTokenError::Failed(error) => return failure(error),
    };
    Answer::detail(status, text)
}
