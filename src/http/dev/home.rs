//! The first page, for a developer who opens the service's address in a browser.

use actix_web::HttpResponse;
use actix_web::guard::{self, GuardContext};
use actix_web::http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, VARY};
use actix_web::web::{self, Bytes, ServiceConfig};
use minijinja::{Environment, context};

use super::wants_page;
use crate::http::request::local::is_from_this_machine;

const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; \
                   frame-ancestors 'none'; base-uri 'none'";

/// Facts about this instance for the page.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The name of the service.
    pub service_name: String,
    /// The version of Hallpass.
    pub version: &'static str,
    /// True if pages of any port of this machine may call.
    pub allows_loopback_origins: bool,
    /// True if limits are reported in a header instead of enforced.
    pub reports_limits: bool,
    /// True if Swagger UI is in the binary.
    pub has_docs: bool,
}

/// Serves the page at `/` to browsers. Other clients get the response of the route behind it.
pub(super) fn configure(app: &mut ServiceConfig, facts: &Facts) {
    let page = render(facts);
    let show = move || {
        let mut response = HttpResponse::Ok();
        response.insert_header((CONTENT_SECURITY_POLICY, CSP)).insert_header((VARY, "Accept"));
        let page = response.content_type("text/html; charset=utf-8").body(page.clone());
        async move { page }
    };
    app.service(
        web::resource("/")
            .guard(guard::Any(guard::Get()).or(guard::Head()))
            .guard(guard::fn_guard(is_browser))
            .to(show),
    );
}

/// Returns whether a request comes from a browser on this machine that opens a page. A client of
/// the API sends other headers.
fn is_browser(context: &GuardContext<'_>) -> bool {
    let request = context.head();
    let headers = request.headers();
    wants_page(headers) && is_from_this_machine(request) && !headers.contains_key(AUTHORIZATION)
}

fn render(facts: &Facts) -> Bytes {
    let values = context! {
        service => &facts.service_name,
        version => facts.version,
        allows_loopback_origins => facts.allows_loopback_origins,
        reports_limits => facts.reports_limits,
        has_docs => facts.has_docs,
    };
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    let page = templates.render_str(include_str!("home.html"), values);
    page.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot render the start page");
        String::new()
    })
    .into()
}
