//! `GET /v1/revocations`

use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, IfNoneMatch};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{EndedSession, UserId, UtcTime};
use crate::http::blocking::State;
use crate::http::error::ApiError;

/// What was ended within the life of an access token.
#[derive(Serialize, ToSchema)]
pub struct RevocationList {
    /// Every session that was ended: tokens with that `sid` are void. The one ended last comes first.
    sessions: Vec<RevokedSession>,
    /// Accounts that were switched off or deleted: tokens of theirs from before are void.
    users: Vec<RevokedUser>,
    /// How far back the lists reach, in seconds. Older tokens have expired.
    #[schema(example = 910)]
    window: u64,
}

/// A session that was ended.
#[derive(Serialize, ToSchema)]
pub struct RevokedSession {
    /// The `sid` of its tokens.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    session_id: String,
    /// When, in seconds since the epoch.
    #[schema(example = 1_800_000_000)]
    revoked_at: i64,
}

/// An account that was switched off or deleted.
#[derive(Serialize, ToSchema)]
pub struct RevokedUser {
    /// The `user_id` of its tokens.
    #[schema(example = 7)]
    user_id: i64,
    /// When, in seconds since the epoch.
    #[schema(example = 1_800_000_000)]
    revoked_at: i64,
}

#[utoipa::path(
    get,
    path = "/v1/revocations",
    operation_id = "listRevocations",
    tag = "services",
    summary = "What was ended just now",
    description = "For services that check access tokens themselves. Answered from memory; ask once a second with `If-None-Match`. 503 says that this instance cannot know at the moment: then no token should be believed for longer than you can bear.",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the list that is known already.", example = "\"3q2-7wAAAAA\"")),
    responses(
        (status = 200, description = "The lists.", body = RevocationList, headers(("ETag" = String, description = "Names this content."))),
        (status = 304, description = "Nothing has changed."),
    ),
    extensions(("x-error-codes" = json!(["unavailable"])))
)]
/// Tells what was ended.
pub async fn handle(
    state: web::Data<State>,
    known: Option<web::Header<IfNoneMatch>>,
) -> Result<HttpResponse, ApiError> {
    let ended = state.flows.list_revocations()?;
    let tag = EntityTag::new_strong(ended.tag().to_owned());
    let is_known = known.is_some_and(|web::Header(known)| match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
    });
    let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "no-cache"));
    if is_known {
        return Ok(answer.finish());
    }
    let session = |it: &EndedSession| RevokedSession {
        session_id: it.id.0.clone(),
        revoked_at: it.at.seconds(),
    };
    let user =
        |(id, at): (UserId, UtcTime)| RevokedUser { user_id: id.0, revoked_at: at.seconds() };
    Ok(answer.json(RevocationList {
        sessions: ended.sessions().into_iter().map(session).collect(),
        users: ended.users().into_iter().map(user).collect(),
        window: state.flows.revocation_window().as_secs(),
    }))
}
