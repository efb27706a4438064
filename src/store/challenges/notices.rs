//! The order of security notices among the changes that a report of unauthorized activity undoes.

use diesel::dsl::max;
use diesel::prelude::*;

use crate::domain::{Challenge, ChallengeKind, UserId, UtcTime};
use crate::store::schema::{api_keys, challenges, identities};
use crate::store::{Conn, Result, challenges::insert_challenge};

/// Inserts a notice of an account whose row is locked, with a later time than all its notices and
/// identities and the API keys that it created. So their order is that of the transactions, even if
/// clocks of instances differ. A report voids the notices after its own, and unlinks the identities
/// and revokes the API keys since then.
pub fn insert_notice(conn: &mut Conn, user: UserId, new: &Challenge) -> Result<()> {
    let linked_at: Option<i64> = identities::table
        .filter(identities::user_id.eq(user.0))
        .select(max(identities::created_at))
        .get_result(conn)?;
    let key_at: Option<i64> = api_keys::table
        .filter(api_keys::created_by.eq(user.0))
        .select(max(api_keys::created_at))
        .get_result(conn)?;
    let others = linked_at.max(key_at).map(UtcTime::from_micros);
    let latest = find_latest_notice(conn, user)?.max(others);
    let next = latest.map(|it| UtcTime::from_micros(it.micros() + 1));
    let created_at = next.map_or(new.created_at, |next| next.max(new.created_at));
    insert_challenge(conn, &Challenge { created_at, ..new.clone() }, 0)
}

/// Returns `now`, or the time of the latest notice of a locked user if that is later. A report by
/// the link of any notice so far then undoes the change of this time, even if clocks of instances
/// differ.
pub fn time_since_notices(conn: &mut Conn, user: UserId, now: UtcTime) -> Result<UtcTime> {
    Ok(find_latest_notice(conn, user)?.map_or(now, |noticed_at| noticed_at.max(now)))
}

fn find_latest_notice(conn: &mut Conn, user: UserId) -> Result<Option<UtcTime>> {
    let latest: Option<i64> = challenges::table
        .filter(challenges::user_id.eq(user.0))
        .filter(challenges::kind.eq(ChallengeKind::ReportUnauthorized.name()))
        .select(max(challenges::created_at))
        .get_result(conn)?;
    Ok(latest.map(UtcTime::from_micros))
}
