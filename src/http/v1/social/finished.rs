//! The results of a flow.

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::http::v1::account::log_in_or_verification::LogInOrVerification;

/// The response to a flow that linked an identity. The schema is that of all results, as generated
/// clients have one type for an operation: the others are sent as [`LogInOrVerification`].
#[derive(Serialize)]
pub struct SocialFinished {
    status: &'static str,
}

impl SocialFinished {
    /// The identity is linked.
    pub const LINKED: Self = Self { status: "linked" };
}

impl PartialSchema for SocialFinished {
    fn schema() -> RefOr<Schema> {
        let mut schema = LogInOrVerification::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.retain(|name| name != "expires_in");
            object.description = Some(
                "The result of a flow. `status` is there with 202 (`verification_sent`) and if an \
                 identity was linked (`linked`), the tokens after a log-in."
                    .to_owned(),
            );
        }
        schema
    }
}

impl ToSchema for SocialFinished {}
