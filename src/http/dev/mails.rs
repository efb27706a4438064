//! `GET /dev/mails`: every mail that was sent, as a page and as JSON. Developers and end-to-end
//! tests need no mail server.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderName, VARY};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::mailbox::{DevMail, DevMailbox, Filter};
use super::wants_page;
use crate::domain::Fault;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Query};
use crate::http::request::local::is_from_this_machine;
use crate::http::serving::resource::readable;
use crate::http::state::State;

/// The path of the mails.
pub const PATH: &str = "/dev/mails";
const SCRIPT_PATH: &str = "/dev/mails.js";

/// The longest time that a request waits for a mail.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The mails are shown in frames without scripts; their links open in new tabs.
const CSP: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
                   style-src 'unsafe-inline'; img-src data: https:; form-action 'none'; \
                   frame-ancestors 'none'; base-uri 'none'";
const RESOURCE_POLICY: (HeaderName, &str) =
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin");

/// Registers the routes.
pub(super) fn configure(app: &mut ServiceConfig) {
    app.service(readable(web::resource([PATH.to_owned(), format!("{PATH}/")]), show));
    app.service(readable(web::resource(SCRIPT_PATH), script));
}

/// Query parameters: a selection of mails, and the time to wait for one.
struct MailsQuery {
    filter: Filter,
    wait: Duration,
}

impl Body for MailsQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        let to = fields.optional("to", |text| Ok(text.to_owned()));
        let after = fields.optional("after", |text| Ok(text.to_owned()));
        let wait = fields.optional("wait", |text| match humantime::parse_duration(text) {
            Ok(wait) if wait <= MAX_WAIT => Ok(wait),
            _ => Err(Fault::InvalidFormat),
        });
        Some(Self { filter: Filter { to, after }, wait: wait.unwrap_or_default() })
    }
}

#[derive(Serialize)]
struct Mails {
    mails: Vec<Arc<DevMail>>,
}

async fn show(
    request: HttpRequest,
    state: Data<State>,
    mailbox: Data<DevMailbox>,
    query: Result<Query<MailsQuery>, ApiError>,
) -> Result<HttpResponse, ApiError> {
    refuse_others(&request)?;
    let Query(MailsQuery { filter, wait }) = query?;
    let mut response = HttpResponse::Ok();
    response.insert_header((VARY, "Accept")).insert_header(RESOURCE_POLICY);
    if wants_page(request.headers()) {
        return Ok(response
            .insert_header((CONTENT_SECURITY_POLICY, CSP))
            .content_type("text/html; charset=utf-8")
            .body(include_str!("mails.html")));
    }
    let is_stopping = || state.draining.has_begun();
    Ok(response.json(Mails { mails: mailbox.wait_for(&filter, wait, is_stopping).await }))
}

async fn script(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    refuse_others(&request)?;
    Ok(HttpResponse::Ok()
        .insert_header(RESOURCE_POLICY)
        .content_type("text/javascript; charset=utf-8")
        .body(include_str!("mails.js")))
}

/// Refuses a request that does not come from this machine.
///
/// # Errors
/// [`Code::OriginRejected`].
fn refuse_others(request: &HttpRequest) -> Result<(), ApiError> {
    if is_from_this_machine(request.head()) { Ok(()) } else { Err(Code::OriginRejected.into()) }
}
