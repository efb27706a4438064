//! Verifications of e-mail addresses: challenges with the user name, password and language of their
//! account.

use diesel::prelude::*;

use crate::domain::{
    AddressVerification, Challenge, ChallengeId, ChallengeKind, Email, Locale, PasswordHash,
    TokenHash, UserId, Username, UtcTime,
};
use crate::store::challenges::{self, challenge, is_of_no_deleted_user, names};
use crate::store::schema::{challenges as rows, pending_identities, registration_details};
use crate::store::{Conn, Page, Result, page};

#[derive(Queryable)]
struct Details {
    _challenge_id: String,
    username: Option<String>,
    password_hash: String,
    locale: String,
}

/// Returns the verification of a challenge that verifies an e-mail address.
fn verification(challenge: Challenge, details: Details) -> Option<AddressVerification> {
    Some(AddressVerification {
        email: challenge.email.clone()?,
        challenge,
        username: details.username.as_deref().map(Username::unchecked),
        password_hash: PasswordHash::stored(details.password_hash),
        locale: Locale::parse(&details.locale).unwrap_or_default(),
    })
}

/// Inserts a verification and its challenge.
pub fn insert_verification(conn: &mut Conn, new: &AddressVerification) -> Result<()> {
    challenges::insert_challenge(conn, &new.challenge, 0)?;
    diesel::insert_into(registration_details::table)
        .values((
            registration_details::challenge_id.eq(new.challenge.id.as_str()),
            registration_details::username.eq(new.username.as_ref().map(Username::as_str)),
            registration_details::password_hash.eq(new.password_hash.expose()),
            registration_details::locale.eq(new.locale.as_str()),
        ))
        .execute(conn)?;
    Ok(())
}

/// A challenge that verifies an e-mail address, found by its token or link.
#[derive(Debug)]
pub enum Found {
    /// A verification, expired or not.
    Verification(Box<AddressVerification>),
    /// The rest of an expired one, whose personal data was erased.
    Erased,
}

/// A challenge with its details. One statement reads both, since the verification may be deleted
/// meanwhile.
type Joined = (challenges::Row, Option<Details>);

fn found((row, details): Joined) -> Option<Found> {
    let challenge = challenge(row).filter(|it| it.kind.verifies_address())?;
    let verification = details.and_then(|details| verification(challenge, details));
    Some(verification.map_or(Found::Erased, |it| Found::Verification(Box::new(it))))
}

/// Returns the verification whose newest mail carried that link.
pub fn find_by_link(conn: &mut Conn, link: &TokenHash) -> Result<Option<Found>> {
    let of_link =
        rows::table.left_join(registration_details::table).filter(rows::link_hash.eq(&link.0));
    Ok(of_link.filter(is_of_no_deleted_user()).first::<Joined>(conn).optional()?.and_then(found))
}

/// Returns the verification of the client with that registration token.
pub fn find_by_holder(conn: &mut Conn, holder: &TokenHash) -> Result<Option<Found>> {
    let of_holder =
        rows::table.left_join(registration_details::table).filter(rows::holder_hash.eq(&holder.0));
    Ok(of_holder.filter(is_of_no_deleted_user()).first::<Joined>(conn).optional()?.and_then(found))
}

/// Returns the verification of the challenge with that id.
pub fn find_by_id(conn: &mut Conn, id: &ChallengeId) -> Result<Option<AddressVerification>> {
    let of_id = rows::table.left_join(registration_details::table).filter(rows::id.eq(id.as_str()));
    Ok(
        match of_id
            .filter(is_of_no_deleted_user())
            .first::<Joined>(conn)
            .optional()?
            .and_then(found)
        {
            Some(Found::Verification(verification)) => Some(*verification),
            Some(Found::Erased) | None => None,
        },
    )
}

/// Returns the newest pending verifications of an e-mail address, at most `limit`.
pub fn find_pending(
    conn: &mut Conn,
    email: &Email,
    limit: i64,
    now: UtcTime,
) -> Result<Vec<AddressVerification>> {
    let found = rows::table
        .inner_join(registration_details::table)
        .filter(rows::email_norm.eq(email.normalised()))
        .filter(rows::used_at.is_null())
        .filter(rows::expires_at.gt(now.micros()))
        .filter(is_of_no_deleted_user())
        .order((rows::created_at.desc(), rows::id.desc()))
        .limit(limit)
        .load::<(challenges::Row, Details)>(conn)?;
    let known = |(row, details)| verification(challenge(row)?, details);
    Ok(found.into_iter().filter_map(known).collect())
}

/// Returns up to `limit` verifications of a user with ids above `after`.
pub fn list_page(
    conn: &mut Conn,
    user: UserId,
    after: &str,
    limit: usize,
) -> Result<Page<AddressVerification>> {
    let found = rows::table
        .inner_join(registration_details::table)
        .filter(rows::user_id.eq(user.0))
        .filter(rows::kind.eq_any(names(ChallengeKind::OF_ADDRESS)))
        .filter(rows::id.gt(after))
        .order(rows::id)
        .limit(page::rows(limit))
        .load::<(challenges::Row, Details)>(conn)?;
    let known = |(row, details)| verification(challenge(row)?, details);
    Ok(Page::of(found, limit, |(row, _)| &row.id, known))
}

/// Erases the personal data of up to `limit` verifications that have expired. Returns true if there
/// may be more.
pub fn erase_expired(conn: &mut Conn, now: UtcTime, limit: i64) -> Result<bool> {
    let expired: Vec<String> = rows::table
        .filter(rows::expires_at.le(now.micros()))
        // The condition of the index `challenges_to_erase`.
        .filter(rows::email_norm.is_not_null())
        .order(rows::expires_at)
        .select(rows::id)
        .limit(limit)
        .load(conn)?;
    if expired.is_empty() {
        return Ok(false);
    }
    diesel::delete(
        registration_details::table.filter(registration_details::challenge_id.eq_any(&expired)),
    )
    .execute(conn)?;
    diesel::delete(
        pending_identities::table.filter(pending_identities::challenge_id.eq_any(&expired)),
    )
    .execute(conn)?;
    diesel::update(rows::table.filter(rows::id.eq_any(&expired)))
        .set((rows::email.eq(None::<String>), rows::email_norm.eq(None::<String>)))
        .execute(conn)?;
    Ok(true)
}
