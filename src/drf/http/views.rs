//! Handlers of the pages, with the reference's order of checks: `Accept`, log-in, permission,
//! method, body, fields.

use actix_web::http::StatusCode;
use serde_json::json;

use crate::domain::{PlainPassword, User};
use crate::drf::flows::{AccessError, Authenticated, DrfFlows};
use crate::drf::http::answers::{failure, faults, read_fields};
use crate::drf::http::authentication::{self, Credentials, Schemes};
use crate::drf::http::negotiation::{NegotiationError, negotiate};
use crate::drf::http::pages::{Page, Rights};
use crate::drf::http::parsing::fields;
use crate::drf::http::parsing::value::Fields;
use crate::drf::http::request::Request;
use crate::drf::http::respond::{Answer, EXPIRED, NOT_AUTHENTICATED, WRONG_PASSWORD};
use crate::drf::http::users;
use crate::flows::Error;

const CANNOT_LOG_IN: &str = "Unable to log in with provided credentials.";
const UNDECODABLE: &str = "Error decoding signature.";

/// Handles a request. It may block on the database and on a hash.
pub fn answer(flows: DrfFlows<'_>, request: &Request, schemes: Schemes) -> Answer {
    match negotiate(request.accept.as_deref(), request.format.as_deref()) {
        Ok(indent) => {
            let answer = answer_page(flows, request, schemes).unwrap_or_else(|refused| refused);
            answer.after_log_in_check(indent)
        }
        Err(NegotiationError::UnknownFormat) => Answer::not_found(),
        Err(NegotiationError::NotAcceptable) => Answer::detail(
            StatusCode::NOT_ACCEPTABLE,
            "Could not satisfy the request Accept header.",
        ),
    }
}

fn answer_page(flows: DrfFlows<'_>, request: &Request, schemes: Schemes) -> Result<Answer, Answer> {
    let method = request.method.as_str();
    match &request.page {
        Page::ObtainToken | Page::VerifyToken | Page::RefreshToken => match method {
            "POST" => answer_token_page(flows, request),
            "OPTIONS" => Ok(Answer::ok(request.page.description(Rights::Write))),
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
                "OPTIONS" => Ok(Answer::ok(request.page.description(Rights::Read))),
                _ => Err(Answer::method_not_allowed(method)),
            }
        }
        Page::Root => {
            log_in(flows, request, schemes)?;
            match method {
                "GET" | "HEAD" => {
                    Ok(Answer::ok(json!({ "users": format!("{}/users/", request.origin) })))
                }
                "OPTIONS" => Ok(Answer::ok(request.page.description(Rights::Read))),
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

fn answer_token_page(flows: DrfFlows<'_>, request: &Request) -> Result<Answer, Answer> {
    let fields = read_fields(request)?;
    let token = match request.page {
        Page::ObtainToken => obtain_token(flows, request, &fields)?,
        Page::RefreshToken => {
            let device = &request.login_context.device;
            flows.refresh(&read_token(&fields)?, device).map_err(body_refusal)?
        }
        _ => {
            let token = read_token(&fields)?;
            flows.user_by_token(&token).map_err(body_refusal)?;
            token
        }
    };
    Ok(Answer::ok(json!({ "token": token })))
}

fn read_token(fields: &Fields) -> Result<String, Answer> {
    fields::required_text(fields, "token").map_err(|texts| faults([("token", Some(texts))]))
}

fn obtain_token(flows: DrfFlows<'_>, request: &Request, fields: &Fields) -> Result<String, Answer> {
    let username = fields::required_text(fields, "username");
    let password = fields::required_text(fields, "password");
    let (username, password) = match (username, password) {
        (Ok(username), Ok(password)) => (username, password),
        (username, password) => {
            return Err(faults([("username", username.err()), ("password", password.err())]));
        }
    };
    let wrong = || Answer::non_field_error(CANNOT_LOG_IN);
    // A name or a password that is too long for any account is wrong.
    if username.chars().count() > fields::MAX_EMAIL {
        return Err(wrong());
    }
    let password = PlainPassword::parse(&password).map_err(|_| wrong())?;
    flows.log_in(&username, &password, &request.login_context).map_err(|error| match error {
        Error::InvalidCredentials => wrong(),
        other => failure(other),
    })
}

fn body_refusal(error: AccessError) -> Answer {
    Answer::non_field_error(match error {
        AccessError::Undecodable | AccessError::Unacceptable => UNDECODABLE,
        AccessError::Expired => EXPIRED,
        AccessError::Nameless => "Invalid payload.",
        AccessError::UnknownAccount => "User doesn't exist.",
        AccessError::AccountDisabled => "User account is disabled.",
        AccessError::NoOrigin => "orig_iat field is required.",
        AccessError::OriginTooOld => "Refresh has expired.",
        AccessError::Failed(error) => return failure(error),
    })
}

/// Returns the user of `/restricted/`, which accepts only a token.
fn log_in_by_token(
    flows: DrfFlows<'_>,
    request: &Request,
    schemes: Schemes,
) -> Result<(User, String), Answer> {
    let refuse = |text: &str| Answer::detail(StatusCode::UNAUTHORIZED, text);
    match authentication::read(request.authorization.as_deref(), schemes, false).map_err(refuse)? {
        Some(Credentials::Token(token)) => {
            let user = flows.user_by_token(&token);
            Ok((user.map_err(|error| header_refusal(error, StatusCode::UNAUTHORIZED))?, token))
        }
        _ => Err(refuse(NOT_AUTHENTICATED)),
    }
}

/// Returns the sender of a request to the other pages, by password or token.
fn log_in(
    flows: DrfFlows<'_>,
    request: &Request,
    schemes: Schemes,
) -> Result<Authenticated, Answer> {
    let refuse = |text: &str| Answer::detail(StatusCode::FORBIDDEN, text);
    match authentication::read(request.authorization.as_deref(), schemes, true).map_err(refuse)? {
        Some(Credentials::Token(token)) => flows
            .sender_by_token(&token)
            .map_err(|error| header_refusal(error, StatusCode::FORBIDDEN)),
        Some(Credentials::Basic { username, password }) => {
            let wrong = || refuse(WRONG_PASSWORD);
            let password = PlainPassword::parse(&password).map_err(|_| wrong())?;
            let login_context = &request.login_context;
            let sender = flows.sender_by_password(&username, &password, login_context);
            sender.map_err(|error| match error {
                Error::InvalidCredentials => wrong(),
                other => failure(other),
            })
        }
        None => Err(refuse(NOT_AUTHENTICATED)),
    }
}

fn header_refusal(error: AccessError, status: StatusCode) -> Answer {
    let text = match error {
        AccessError::Undecodable => UNDECODABLE,
        AccessError::Expired => EXPIRED,
        AccessError::Nameless => "Invalid payload.",
        AccessError::UnknownAccount => "Invalid signature.",
        AccessError::AccountDisabled => "User account is disabled.",
        AccessError::Unacceptable | AccessError::NoOrigin | AccessError::OriginTooOld => {
            "Incorrect authentication credentials."
        }
        AccessError::Failed(error) => return failure(error),
    };
    Answer::detail(status, text)
}
