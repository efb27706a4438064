//! Strict JSON bodies: `application/json` in UTF-8, one object, no duplicate key, no unknown field,
//! limits of size, depth and time. All invalid fields are reported together, and no response
//! repeats the input.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::{AcceptedPassword, Email, Fault, PasswordPolicy, PlainPassword};
use crate::flows::FieldFault;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::strict_json;
use crate::http::serving::backpressure::Intake;
use crate::http::state::State;

/// Most reported fields. They suffice to find a typo; a response must not be many times the
/// request.
const MAX_FAULTS_TOLD: usize = 20;

/// Largest body, in bytes.
pub const MAX_BODY: usize = 16 * 1024;
/// Time-out of the body of a request.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Memory in bytes for bodies larger than [`MAX_BODY`] until they are answered. Only the Django
/// REST adapter accepts them. Clients that send a megabyte, and perhaps never its end, must not
/// exhaust the memory. Parsing takes up to eight times the size: a byte of a legacy charset may be
/// three in UTF-8.
static LARGE_BODIES: Semaphore = Semaphore::const_new(16 * 1024 * 1024);

/// A request body: its fields, parsed and validated.
pub trait Body: Sized {
    /// Takes the fields; `None` if a required one is invalid.
    fn read(fields: &mut Fields) -> Option<Self>;

    /// Reads a valid body faster, with the same result as [`Self::read`]; `None` if it is invalid,
    /// or if there is no faster way.
    fn read_typed(_: &[u8]) -> Option<Self> {
        None
    }
}

/// The fields of a JSON object, and the faults of those read so far.
pub struct Fields {
    object: Map<String, Value>,
    faults: Vec<FieldFault>,
    /// The password policy, so that its faults are reported together with the others.
    pub password_policy: PasswordPolicy,
    /// State of the service, with the rules for e-mail addresses.
    state: Option<web::Data<State>>,
}

impl Fields {
    /// Returns the fields of `object`, with the faults found so far.
    pub fn new(
        object: Map<String, Value>,
        faults: Vec<FieldFault>,
        state: Option<&web::Data<State>>,
    ) -> Self {
        Self { object, faults, password_policy: password_policy(state), state: state.cloned() }
    }

    /// Returns whether the field is present and not null.
    pub fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// Returns a required text.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.require(name).then(|| self.optional(name, parse)).flatten()
    }

    /// Returns a text that may be missing or null.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.value(name, |value| match value {
            Value::String(text) => parse(&text),
            _ => Err(Fault::WrongType),
        })
    }

    /// Returns a required value of any type.
    pub fn required_value<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> Result<T, Fault>,
    ) -> Option<T> {
        self.require(name).then(|| self.value(name, read)).flatten()
    }

    /// Returns whether the field is present, and records its absence as a fault.
    fn require(&mut self, name: &'static str) -> bool {
        let is_there = self.has(name);
        if !is_there {
            self.object.shift_remove(name);
            self.faults.push(FieldFault::new(name, Fault::Required));
        }
        is_there
    }

    /// Returns an e-mail address that a user chooses. Its domain must be permitted.
    pub fn chosen_email(&mut self, name: &'static str) -> Option<Email> {
        let state = self.state.clone();
        self.required(name, |text| {
            let email = Email::parse_typed(text)?;
            if let Some(state) = state {
                state.flows.policy().registration.check_domain(&email)?;
            }
            Ok(email)
        })
    }

    /// Returns a flag, if present.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.value(name, |value| value.as_bool().ok_or(Fault::WrongType))
    }

    /// Returns a member of a merge patch (RFC 7396): missing, null (which is `Some(None)`) or a
    /// value.
    pub fn patch<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        if self.object.get(name).is_some_and(Value::is_null) {
            self.object.shift_remove(name);
            return Some(None);
        }
        self.value(name, read).map(Some)
    }

    /// Refuses null for a field that a merge patch cannot remove.
    pub fn refuse_null(&mut self, name: &'static str) {
        if self.object.get(name).is_some_and(Value::is_null) {
            self.object.shift_remove(name);
            self.faults.push(FieldFault::new(name, Fault::WrongType));
        }
    }

    /// Returns a required new password; `email` is the user's e-mail address, if the request has
    /// it.
    pub fn new_password(
        &mut self,
        name: &'static str,
        email: Option<&Email>,
    ) -> Option<PlainPassword> {
        let policy = self.password_policy.clone();
        self.required(name, |text| {
            policy.accept(text, email, None).map(AcceptedPassword::into_plain)
        })
    }

    /// Returns a value of any type that may be missing or null.
    pub fn value<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> Result<T, Fault>,
    ) -> Option<T> {
        match self.object.shift_remove(name)? {
            Value::Null => None,
            value => match read(value) {
                Ok(value) => Some(value),
                Err(fault) => {
                    self.faults.push(FieldFault::new(name, fault));
                    None
                }
            },
        }
    }

    /// Refuses unread fields: they are unknown.
    fn finish<T>(mut self, read: Option<T>) -> Result<T, ApiError> {
        let unknown = self.object.keys().take(MAX_FAULTS_TOLD);
        self.faults.extend(
            unknown.map(|name| FieldFault::new(truncate_for_echo(name), Fault::UnknownField)),
        );
        self.finish_open(read)
    }

    /// Does the same, but permits unknown fields.
    pub fn finish_open<T>(mut self, read: Option<T>) -> Result<T, ApiError> {
        self.faults.truncate(MAX_FAULTS_TOLD);
        match read {
            Some(body) if self.faults.is_empty() => Ok(body),
            _ => Err(ApiError::invalid(self.faults)),
        }
    }
}

