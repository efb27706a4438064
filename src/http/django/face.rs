//! Where the face meets actix: which requests are its, and how an answer goes out.

use std::sync::Arc;

use actix_web::guard::GuardContext;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, guard, web};

use super::{
    pages::{self, Found},
    request::Request,
    respond::Answer,
    views,
};
use crate::flows::Flows;

/// The longest header field in bytes, as in the server the reference runs under.
const MAX_HEADER_FIELD: usize = 8190;

/// Where requests of the face can be; which they are, [`pages::find`] decides.
const PATTERNS: [&str; 7] = [
    "/",
    "/.{format}",
    "/api-token-auth{rest:.*}",
    "/api-token-verify{rest:.*}",
    "/api-token-refresh{rest:.*}",
    "/restricted{rest:.*}",
    "/users{rest:.*}",
];

/// What the face works with.
pub struct Face {
    flows: Arc<Flows>,
    public_url: String,
}

impl Face {
    /// The face of these stories. `public_url` is where the service is reached.
    pub fn new(flows: Arc<Flows>, public_url: impl Into<String>) -> Self {
        Self { flows, public_url: public_url.into() }
    }
}

/// Adds the pages of the face; every method of a page comes here, so that its checks keep their order.
pub fn configure(face: Data<Face>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config.app_data(face);
        for pattern in PATTERNS {
            let page = web::resource(pattern).guard(guard::fn_guard(is_ours));
            config.service(page.route(web::route().to(answer)));
        }
    }
}

fn is_ours(context: &GuardContext<'_>) -> bool {
    pages::find(context.head().uri.path()).is_some()
}

async fn answer(request: HttpRequest, payload: Payload, face: Data<Face>) -> HttpResponse {
    let Some(Found { page, format }) = pages::find(request.uri().path()) else {
        return HttpResponse::NotFound().finish();
    };
    if has_long_field(&request) {
        let answer = Answer::detail(StatusCode::BAD_REQUEST, "A header field is too long.");
        return answer.write(&page, false, None);
    }
    let received = Request::receive(&request, payload, page, format, &face.public_url).await;
    let page = received.page.clone();
    let flows = Arc::clone(&face.flows);
    match web::block(move || views::answer(&flows, &received)).await {
        Ok(outcome) => outcome.answer.write(&page, outcome.authenticated, outcome.indent),
        Err(error) => {
            tracing::error!(%error, "a thread of the Django face did not finish");
            Answer::internal_error().write(&page, false, None)
        }
    }
}

fn has_long_field(request: &HttpRequest) -> bool {
    request
        .headers()
        .iter()
        .any(|(name, value)| name.as_str().len() + ": ".len() + value.len() > MAX_HEADER_FIELD)
}
