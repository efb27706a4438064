//! The form of the endpoints that are about one token (RFC 7662 section 2.1, RFC 7009 section 2.1).

use std::collections::BTreeMap;

use utoipa::ToSchema;

use crate::domain::PlainToken;
use crate::http::body::{Body, Fields};

/// A token, and the credentials of the service where they are not in the `Authorization` header.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `TokenForm` is read from")]
pub struct TokenParameters {
    /// An access token or a refresh token.
    #[schema(
        min_length = 1,
        example = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2ln"
    )]
    token: String,
    /// `access_token` or `refresh_token`. Optional, and not evaluated.
    #[schema(required = false, nullable = false, example = "access_token")]
    token_type_hint: Option<String>,
    /// A name of the service, of its own choice. It is not evaluated.
    #[schema(required = false, nullable = false, example = "billing")]
    client_id: Option<String>,
    /// The API key.
    #[schema(
        required = false,
        nullable = false,
        example = "hpk_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo"
    )]
    client_secret: Option<String>,
    /// Parameters that the endpoint does not know are ignored.
    #[serde(flatten)]
    others: BTreeMap<String, String>,
}

/// The same, read.
pub struct TokenForm {
    /// The token.
    pub token: PlainToken,
    /// The API key of the service.
    pub client_secret: Option<PlainToken>,
}

impl Body for TokenForm {
    fn read(fields: &mut Fields) -> Option<Self> {
        let token = fields.required("token", |text| Ok(PlainToken::presented(text)));
        let client_secret =
            fields.optional("client_secret", |text| Ok(PlainToken::presented(text)));
        Some(Self { token: token?, client_secret })
    }
}
