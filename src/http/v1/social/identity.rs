//! An identity at another service.

use serde::Serialize;
use utoipa::ToSchema;

use crate::flows::ListedIdentity;
use crate::http::v1::time::rfc3339;

/// An identity that is linked to an account: a subject at an issuer.
#[derive(Serialize, ToSchema)]
pub struct Identity {
    /// The id of the link, for unlinking.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    id: String,
    /// The provider's `id`.
    #[schema(example = "google")]
    provider: String,
    /// The issuer.
    #[schema(example = "https://accounts.google.com")]
    issuer: String,
    /// The user id at the issuer.
    #[schema(example = "248289761001")]
    subject: String,
    /// The e-mail address that the provider sent last. It is not that of the account.
    #[schema(example = "mina@example.com")]
    email: Option<String>,
    /// Time of linking (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    created_at: String,
    /// Time of the last log-in with it (RFC 3339, UTC).
    #[schema(format = "date-time", example = "2026-11-23T08:00:00.000000Z")]
    last_used_at: Option<String>,
    /// False if no provider of this issuer is configured (any more): the identity logs no user in,
    /// and does not count as a way to log in.
    #[schema(example = true)]
    usable: bool,
}

impl From<ListedIdentity> for Identity {
    fn from(ListedIdentity { identity, is_usable }: ListedIdentity) -> Self {
        Self {
            id: identity.id.0,
            provider: identity.provider,
            issuer: identity.key.issuer,
            subject: identity.key.subject,
            email: identity.email,
            created_at: rfc3339(identity.created_at),
            last_used_at: identity.last_used_at.map(rfc3339),
            usable: is_usable,
        }
    }
}
