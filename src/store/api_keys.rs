//! API keys.

use diesel::prelude::*;

use super::engine::cached::Cached;
use super::schema::api_keys;
use super::{Conn, Result};
use crate::domain::{ApiKey, ApiKeyId, Scope, TokenHash, UserId, UtcTime};

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct Row {
    id: String,
    name: String,
    scopes: String,
    created_by: Option<i64>,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: ApiKeyId(row.id),
            name: row.name,
            scopes: Scope::known(&row.scopes),
            created_by: row.created_by.map(UserId),
            created_at: UtcTime::from_micros(row.created_at),
            expires_at: row.expires_at.map(UtcTime::from_micros),
            last_used_at: row.last_used_at.map(UtcTime::from_micros),
            revoked_at: row.revoked_at.map(UtcTime::from_micros),
        }
    }
}

/// Inserts a key with the hash of its secret.
pub fn insert_key(conn: &mut Conn, key: &ApiKey, hash: &TokenHash) -> Result<()> {
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(key.id.as_str()),
            api_keys::name.eq(&key.name),
            api_keys::key_hash.eq(&hash.0),
            api_keys::scopes.eq(Scope::to_text(&key.scopes)),
            api_keys::created_by.eq(key.created_by.map(|id| id.0)),
            api_keys::created_at.eq(key.created_at.micros()),
            api_keys::expires_at.eq(key.expires_at.map(UtcTime::micros)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Returns the key whose secret has that hash.
pub fn find_by_hash(conn: &mut Conn, hash: &TokenHash) -> Result<Option<ApiKey>> {
    let found = api_keys::table.filter(api_keys::key_hash.eq(&hash.0)).select(Row::as_select());
    Ok(found.first(conn).optional()?.map(ApiKey::from))
}

/// Returns the key of that id.
pub fn find_by_id(conn: &mut Conn, id: &ApiKeyId) -> Result<Option<ApiKey>> {
    let found = api_keys::table.find(id.as_str()).select(Row::as_select());
    Ok(found.first(conn).optional()?.map(ApiKey::from))
}

/// Lists all keys, the oldest first. Superusers and operators create them, so they are few.
pub fn list_keys(conn: &mut Conn) -> Result<Vec<ApiKey>> {
    let rows: Vec<Row> = api_keys::table.order(api_keys::id).select(Row::as_select()).load(conn)?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// Revokes a key. Returns false if it was already revoked.
pub fn revoke_key(conn: &mut Conn, id: &ApiKeyId, now: UtcTime) -> Result<bool> {
    let unrevoked = api_keys::table.find(id.as_str()).filter(api_keys::revoked_at.is_null());
    let revoked =
        diesel::update(unrevoked).set(api_keys::revoked_at.eq(now.micros())).execute(conn)?;
    Ok(revoked == 1)
}

/// Records a use of a key at `now`, unless one since `since` is recorded.
pub fn record_use(conn: &mut Conn, id: &ApiKeyId, since: UtcTime, now: UtcTime) -> Result<()> {
    let is_older = api_keys::last_used_at.lt(since.micros()).assume_not_null();
    let stale =
        api_keys::table.find(id.as_str()).filter(api_keys::last_used_at.is_null().or(is_older));
    Cached(diesel::update(stale).set(api_keys::last_used_at.eq(now.micros()))).execute(conn)?;
    Ok(())
}
