//! Middleware around every request: a response even to a panic, an id, security headers, a line in
//! the log.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_cors::CorsError;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use tracing::{Instrument as _, Level, Span};

use crate::domain::{Device, LimitReports};
use crate::flows::LimitReport;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::metrics::Metrics;
use crate::http::operations;
use crate::http::request::client;
use crate::http::request::local::is_from_this_machine;
use crate::http::serving::backpressure::{AnswerBody, CountGuard, Intake};
use crate::http::serving::cors;
use crate::http::serving::production_limit;
use crate::http::serving::request_id::{self, RequestIds, X_REQUEST_ID};
use crate::http::state::State;
use crate::http::v1::services::forward_auth;
use crate::telemetry::REFUSALS;

/// True if clients reach the service over TLS.
#[derive(Clone, Copy, Debug)]
pub struct Https(pub bool);

/// Turns a panic into an error. It has to run within CORS, or permitted pages could not read the
/// response.
pub async fn catch_panic(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let answer = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    // The panic hook has logged the place.
    answer.unwrap_or_else(|_| Err(ApiError::from(Code::InternalError).into()))
}

/// Wraps every request.
pub async fn surround(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    // The request must not be cloned before it is routed, so a refusal without a response of its
    // own becomes an error with one.
    let exchange = Exchange::begin(&request);
    if forward_auth::is_asked_at(request.path()) {
        // The preflight of a request to a proxied application is not one to this service: CORS
        // would let it pass.
        request.headers_mut().remove(ACCESS_CONTROL_REQUEST_METHOD);
    }
    cors::drop_empty_elements(request.headers_mut());
    let foreign_origin = exchange.foreign_origin(&request);
    let around = &exchange.around;
    let answer = next.call(request).instrument(around.span.clone());
    let answer = production_limit::scope(exchange.report.clone(), answer);
    let answer = request_id::scope(around.ids.clone(), answer).await;
    if let Some(origin) = foreign_origin {
        around.span.in_scope(|| log_foreign_origin(&origin));
    }
    match answer.map(|response| (cors_error(&response), response)) {
        Ok((None, response)) => Ok(exchange.complete(response).await),
        // Preflights are handled before routing.
        Ok((Some(cause), response)) => Err(exchange.refuse_preflight(&cause, response.request())),
        Err(error) => Err(exchange.refuse(None, error)),
    }
}

/// A request and its response.
struct Exchange {
    state: Option<web::Data<State>>,
    around: Surroundings,
    report: LimitReport,
    answering: CountGuard,
    /// actix-http ends the connection after a request for another protocol, such as the `h2c` of
    /// Java's client, but says `upgrade`: the next request of the client was lost.
    asks_for_upgrade: bool,
}

impl Exchange {
    fn begin(request: &ServiceRequest) -> Self {
        let https = request.app_data::<Https>().copied().unwrap_or(Https(false));
        let state = request.app_data::<web::Data<State>>().cloned();
        let around = Surroundings::of(request, state.as_ref().map(web::Data::get_ref), https);
        let report = match state.as_ref().map(|state| state.flows.policy().limit_reports) {
            Some(LimitReports::Always) => LimitReport::open(),
            Some(LimitReports::FromThisMachine) if is_from_this_machine(request.head()) => {
                LimitReport::open()
            }
            _ => LimitReport::default(),
        };
        let answering = Intake::answering(request);
        Self { state, around, report, answering, asks_for_upgrade: request.head().upgrade() }
    }

    /// Returns the origin of a page that may not read the response. A proxy forwards that of the
    /// application's own page.
    fn foreign_origin(&self, request: &ServiceRequest) -> Option<String> {
        let state = self.state.as_ref().filter(|_| !forward_auth::is_asked_at(request.path()))?;
        state.browsers.foreign_origin(request.headers())
    }

