//! Routes of the adapter in actix, and the sending of its responses.

use std::sync::LazyLock;

use actix_web::guard::GuardContext;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, guard, web};

use crate::drf::flows::DrfFlows;
use crate::drf::http::answers::no_answer;
use crate::drf::http::authentication::Schemes;
use crate::drf::http::pages::{self, Page};
use crate::drf::http::request::Request;
use crate::drf::http::respond::Answer;
use crate::drf::http::users;
use crate::drf::http::views;
use crate::drf::token::DrfTokens;
use crate::flows::Flows;
use crate::http::operations::{self, OfPath, Operation};
use crate::http::request::client::Client;
use crate::http::state::State;

/// Longest header field in bytes, as in the server of the reference.
const MAX_HEADER_FIELD: usize = 8190;

/// Patterns of possible pages of the adapter; [`pages::find`] decides.
const PATTERNS: [&str; 7] = [
    "/",
    "/.{format}",
    "/api-token-auth{rest:.*}",
    "/api-token-verify{rest:.*}",
    "/api-token-refresh{rest:.*}",
    "/restricted{rest:.*}",
    "/users{rest:.*}",
];

/// Paths and methods with their own metrics.
const COUNTED_PATHS: [&str; 5] =
    ["/api-token-auth", "/api-token-verify", "/api-token-refresh", "/restricted", "/users"];
const COUNTED_METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Operations of the adapter with their own metrics.
pub static OPERATIONS: LazyLock<Vec<Operation>> =
    LazyLock::new(|| operations::undocumented(&COUNTED_PATHS, &COUNTED_METHODS));

/// The adapter's settings and tokens.
pub struct DrfAdapter {
    public_url: String,
    schemes: Schemes,
    tokens: DrfTokens,
}

impl DrfAdapter {
    /// Returns the adapter of a service at `public_url`, for `tokens` with these schemes.
    pub fn new(public_url: &str, schemes: Schemes, tokens: DrfTokens) -> Self {
        Self { public_url: public_url.to_owned(), schemes, tokens }
    }
}

/// Registers the pages of the adapter. All methods of a page come here, so that the checks keep
/// their order.
pub fn configure(app: &mut ServiceConfig, adapter: Data<DrfAdapter>) {
    app.app_data(adapter);
    for pattern in PATTERNS {
        let path = pattern.strip_suffix("{rest:.*}").unwrap_or(pattern);
        let page = web::resource(pattern).guard(guard::fn_guard(is_ours));
        let page = page.app_data(OfPath::new(&OPERATIONS, path));
        app.service(page.route(web::route().to(answer)));
    }
}

fn is_ours(context: &GuardContext<'_>) -> bool {
    pages::find(context.head().uri.path()).is_some()
}

async fn answer(
    request: HttpRequest,
    payload: Payload,
    adapter: Data<DrfAdapter>,
    state: Data<State>,
    Client(device): Client,
) -> HttpResponse {
    let Some(found) = pages::find(request.uri().path()) else {
        return Answer::not_found().write(&Page::Missing);
    };
    let page = found.page.clone();
    if has_long_field(&request) {
        let answer = Answer::detail(StatusCode::BAD_REQUEST, "A header field is too long.");
        return answer.write(&page);
    }
    let received = Request::receive(&request, payload, found, device, &adapter.public_url).await;
    let (origin, is_head) = (received.origin.clone(), received.method == "HEAD");
    let core_adapter = adapter.clone();
    let answer = move |flows: &Flows| {
        let flows = DrfFlows::new(flows, &core_adapter.tokens);
        Ok(views::answer(flows, &received, core_adapter.schemes))
    };
    match state.run(answer).await {
        // A response to HEAD has no body, so nothing more is read for it.
        Ok(answer) => match answer.next().filter(|_| !is_head) {
            None => answer.write(&page),
            Some(next) => {
                let rest = users::rest_of_list(state, next, origin);
                answer.write_with(&page, rest)
            }
        },
        Err(error) => no_answer(error.code).write(&page),
    }
}

fn has_long_field(request: &HttpRequest) -> bool {
    request
        .headers()
        .iter()
        .any(|(name, value)| name.as_str().len() + ": ".len() + value.len() > MAX_HEADER_FIELD)
}
