//! The JSON that commands print: the same objects as in responses.

use serde::Serialize;

use crate::domain::{ApiKey, User};
use crate::http::v1::account::user::Account;
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

fn pretty(value: &impl Serialize) -> String {
    // Numbers and texts can always be serialized.
    serde_json::to_string_pretty(value).unwrap_or_default()
}