    /// Logs and counts a response, adds its headers, and holds it back if it asks to wait.
    async fn complete<B>(self, mut response: ServiceResponse<B>) -> ServiceResponse<AnswerBody>
    where
        B: MessageBody + 'static,
    {
        let started = self.around.started;
        self.around.span.in_scope(|| {
            log_undocumented(&response);
            let code = api_error(&response).map(|error| error.code);
            log(Some(response.request()), response.status(), code, started);
        });
        if let Some(state) = &self.state {
            count(&state.metrics, &response, started);
        }
        self.around.add_headers(response.headers_mut());
        self.finish(response.response_mut());
        if let Some(state) = self.state.filter(|_| asks_to_wait(&response)) {
            state.refusal_pause.hold_back().await;
        }
        response.map_body(|_, body| AnswerBody::new(body.boxed(), self.answering))
    }

    fn refuse_preflight(self, cause: &CorsError, preflight: &HttpRequest) -> Error {
        if let Some(state) = &self.state {
            let allowed = &state.browsers.headers;
            self.around.span.in_scope(|| log_preflight(cause, preflight, allowed));
        }
        self.refuse(Some(preflight), cors::refusal(cause).into())
    }

    fn refuse(self, request: Option<&HttpRequest>, error: Error) -> Error {
        let metrics = self.state.as_ref().map(|state| &*state.metrics);
        let mut response = self.around.refusal(request, &error, metrics);
        self.finish(&mut response);
        InternalError::from_response(error, response).into()
    }

    /// Adds what depends on the connection and on the limits to a response.
    fn finish<B>(&self, response: &mut HttpResponse<B>) {
        production_limit::add_to(response.headers_mut(), &self.report);
        let is_draining = self.state.as_ref().is_some_and(|state| state.draining.has_begun());
        if self.asks_for_upgrade || is_draining {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
    }
}

/// Returns whether a response is a refusal that asks its client to wait, because of a limit or of
/// the load. Reads get theirs at once, and so do requests that the database could not serve.
fn asks_to_wait(response: &ServiceResponse<impl MessageBody>) -> bool {
    let asks = match response.status() {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => {
            api_error(response).is_none_or(|error| error.code != Code::Unavailable)
        }
        _ => false,
    };
    asks && !response.request().method().is_safe()
}

/// Headers and log fields of every response.
pub struct Surroundings {
    ids: RequestIds,
    span: Span,
    started: Instant,
    https: Https,
}

impl Surroundings {
    /// Returns those of a malformed request.
    pub fn new(https: Https) -> Self {
        Self::with(RequestIds::random(), https)
    }

    /// Returns those of a request, with the ids that a trusted proxy sent.
    fn of(request: &ServiceRequest, state: Option<&State>, https: Https) -> Self {
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        let is_of_proxy = state.zip(peer).is_some_and(|(state, peer)| state.trusts(peer));
        if is_of_proxy {
            return Self::with(RequestIds::of_proxy(request.headers()), https);
        }
        if let Some((state, peer)) = state.zip(peer) {
            warn_of_ignored_header(state, peer, request.headers());
        }
        Self::new(https)
    }

    fn with(ids: RequestIds, https: Https) -> Self {
        let span = tracing::info_span!(
            "request",
            request_id = %ids.request_id,
            trace_id = ids.trace_id,
            // Recorded once a handler asks for the client.
            network = tracing::field::Empty
        );
        Self { ids, span, started: Instant::now(), https }
    }

