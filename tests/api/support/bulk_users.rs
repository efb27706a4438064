//! A database with many users, inserted directly.

use hallpass::store::DatabaseUrl;

use super::World;
use super::world::BEGINNING;

/// Fills empty tables with `users` users and three sessions, six refresh tokens, three events and
/// some rows of every other table for each. No row is due to be purged.
pub fn insert(world: &World, users: u32) {
    let is_postgres =
        matches!(DatabaseUrl::parse(&world.database_url), Ok(DatabaseUrl::Postgres(_)));
    let bytes = |text: &str| {
        if is_postgres {
            format!("convert_to({text}, 'UTF8')")
        } else {
            format!("CAST({text} AS BLOB)")
        }
    };
    let numbers = |count: u32| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})")
    };
    let now = BEGINNING * 1_000_000;
    let (later, earlier) = (now + 86_400_000_000, now - 3_600_000_000);
    let (one_each, two_each, three_each) = (numbers(users), numbers(2 * users), numbers(3 * users));
    let owner = format!("i % {users} + 1");
    for sql in [
        format!(
            "INSERT INTO users (username, username_norm, email, email_norm, email_verified, \
             password_hash, is_active, is_staff, is_superuser, locale, created_at, updated_at) \
             {one_each} SELECT 'user' || i, 'user' || i, 'p' || i || '@example.com', \
             'p' || i || '@example.com', TRUE, '!', i % 50 <> 0, i % 1000 = 0, FALSE, 'en', {now}, {now} \
             FROM n"
        ),
        format!(
            "INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, expires_at, ended_at, \
             device, network) {three_each} SELECT 's' || i, {owner}, 'pwd', {now}, {now}, {later}, \
             CASE WHEN i % 3 = 0 THEN {earlier} END, 'Firefox on Linux', '10.0.0.0/24' FROM n"
        ),
        format!(
            "INSERT INTO refresh_tokens (token_hash, session_id, expires_at, used_at) {three_each} \
             SELECT {}, 's' || i, {later}, NULL FROM n",
            bytes("'current' || i")
        ),
        format!(
            "INSERT INTO refresh_tokens (token_hash, session_id, expires_at, used_at) {three_each} \
             SELECT {}, 's' || i, {later}, {earlier} FROM n",
            bytes("'replaced' || i")
        ),
        format!(
            "INSERT INTO events (id, user_id, kind, device, network, detail, at) {three_each} \
             SELECT 'e' || i, {owner}, 'logged_in', '', '', '', {now} FROM n"
        ),
        format!(
            "INSERT INTO challenges (id, kind, email, email_norm, detail, holder_hash, code_tries, \
             wrong_codes, created_at, expires_at) {two_each} SELECT 'r' || i, 'registration', \
             CASE WHEN i % 2 = 0 THEN 'r' || i || '@example.com' END, \
             CASE WHEN i % 2 = 0 THEN 'r' || i || '@example.com' END, '', {}, 0, 0, {now}, \
             CASE WHEN i % 2 = 0 THEN {later} ELSE {earlier} END FROM n",
            bytes("'registration' || i")
        ),
        format!(
            "INSERT INTO registration_details (challenge_id, password_hash, locale) {two_each} \
             SELECT 'r' || i, '!', 'en' FROM n WHERE i % 2 = 0"
        ),
        format!(
            "INSERT INTO challenges (id, kind, user_id, detail, code_tries, wrong_codes, created_at, \
             expires_at) {one_each} SELECT 'o' || i, 'disavow', i, '', 0, 0, {now}, {later} FROM n"
        ),
        format!(
            "INSERT INTO outbox (id, kind, recipient, locale, subject_id, status, attempts, \
             next_attempt_at, created_at, finished_at) {two_each} SELECT 'm' || i, 'registration', \
             'p' || i || '@example.com', 'en', 'r' || i, CASE WHEN i % 100 = 0 THEN 'queued' ELSE 'sent' END, \
             1, {earlier}, {earlier}, CASE WHEN i % 100 <> 0 THEN {earlier} END FROM n"
        ),
        format!(
            "INSERT INTO limits (name, uses, resets_at, waits_until) {two_each} SELECT \
             CASE WHEN i % 2 = 0 THEN 'login_in_a_row:' ELSE 'login_here:' END || i, 20, {later}, 0 FROM n"
        ),
        format!(
            "INSERT INTO known_devices (token_hash, user_id, created_at, last_seen_at) {one_each} \
             SELECT {}, i, {now}, {now} FROM n",
            bytes("'device' || i")
        ),
        format!(
            "INSERT INTO released_names (user_id, name_hash, released_at) {one_each} \
             SELECT i, {}, {now} FROM n",
            bytes("'name' || i")
        ),
        format!(
            "INSERT INTO identities (id, user_id, provider, issuer, subject, created_at) {one_each} \
             SELECT 'i' || i, i, 'google', 'https://accounts.google.com', '' || i, {now} FROM n"
        ),
        "INSERT INTO social_flows (challenge_id, provider, return_to) \
         SELECT id, 'google', 'https://app.test' FROM challenges"
            .to_owned(),
        "INSERT INTO pending_identities (challenge_id, provider, issuer, subject) \
         SELECT id, 'google', 'https://accounts.google.com', id FROM challenges"
            .to_owned(),
    ] {
        world.execute(&sql);
    }
    if is_postgres {
        world.alter("ANALYZE");
    }
}
