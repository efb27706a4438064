//! `GET /v1/password-policy`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{PasswordPolicy, PlainPassword};
use crate::http::state::State;

/// The password policy, for display in a form. It has no rules about kinds of characters.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordPolicy)]
pub struct PublicPolicy {
    /// Minimum length in characters (Unicode code points).
    #[schema(example = 8)]
    min_length: usize,
    /// Maximum length in characters (Unicode code points).
    #[schema(example = 256)]
    max_length: usize,
    /// Maximum length in bytes of UTF-8.
    #[schema(example = 1024)]
    max_bytes: usize,
    /// Length that a form should recommend.
    #[schema(example = 15)]
    recommended_length: usize,
    /// Common passwords and patterns are refused, and the name of the service (`too_common`).
    #[schema(example = true)]
    refuses_common: bool,
    /// Passwords that contain the user's own e-mail address or name, or a part of either of at
    /// least 4 characters, are refused (`too_similar`). The domain of the address does not count.
    #[schema(example = true)]
    refuses_own_name: bool,
    /// Breached passwords are refused (`breached`).
    #[schema(example = false)]
    refuses_breached: bool,
}

impl From<&PasswordPolicy> for PublicPolicy {
    fn from(policy: &PasswordPolicy) -> Self {
        Self {
            min_length: policy.min_length,
            max_length: policy.max_length,
            max_bytes: PlainPassword::MAX_BYTES,
            recommended_length: PasswordPolicy::RECOMMENDED_LENGTH.max(policy.min_length),
            refuses_common: true,
            refuses_own_name: true,
            refuses_breached: policy.refuses_breached,
        }
    }
}

#[utoipa::path(
    get,
    path = "/v1/password-policy",
    operation_id = "passwordPolicy",
    tag = "configuration",
    summary = "Rules for a new password",
    description = "The password policy, for a form that checks a new password before it sends it.",
    responses((status = 200, description = "The rules.", body = PublicPolicy))
)]
/// Returns the password policy.
pub async fn handle(state: web::Data<State>) -> web::Json<PublicPolicy> {
    web::Json((&state.flows.policy().password).into())
}
