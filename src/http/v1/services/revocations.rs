//! `GET /v1/revocations`

use actix_web::http::header::{CACHE_CONTROL, ContentType, ETAG, EntityTag, IfNoneMatch};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{EndedSession, Fault, UserId, UtcTime};
use crate::flows::{Ended, Flows};
use crate::http::blocking::Turn;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Query};
use crate::http::state::State;

/// The parsed query.
pub struct Since(Option<UtcTime>);

impl Body for Since {
    fn read(fields: &mut Fields) -> Option<Self> {
        let since = fields.optional("since", |text| match text.parse() {
            Ok(seconds @ 0..=LAST_SECOND) => Ok(UtcTime::from_seconds(seconds)),
            _ => Err(Fault::InvalidFormat),
        });
        Some(Self(since))
    }
}

/// The end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// Sessions and accounts whose access tokens are revoked within the lifetime of one.
#[derive(Serialize, ToSchema)]
pub struct RevocationList {
    /// Ended sessions: tokens with that `sid` are invalid. The most recent end comes first.
    sessions: Vec<RevokedSession>,
    /// Accounts that were disabled or deleted, or whose rights changed: their tokens with `iat <=
    /// revoked_at` are invalid.
    users: Vec<RevokedUser>,
    /// Age of the oldest entries, in seconds. Older tokens have expired.
    #[schema(example = 910)]
    window: u64,
}

/// A session that was ended.
#[derive(Serialize, ToSchema)]
pub struct RevokedSession {
    /// The `sid` of its tokens.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    session_id: String,
    /// Time of the revocation, in seconds since the epoch.
    #[schema(example = 1_800_000_000)]
    revoked_at: i64,
}

/// An account that was disabled or deleted, or whose rights changed.
#[derive(Serialize, ToSchema)]
pub struct RevokedUser {
    /// The `user_id` of its tokens.
    #[schema(example = 7)]
    user_id: i64,
    /// Time of the revocation, in seconds since the epoch.
    #[schema(example = 1_800_000_000)]
    revoked_at: i64,
}

#[utoipa::path(
    get,
    path = "/v1/revocations",
    operation_id = "listRevocations",
    tag = "services",
    summary = "Revocation list",
    description = "For services that check access tokens themselves. Answered from memory. Poll once a second with `If-None-Match`, or for new entries with `since`: a revocation can become visible some seconds after its time, so `since` should be a minute before the last answer. 503 `unavailable` means that the list of this instance is stale: decide how long to accept tokens without it. 503 `overloaded` means that too many long lists with a `since` are asked for: repeat, or ask for the whole list, which is made once for all.",
    params(("since" = Option<i64>, Query, description = "Only revocations at or after this time, in seconds since the epoch.", minimum = 0, maximum = 253_402_300_799_i64, example = 1_800_000_000), ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the last answer.", example = "\"3q2-7wAAAAA\"")),
    responses(
        (status = 200, description = "The lists.", body = RevocationList, headers(("ETag" = String, description = "Identifies this content."))),
        (status = 304, description = "The list has not changed."),
    ),
    extensions(("x-error-codes" = json!(["validation_failed", "overloaded", "unavailable"])))
)]
/// Returns the revocation list.
pub async fn handle(
    state: web::Data<State>,
    known: Option<web::Header<IfNoneMatch>>,
    Query(Since(since)): Query<Since>,
) -> Result<HttpResponse, ApiError> {
    let window = state.flows.revocation_window().as_secs();
    let asked = state.flows.revocations_version();
    let revoked = if state.flows.are_revocations_at_hand(since) {
        state.flows.list_revocations(asked, since)?
    } else {
        // It takes tens of milliseconds, for which a thread of requests would serve nothing else.
        let list = move |flows: &Flows| {
            let revoked = flows.list_revocations(asked, since)?;
            revoked.rendered(|revoked| render(revoked, window));
            Ok(revoked)
        };
        let is_whole = state.flows.are_all_revocations_since(since);
        let turn = if is_whole { Turn::Shared } else { Turn::Own };
        state.run_in_turn(turn, list).await?
    };
    let tag = EntityTag::new_strong(revoked.tag().to_owned());
    let is_known = known.is_some_and(|web::Header(known)| match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
    });
    let mut answer = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "no-cache"));
    if is_known {
        return Ok(answer.finish());
    }
    let body = revoked.rendered(|revoked| render(revoked, window));
    answer.content_type(ContentType::json());
    Ok(answer.body(state.revocation_lists.body_of(&body)))
}

fn render(revoked: &Ended, window: u64) -> Vec<u8> {
    let session = |it: &EndedSession| RevokedSession {
        session_id: it.id.0.clone(),
        revoked_at: it.at.seconds(),
    };
    let user =
        |(id, at): (&UserId, &UtcTime)| RevokedUser { user_id: id.0, revoked_at: at.seconds() };
    let list = RevocationList {
        sessions: revoked.sessions().iter().map(session).collect(),
        users: revoked.users().iter().map(user).collect(),
        window,
    };
    // Numbers and texts can always be serialized.
    serde_json::to_vec(&list).unwrap_or_default()
}
