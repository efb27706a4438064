//! Log-ins at providers that are in progress, and identities that wait for the verification of an
//! e-mail address. Both belong to a challenge.

use diesel::prelude::*;

use super::challenges::{self, Row, challenge};
use super::schema::{challenges as rows, pending_identities, social_flows};
use super::{Conn, Result};
use crate::domain::{
    ChallengeId, FlowOutcome, IdentityKey, ProviderIdentity, SocialFlow, TokenHash, UserId, UtcTime,
};

#[derive(Queryable)]
struct Details {
    _challenge_id: String,
    provider: String,
    return_to: String,
    outcome: Option<String>,
}

fn flow((row, details): (Row, Details)) -> Option<SocialFlow> {
    Some(SocialFlow {
        challenge: challenge(row)?,
        provider: details.provider,
        return_to: details.return_to,
        outcome: details.outcome.as_deref().map(FlowOutcome::from_stored),
    })
}

/// Inserts a flow with the hash of its `state`.
pub fn insert_flow(conn: &mut Conn, new: &SocialFlow, state: &TokenHash) -> Result<()> {
    challenges::insert_challenge(conn, &new.challenge, 0)?;
    challenges::set_mail_secrets(conn, &new.challenge.id, state, None)?;
    diesel::insert_into(social_flows::table)
        .values((
            social_flows::challenge_id.eq(new.challenge.id.as_str()),
            social_flows::provider.eq(&new.provider),
            social_flows::return_to.eq(&new.return_to),
        ))
        .execute(conn)?;
    Ok(())
}

/// Returns the flow with that `state`.
pub fn find_by_state(conn: &mut Conn, state: &TokenHash) -> Result<Option<SocialFlow>> {
    let of_state = rows::table.inner_join(social_flows::table).filter(rows::link_hash.eq(&state.0));
    Ok(of_state.first(conn).optional()?.and_then(flow))
}

/// Returns the flow with that flow token.
pub fn find_by_token(conn: &mut Conn, token: &TokenHash) -> Result<Option<SocialFlow>> {
    let of_token =
        rows::table.inner_join(social_flows::table).filter(rows::holder_hash.eq(&token.0));
    Ok(of_token.first(conn).optional()?.and_then(flow))
}

/// Claims a flow for the one exchange of a code. Of concurrent callers exactly one gets true. After
/// [`release_claim`] only the same code can claim it again.
pub fn claim_flow(
    conn: &mut Conn,
    id: &ChallengeId,
    code: &TokenHash,
    now: UtcTime,
) -> Result<bool> {
    let claimed = diesel::update(
        rows::table
            .find(id.as_str())
            .filter(rows::used_at.is_null())
            .filter(rows::expires_at.gt(now.micros()))
            .filter(rows::code_hash.is_null().or(rows::code_hash.eq(&code.0))),
    )
    .set((rows::used_at.eq(now.micros()), rows::code_hash.eq(&code.0)))
    .execute(conn)?;
    Ok(claimed == 1)
}

/// Releases a claimed flow: the exchange failed for a reason that may pass.
pub fn release_claim(conn: &mut Conn, id: &ChallengeId) -> Result<()> {
    diesel::update(rows::table.find(id.as_str()))
        .set(rows::used_at.eq(None::<i64>))
        .execute(conn)?;
    Ok(())
}

/// Records the result of a flow, with the user of a session. Returns false if the flow has a result
/// already or is gone.
pub fn finish_flow(
    conn: &mut Conn,
    id: &ChallengeId,
    outcome: FlowOutcome,
    user: Option<UserId>,
) -> Result<bool> {
    let pending = social_flows::table.find(id.as_str()).filter(social_flows::outcome.is_null());
    let finished =
        diesel::update(pending).set(social_flows::outcome.eq(outcome.name())).execute(conn)?;
    if let Some(user) = user {
        challenges::set_owner(conn, id, user)?;
    }
    Ok(finished == 1)
}

/// Inserts the identity that the account of a registration gets.
pub fn insert_pending_identity(
    conn: &mut Conn,
    registration: &ChallengeId,
    identity: &ProviderIdentity,
) -> Result<()> {
    diesel::insert_into(pending_identities::table)
        .values((
            pending_identities::challenge_id.eq(registration.as_str()),
            pending_identities::provider.eq(&identity.provider),
            pending_identities::issuer.eq(&identity.key.issuer),
            pending_identities::subject.eq(&identity.key.subject),
        ))
        .execute(conn)?;
    Ok(())
}

/// Returns the identity that the account of a registration gets.
pub fn find_pending_identity(
    conn: &mut Conn,
    registration: &ChallengeId,
) -> Result<Option<ProviderIdentity>> {
    let found = pending_identities::table
        .find(registration.as_str())
        .select((
            pending_identities::provider,
            pending_identities::issuer,
            pending_identities::subject,
        ))
        .first::<(String, String, String)>(conn)
        .optional()?;
    Ok(found.map(|(provider, issuer, subject)| ProviderIdentity {
        provider,
        key: IdentityKey { issuer, subject },
    }))
}
