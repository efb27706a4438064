//! The results of a flow.

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::http::v1::account::register::Registered;

/// The response to a flow that linked an identity. The schema is that of all results, as generated
/// clients have one type for an operation: the others are sent as [`Registered`].
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
        let mut schema = Registered::schema();
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
