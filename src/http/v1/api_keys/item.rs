//! An API key, in the form for superusers.

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::{ApiKey, Scope};
use crate::http::schema::open_words;
use crate::http::v1::time::rfc3339;

/// The scopes of keys, as a type of the document.
pub struct ApiKeyScope;

impl PartialSchema for ApiKeyScope {
    fn schema() -> RefOr<Schema> {
        let description = format!("A right of a key. More scopes may come.\n{}", meanings());
        open_words(Scope::ALL.iter().map(|scope| scope.name()), &description)
    }
}

impl ToSchema for ApiKeyScope {}

/// A scope that can be asked for. Unlike in responses, a new one breaks no client.
pub struct RequestedScope;

impl PartialSchema for RequestedScope {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(format!("A right of a key.\n{}", meanings())))
            .enum_values(Some(Scope::ALL.iter().map(|scope| scope.name())))
            .into()
    }
}

impl ToSchema for RequestedScope {}

fn meanings() -> String {
    let line = |scope: &Scope| format!("\n- `{}`: {}", scope.name(), scope.meaning());
    Scope::ALL.iter().map(line).collect()
}

/// An API key. Its secret is shown once, at creation.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyItem {
    /// The id of the key.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a13")]
    id: String,
    /// The name that its creator gave it.
    #[schema(example = "billing")]
    name: String,
    /// The rights of the key.
    #[schema(value_type = Vec<ApiKeyScope>, example = json!(["introspect"]))]
    scopes: Vec<&'static str>,
    /// The id of the superuser who created it; null for the command line.
    #[schema(example = 1)]
    created_by: Option<i64>,
    /// Time of its creation (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    created_at: String,
    /// Time of its expiry (RFC 3339, UTC); null if it does not expire.
    #[schema(format = "date-time", example = "2027-11-23T08:00:00.000000Z")]
    expires_at: Option<String>,
    /// Time of its last use, to within a minute (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    last_used_at: Option<String>,
    /// Time of its revocation (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-24T08:00:00.000000Z")]
    revoked_at: Option<String>,
}

impl From<ApiKey> for ApiKeyItem {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.0,
            name: key.name,
            scopes: key.scopes.into_iter().map(Scope::name).collect(),
            created_by: key.created_by.map(|id| id.0),
            created_at: rfc3339(key.created_at),
            expires_at: key.expires_at.map(rfc3339),
            last_used_at: key.last_used_at.map(rfc3339),
            revoked_at: key.revoked_at.map(rfc3339),
        }
    }
}
