//! The JSON that commands print: the same objects as in responses.

use serde::Serialize;

use crate::domain::{ApiKey, ApiKeyId, User, UserId};
use crate::flows::CreatedApiKey;
use crate::http::v1::account::user::Account;
use crate::http::v1::api_keys::create_api_key::CreatedApiKey as CreatedApiKeyItem;
use crate::http::v1::api_keys::item::ApiKeyItem;

/// Returns API keys as a JSON array.
pub fn api_keys(keys: Vec<ApiKey>) -> String {
    pretty(&keys.into_iter().map(ApiKeyItem::from).collect::<Vec<_>>())
}

/// Returns an account as a JSON object.
pub fn account(user: User) -> String {
    pretty(&Account::from(user))
}

/// Returns accounts as a JSON array.
pub fn accounts(users: Vec<User>) -> String {
    pretty(&users.into_iter().map(Account::from).collect::<Vec<_>>())
}

/// Returns the JSON object of a created API key, with its secret.
pub fn created_api_key(created: CreatedApiKey) -> String {
    pretty(&CreatedApiKeyItem::from(created))
}

/// Returns the JSON object of an API key that is revoked.
pub fn revoked_api_key(id: &ApiKeyId) -> String {
    pretty(&serde_json::json!({"id": id.as_str(), "revoked": true}))
}

/// Returns the JSON object of an account that was deleted.
pub fn deleted(id: UserId) -> String {
    pretty(&serde_json::json!({"user_id": id.0, "deleted": true}))
}

fn pretty(value: &impl Serialize) -> String {
    // Numbers and texts can always be serialized.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
