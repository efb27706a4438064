//! Built-in pages for the links of mails, for services without a front end. Opening one changes
//! nothing, as mail scanners open links, too; its one button sends a POST.

mod not_me;
mod password_reset;
mod texts;
mod verify_email;

use std::future::Future;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_SECURITY_POLICY;
use actix_web::{HttpRequest, HttpResponse, web};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use self::texts::Texts;
use super::code::Code;
use super::error::ApiError;
use super::request::body::{MAX_BODY, collect};
use super::request::client::{Client, accepted_locale};
use super::state::State;
use crate::domain::{Device, PlainToken, VerifyEmailProof};
use crate::http::serving::backpressure::Intake;

/// The path of the page that verifies an e-mail address; as for all pages, the mail's link adds
/// `?token=`.
pub const VERIFY_EMAIL: &str = "/verify-email";
/// The path of the page that sets a new password.
pub const PASSWORD_RESET: &str = "/password-reset";
/// The path of the page that reports unauthorized activity.
pub const NOT_ME: &str = "/not-me";

const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                   frame-ancestors 'none'; base-uri 'none'";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, source) in [
        ("layout", include_str!("layout.html")),
        (VERIFY_EMAIL, include_str!("verify_email.html")),
        (PASSWORD_RESET, include_str!("password_reset.html")),
        (NOT_ME, include_str!("not_me.html")),
    ] {
        if let Err(error) = templates.add_template(name, source) {
            tracing::error!(name, %error, "a built-in page cannot be read");
        }
    }
    templates
});

/// Registers the pages.
pub fn configure(app: &mut web::ServiceConfig) {
    serve(app, VERIFY_EMAIL, verify_email::act);
    serve(app, PASSWORD_RESET, password_reset::act);
    serve(app, NOT_ME, not_me::act);
}

/// Fields of a submitted form.
struct Form {
    token: PlainToken,
    password: String,
    device: Device,
}

/// View of a page: its name in the template, and its status.
#[derive(Clone, Copy)]
struct View(&'static str, StatusCode);

impl View {
    const FORM: Self = Self("form", StatusCode::OK);
    const DONE: Self = Self("done", StatusCode::OK);

    /// Returns the view of a failure that every page can have.
    fn of(code: Code) -> Self {
        match code {
            Code::OneTimeTokenExpired => Self("expired", code.status()),
            Code::OneTimeTokenInvalid => Self("invalid", code.status()),
            _ => Self("try_again", code.status()),
        }
    }
}

/// Serves a page: its form to GET, the result of `act` to POST.
fn serve<A, F>(app: &mut web::ServiceConfig, path: &'static str, act: A)
where
    A: Fn(web::Data<State>, Form) -> F + Copy + 'static,
    F: Future<Output = View> + 'static,
{
    let show = move |state: web::Data<State>, request: HttpRequest| async move {
        match token_of_query(&request) {
            Some(token) => render(&state, &request, path, View::FORM, &token),
            None => render(&state, &request, path, View::of(Code::OneTimeTokenInvalid), ""),
        }
    };
    let submit = move |state: web::Data<State>,
                       request: HttpRequest,
                       Client(device): Client,
                       payload: web::Payload| async move {
        let body = collect(&Intake::of(&request), payload.into_inner(), MAX_BODY).await?;
        let form = Form { device, ..read_form(&body.bytes) };
        let token = form.token.clone();
        let view = act(state.clone(), form).await;
        render(&state, &request, path, view, token.expose())
    };
    app.service(
        web::resource([path.to_owned(), format!("{path}/")])
            .route(web::get().to(show))
            .route(web::head().to(show))
            .route(web::post().to(submit))
            .default_service(web::to(|| async {
                Err::<String, _>(ApiError::method_not_allowed("GET, HEAD, POST".to_owned()))
            })),
    );
}

fn token_of_query(request: &HttpRequest) -> Option<String> {
    form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(name, _)| name == "token")
        .map(|(_, token)| token.into_owned())
}

fn read_form(body: &[u8]) -> Form {
    let field = |wanted: &str| {
        form_urlencoded::parse(body)
            .filter(|(name, _)| name == wanted)
            .last()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    Form {
        token: PlainToken::presented(field("token")),
        password: field("password"),
        device: Device::default(),
    }
}

fn render(
    state: &State,
    request: &HttpRequest,
    page: &str,
    View(view, status): View,
    token: &str,
) -> Result<HttpResponse, ApiError> {
    let language = accepted_locale(request).language();
    let policy = state.flows.policy();
    let values = context! {
        language => language.tag(),
        texts => Texts::of(language),
        service => &*state.service_name,
        view,
        asks_password => policy.verify_email_proof == VerifyEmailProof::Required,
        min_length => policy.password.min_length,
        token,
    };
    let html = TEMPLATES.get_template(page).and_then(|template| template.render(values));
    let html = html.map_err(|error| {
        tracing::error!(%error, "cannot render a page");
        Code::InternalError
    })?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, CSP))
        .insert_header(("X-Frame-Options", "DENY"))
        .body(html))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Language;

    const VIEWS: [&str; 10] = [
        "form",
        "done",
        "expired",
        "invalid",
        "try_again",
        "too_short",
        "too_long",
        "too_common",
        "breached",
        "too_similar",
    ];

    /// Returns the texts between the tags of a page.
    fn texts(page: &str, view: &str, language: Language) -> Vec<String> {
        let values = context! {
            language => language.tag(), texts => Texts::of(language), service => "", view,
            asks_password => true, min_length => 15, token => "",
        };
        let html = TEMPLATES.get_template(page).unwrap().render(values).unwrap();
        let (_, body) = html.split_once("<main>").unwrap();
        let texts = body.split('<').filter_map(|part| part.split_once('>'));
        texts.map(|(_, text)| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn every_text_of_a_page_is_translated() {
        for page in [VERIFY_EMAIL, PASSWORD_RESET, NOT_ME] {
            for view in VIEWS {
                let english = texts(page, view, Language::English);
                assert!(!english.is_empty(), "{page}, {view}");
                for language in Language::ALL.into_iter().filter(|it| *it != Language::English) {
                    let translated = texts(page, view, language);
                    assert_eq!(translated.len(), english.len(), "{page}, {view}, {language:?}");
                    for text in &translated {
                        assert!(!english.contains(text), "{page}, {view}, {language:?}: {text}");
                    }
                }
            }
        }
    }
}