/// Returns a name that a client sent, truncated for the response.
fn truncate_for_echo(name: &str) -> String {
    name.chars().take(100).collect()
}

/// A body of type `T`, extracted from a request.
pub struct Json<T>(pub T);

impl<T: Body> FromRequest for Json<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(request);
        let may_be_empty = request.method() == Method::DELETE;
        let body = collect_small(request, payload);
        let request = request.clone();
        Box::pin(async move {
            if !is_json && !may_be_empty {
                return Err(Code::UnsupportedMediaType.into());
            }
            let body = body.await?;
            if is_json && let Some(read) = T::read_typed(&body.bytes) {
                return Ok(Self(read));
            }
            let object = if body.bytes.is_empty() && may_be_empty {
                Map::new()
            } else if is_json {
                strict_json::parse_object(&body.bytes).ok_or(Code::MalformedRequest)?
            } else {
                return Err(Code::UnsupportedMediaType.into());
            };
            let mut fields = Fields::new(object, Vec::new(), request.app_data());
            let read = T::read(&mut fields);
            fields.finish(read).map(Json)
        })
    }
}

/// The parameters of a query, parsed like the fields of a body: an unknown one is refused.
pub struct Query<T>(pub T);

impl<T: Body> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut faults = Vec::new();
        let mut object = Map::new();
        for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
            if object.insert(name.to_string(), value.as_ref().into()).is_some() {
                faults.push(FieldFault::new(truncate_for_echo(&name), Fault::InvalidFormat));
            }
        }
        let mut fields = Fields::new(object, faults, request.app_data());
        let read = T::read(&mut fields);
        ready(fields.finish(read).map(Query))
    }
}

fn password_policy(state: Option<&web::Data<State>>) -> PasswordPolicy {
    state.map(|state| state.flows.policy().password.clone()).unwrap_or_default()
}

/// Returns whether the body is `application/json`, without a charset or in UTF-8, or for a change a
/// merge patch (RFC 7396).
fn is_json(request: &HttpRequest) -> bool {
    let is_patch = request.method() == Method::PATCH;
    let fits = |kind: &str| {
        kind == "application/json" || (is_patch && kind == "application/merge-patch+json")
    };
    let content_type = request.headers().get(CONTENT_TYPE);
    // What most clients send needs no parser.
    let is_json = content_type.is_some_and(|it| it == "application/json")
        || matches!(
            request.mime_type(),
            Ok(Some(mime)) if fits(mime.essence_str())
                && mime.get_param("charset").is_none_or(|charset| charset.as_str().eq_ignore_ascii_case("utf-8"))
        );
    is_json && !request.headers().contains_key(CONTENT_ENCODING)
}

/// A received body.
#[derive(Debug, Default)]
pub struct Collected {
    /// Its bytes.
    pub bytes: web::BytesMut,
    /// Its share of [`LARGE_BODIES`].
    place: Option<SemaphorePermit<'static>>,
}

impl Collected {
    fn add(&mut self, chunk: &[u8]) -> Result<(), Code> {
        let length = self.bytes.len() + chunk.len();
        let beyond = length.saturating_sub(self.bytes.len().max(MAX_BODY));
        let beyond = u32::try_from(beyond).map_err(|_| Code::PayloadTooLarge)?;
        let more = LARGE_BODIES.try_acquire_many(beyond).map_err(|_| Code::Overloaded)?;
        match &mut self.place {
            Some(place) => place.merge(more),
            None => self.place = Some(more),
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

/// Receives the body of a request, of at most [`MAX_BODY`] bytes.
pub fn collect_small(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Collected, ApiError>> + use<> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let is_too_large = announced
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .is_some_and(|length| length > MAX_BODY);
    let (intake, payload) = (Intake::of(request), payload.take());
    async move {
        if is_too_large {
            return Err(Code::PayloadTooLarge.into());
        }
        collect(&intake, payload, MAX_BODY).await
    }
}

/// Receives a body of at most `limit` bytes within the time limit.
pub async fn collect(
    intake: &Intake,
    payload: Payload,
    limit: usize,
) -> Result<Collected, ApiError> {
    let _reading = intake.reading_body();
    let body = tokio::time::timeout(BODY_TIMEOUT, collect_all(payload, limit))
        .await
        .map_err(|_| Code::RequestTimeout)??;
    intake.set_body_read();
    Ok(body)
}

async fn collect_all(mut payload: Payload, limit: usize) -> Result<Collected, ApiError> {
    let mut body = Collected::default();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Code::MalformedRequest)?;
        if body.bytes.len() + chunk.len() > limit {
            return Err(Code::PayloadTooLarge.into());
        }
        body.add(&chunk)?;
    }
    Ok(body)
}
