//! `PATCH /v1/me`

use actix_web::web;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::{Fault, Locale, Username};
use crate::flows::{MetadataChange, ProfileChanges};
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::schema::{ChosenUsername, LocaleTag};
use crate::http::state::State;
use crate::http::v1::account::me::Profile;

/// Changes of the account (a JSON merge patch, RFC 7396): a missing member is kept, null removes.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `ProfileChanges` is read from")]
pub struct UpdateMeRequest {
    /// The user name. Null: the e-mail address.
    #[schema(value_type = Option<ChosenUsername>)]
    username: Option<Username>,
    /// The language of mail. Null: English.
    #[schema(value_type = Option<LocaleTag>)]
    locale: Option<Locale>,
    /// Metadata that the front end keeps with the account, merged; at most 4096 bytes of JSON in
    /// all.
    #[schema(value_type = Option<Object>, example = json!({"theme": "dark", "font": null}))]
    metadata: Option<Value>,
}

impl Body for ProfileChanges {
    fn read(fields: &mut Fields) -> Option<Self> {
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            _ => Err(Fault::WrongType),
        };
        // Only the flow knows the user's own e-mail address. It refuses other names with `@`.
        let username = fields.patch("username", |value| Username::parse_any(&text(value)?));
        let locale = fields.patch("locale", |value| Locale::parse(&text(value)?));
        let metadata = read_metadata(fields, "metadata");
        Some(Self { username, locale: locale.map(Option::unwrap_or_default), metadata })
    }
}

/// Parses a merge patch of metadata; null empties it.
pub fn read_metadata(fields: &mut Fields, name: &'static str) -> Option<MetadataChange> {
    let patch = fields.patch(name, |value| match value {
        Value::Object(patch) => Ok(patch),
        _ => Err(Fault::WrongType),
    });
    patch.map(|patch| patch.map_or(MetadataChange::Empty, MetadataChange::Merge))
}

#[utoipa::path(
    patch,
    path = "/v1/me",
    operation_id = "updateMe",
    tag = "account",
    summary = "Change the own profile",
    description = "Takes a JSON merge patch (RFC 7396), as `application/json`; `application/merge-patch+json` is accepted too.",
    request_body(content = UpdateMeRequest, example = json!({"locale": "ko", "metadata": {"theme": "dark"}})),
    responses((status = 200, description = "The changed account.", body = Profile)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["username_taken"])))
)]
/// Changes the profile.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    Json(changes): Json<ProfileChanges>,
) -> Result<web::Json<Profile>, ApiError> {
    let user = state.run(move |flows| flows.update_profile(&claims, changes, &device)).await?;
    Ok(web::Json(user.into()))
}
