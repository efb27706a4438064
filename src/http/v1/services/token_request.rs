//! Requests of services for one token (RFC 7662 section 2.1, RFC 7009 section 2.1).

use std::collections::BTreeMap;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use utoipa::ToSchema;

use crate::domain::PlainToken;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields};
use crate::http::request::form::{Received, is_form};
use crate::http::request::service_credentials::{self, Presented};

/// A token, and the credentials of the service if they are not in the `Authorization` header.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of `TokenForm`")]
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

/// A token, and the API key of the service that sent it.
pub struct TokenRequest {
    /// The API key and the form it was sent in.
    pub presented: Presented,
    /// The token.
    pub token: PlainToken,
}

impl FromRequest for TokenRequest {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = Received::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let read = async move {
                // Missing credentials are reported before other faults, where they could be read.
                if !is_form(&request) {
                    service_credentials::presented(&request, None)?;
                }
                let form = form.await?;
                let client_secret = form.value("client_secret").map(PlainToken::presented);
                let presented = service_credentials::presented(&request, client_secret)?;
                let TokenForm(token) = form.read()?;
                Ok(Self { presented, token })
            };
            read.await.map_err(ApiError::of_oauth)
        })
    }
}

/// The token of a form.
struct TokenForm(PlainToken);

impl Body for TokenForm {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.required("token", |text| Ok(PlainToken::presented(text))).map(Self)
    }
}
