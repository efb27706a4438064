//! The built-in page behind the mail's link, for those without a front end. Opening it changes
//! nothing: mail scanners open links too. Its one button posts.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_LANGUAGE, CONTENT_SECURITY_POLICY};
use actix_web::{HttpRequest, HttpResponse, web};
use minijinja::{AutoEscape, Environment, context};

use super::blocking::State;
use super::body::{MAX_BODY, collect};
use super::code::Code;
use super::error::ApiError;
use crate::domain::{Language, Locale, PlainPassword, PlainToken};
use crate::flows::{Opening, Proof, VerifyEmailProof};

/// The page's path; the mail's link adds `?token=`.
pub const VERIFY_EMAIL: &str = "/verify-email";

const TEMPLATE: &str = include_str!("verify_email.html");
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                   frame-ancestors 'none'; base-uri 'none'";

/// Serves the pages.
pub fn configure(app: &mut web::ServiceConfig) {
    app.service(
        web::resource([VERIFY_EMAIL, "/verify-email/"])
            .route(web::get().to(show))
            .route(web::head().to(show))
            .route(web::post().to(submit))
            .default_service(web::to(|| async {
                Err::<String, _>(ApiError::method_not_allowed("GET, HEAD, POST".to_owned()))
            })),
    );
}

/// What the page shows.
#[derive(Clone, Copy)]
enum View {
    Form,
    WrongPassword,
    Verified,
    Expired,
    Invalid,
    TryAgain,
}

impl View {
    const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::WrongPassword => "wrong_password",
            Self::Verified => "verified",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
            Self::TryAgain => "try_again",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Form | Self::Verified => StatusCode::OK,
            Self::WrongPassword | Self::Expired | Self::Invalid => StatusCode::UNAUTHORIZED,
            Self::TryAgain => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let token = form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(name, _)| name == "token")
        .map(|(_, token)| token.into_owned());
    match token {
        Some(token) => render(&state, &request, View::Form, &token),
        None => render(&state, &request, View::Invalid, ""),
    }
}

async fn submit(
    state: web::Data<State>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let body = collect(payload.into_inner(), MAX_BODY).await?;
    let mut token = String::new();
    let mut password = String::new();
    for (name, value) in form_urlencoded::parse(&body) {
        match name.as_ref() {
            "token" => token = value.into_owned(),
            "password" => password = value.into_owned(),
            _ => {}
        }
    }
    let Ok(proof) = proof(&state, &token, &password) else {
        return render(&state, &request, View::WrongPassword, &token);
    };
    let outcome = state.run(move |flows| flows.verify_email(proof, Opening::Nothing)).await;
    let view = match outcome.map_err(|error| error.code) {
        Ok(_) => View::Verified,
        Err(Code::InvalidCredentials | Code::ProofRequired) => View::WrongPassword,
        Err(Code::OneTimeTokenExpired) => View::Expired,
        Err(Code::OneTimeTokenInvalid) => View::Invalid,
        Err(_) => View::TryAgain,
    };
    render(&state, &request, view, &token)
}

fn proof(state: &State, token: &str, password: &str) -> Result<Proof, crate::domain::Fault> {
    let token = PlainToken::presented(token);
    match state.flows.policy().verify_email_proof {
        VerifyEmailProof::Link => Ok(Proof::Link { token }),
        VerifyEmailProof::Required => {
            Ok(Proof::LinkWithPassword { token, password: PlainPassword::parse(password)? })
        }
    }
}

fn render(
    state: &State,
    request: &HttpRequest,
    view: View,
    token: &str,
) -> Result<HttpResponse, ApiError> {
    let language = request
        .headers()
        .get(ACCEPT_LANGUAGE)
        .and_then(|header| header.to_str().ok())
        .map_or(Language::default(), |header| Locale::from_accept_language(header).language());
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let html = environment.render_str(
        TEMPLATE,
        context! {
            language => language.tag(),
            service => &*state.service_name,
            view => view.name(),
            asks_password => state.flows.policy().verify_email_proof == VerifyEmailProof::Required,
            token => token,
        },
    );
    let html = html.map_err(|error| {
        tracing::error!(%error, "cannot render a page");
        Code::InternalError
    })?;
    Ok(HttpResponse::build(view.status())
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, CSP))
        .insert_header(("X-Frame-Options", "DENY"))
        .body(html))
}
