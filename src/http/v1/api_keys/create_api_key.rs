//! `POST /v1/api-keys`

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::{ApiKey, Fault, Length, PlainPassword, Scope};
use crate::flows::{self, Flows, NewApiKey};
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::state::State;
use crate::http::v1::api_keys::item::{ApiKeyItem, RequestedScope};

/// Shortest lifetime of a key, in seconds.
const MIN_LIFETIME: u64 = 60;

/// An API key to be created.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `Order` is read from")]
pub struct CreateApiKeyRequest {
    /// A name that says which service holds the key.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$",
        example = "billing"
    )]
    name: String,
    /// The rights of the key.
    #[schema(min_items = 1, max_items = 4, example = json!(["introspect"]))]
    scopes: Vec<RequestedScope>,
    /// Seconds until the key expires. Not given: it does not expire.
    #[schema(minimum = 60, maximum = 315_619_200, example = 31_536_000)]
    expires_in: Option<u64>,
    /// The password. Required unless the log-in is recent.
    #[schema(
        format = "password",
        min_length = 1,
        max_length = 1024,
        example = "plum tree at dusk"
    )]
    password: Option<String>,
}

/// The parsed request.
pub struct Order {
    new: NewApiKey,
    password: Option<PlainPassword>,
}

impl Body for Order {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", ApiKey::parse_name);
        let scopes = fields.required_value("scopes", read_scopes);
        let lifetime = fields.value("expires_in", |value| match whole_number(&value) {
            Some(seconds @ MIN_LIFETIME..) if seconds <= ApiKey::MAX_LIFETIME.as_secs() => {
                Ok(Duration::from_secs(seconds))
            }
            Some(_) => Err(Fault::InvalidFormat),
            None => Err(Fault::WrongType),
        });
        let password = fields.optional("password", PlainPassword::parse);
        Some(Self { new: NewApiKey { name: name?, scopes: scopes?, lifetime }, password })
    }
}

/// Returns a number that is whole. `60.0` is one: JSON has a single kind of number.
fn whole_number(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.is_f64().then(|| value.to_string())?.strip_suffix(".0")?.parse().ok())
}

fn read_scopes(value: Value) -> Result<Vec<Scope>, Fault> {
    let Value::Array(names) = value else { return Err(Fault::WrongType) };
    if names.is_empty() {
        return Err(Fault::Required);
    }
    if names.len() > Scope::ALL.len() {
        return Err(Fault::TooLong(Length::Items(Scope::ALL.len())));
    }
    let scope = |name: &Value| {
        Scope::from_name(name.as_str().ok_or(Fault::WrongType)?).ok_or(Fault::InvalidFormat)
    };
    names.iter().map(scope).collect()
}

/// A new API key with its secret.
#[derive(Serialize, ToSchema)]
pub struct CreatedApiKey {
    /// The secret, for `Authorization: Bearer`. It is shown once and not stored.
    #[schema(example = "hpk_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo")]
    secret: String,
    /// The key.
    api_key: ApiKeyItem,
}

impl From<flows::CreatedApiKey> for CreatedApiKey {
    fn from(created: flows::CreatedApiKey) -> Self {
        Self { secret: created.secret.expose().to_owned(), api_key: created.key.into() }
    }
}

#[utoipa::path(
    post,
    path = "/v1/api-keys",
    operation_id = "createApiKey",
    tag = "api_keys",
    summary = "Create an API key",
    description = "For superusers, right after a log-in or with the password. A key has scopes and may expire; only a hash of its secret is stored.",
    request_body(content = CreateApiKeyRequest, example = json!({"name": "billing", "scopes": ["introspect"], "expires_in": 31_536_000})),
    responses((status = 201, description = "The key and its secret.", body = CreatedApiKey)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "reauth_required", "invalid_credentials", "rate_limited"])))
)]
/// Creates an API key.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    Json(Order { new, password }): Json<Order>,
) -> Result<HttpResponse, ApiError> {
    let create =
        move |flows: &Flows| flows.create_api_key(&claims, new, password.as_ref(), &device);
    let created = state.run(create).await?;
    Ok(HttpResponse::Created().json(CreatedApiKey::from(created)))
}