    /// Returns the response to a request without an endpoint.
    pub fn refusal(
        &self,
        request: Option<&HttpRequest>,
        error: &Error,
        metrics: Option<&Metrics>,
    ) -> HttpResponse {
        let mut response = request_id::scope_sync(self.ids.clone(), || error.error_response());
        let status = response.status();
        let code = error.as_error::<ApiError>().map(|error| error.code);
        self.span.in_scope(|| log(request, status, code, self.started));
        if let Some(metrics) = metrics {
            metrics.count(None, status, code, self.started.elapsed());
        }
        self.add_headers(response.headers_mut());
        response
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        let mut default = |name: HeaderName, value: &'static str| {
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        };
        default(X_CONTENT_TYPE_OPTIONS, "nosniff");
        default(REFERRER_POLICY, "no-referrer");
        default(CACHE_CONTROL, "no-store");
        if self.https.0 {
            default(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
        }
        if let Ok(id) = HeaderValue::from_str(&self.ids.request_id) {
            headers.insert(X_REQUEST_ID, id);
        }
    }
}

fn cors_error<B>(response: &ServiceResponse<B>) -> Option<CorsError> {
    response.response().error().and_then(|error| error.as_error::<CorsError>()).cloned()
}

/// Logs an error that the document does not promise for this operation: a bug. The client still
/// receives it; the tests compare every response with the document.
fn log_undocumented<B>(response: &ServiceResponse<B>) {
    let Some(code) = api_error(response).map(|error| error.code) else { return };
    let Some(operation) = operations::of_request(response.request()) else { return };
    if !operation.promises(code) {
        let (method, path) = (operation.method.as_str(), operation.path.as_str());
        tracing::error!(code = code.name(), method, path, "undocumented error code");
    }
}

fn api_error<B>(response: &ServiceResponse<B>) -> Option<&ApiError> {
    response.response().error().and_then(|error| error.as_error())
}

fn count<B>(metrics: &Metrics, response: &ServiceResponse<B>, started: Instant) {
    let code = api_error(response).map(|error| error.code);
    let operation = operations::of_request(response.request()).map(|it| it.index);
    metrics.count(operation, response.status(), code, started.elapsed());
}

/// Logs one line per request. Refusals are logged by default: their responses contain the request
/// id, which users quote to the operator. The path is logged as its pattern, never with the query.
fn log(request: Option<&HttpRequest>, status: StatusCode, code: Option<Code>, started: Instant) {
    let is_success = !status.is_client_error() && !status.is_server_error();
    if is_success && !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let method = request.map_or("-", |request| request.method().as_str());
    let pattern = request.and_then(HttpRequest::match_pattern);
    let path = pattern.as_deref().map_or("-", |it| it.strip_suffix("{rest:.*}").unwrap_or(it));
    // The log has no integers of 128 bits: they would become text.
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let code = code.map(Code::name);
    let number = status.as_u16();
    if status.is_server_error() {
        tracing::warn!(method, path, status = number, code, micros, "request failed");
    } else if status.is_client_error() {
        tracing::info!(target: REFUSALS, method, path, status = number, code, micros, "request refused");
    } else {
        tracing::debug!(method, path, status = number, micros, "request");
    }
}

/// Logs a foreign origin: the browser does not give its page a reason.
fn log_foreign_origin(origin: &str) {
    tracing::info!(
        target: REFUSALS,
        origin,
        setting = "HALLPASS_CORS_ORIGINS",
        "pages of this origin may not read responses: the setting does not name it"
    );
}

/// Logs a refused preflight of a page of a permitted origin, with the setting that would permit it.
fn log_preflight(cause: &CorsError, preflight: &HttpRequest, allowed: &[String]) {
    let headers = preflight.headers();
    match cause {
        CorsError::HeadersNotAllowed => tracing::info!(
            target: REFUSALS,
            headers = cors::refused_headers(headers, allowed).join(", "),
            setting = "HALLPASS_CORS_HEADERS",
            "pages may not send these request headers: the setting does not name them"
        ),
        CorsError::MethodNotAllowed => tracing::info!(
            target: REFUSALS,
            "pages may not use the method that a preflight asked for"
        ),
        _ => {}
    }
}

/// Logs once that a forwarding header was ignored: without `HALLPASS_TRUSTED_PROXIES` all clients
/// share the limits of one address, and no other symptom shows it.
fn warn_of_ignored_header(state: &State, peer: IpAddr, headers: &HeaderMap) {
    if let Some(header) = client::forwarding_header(headers)
        && state.is_first_ignored_header()
    {
        let network = Device::of("", Some(peer)).network;
        tracing::warn!(
            header = header.as_str(),
            peer = network,
            "a forwarded header is ignored: HALLPASS_TRUSTED_PROXIES does not name the peer that sent \
             it. If that is your reverse proxy, all clients share the limits of its address"
        );
    }
}
