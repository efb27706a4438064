//! The data: for each user three sessions, six refresh tokens, five events and one row of every
//! other table that grows with the users, spread over the last 20 days. Nothing of it is due to be
//! purged.

use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::{PgConnection, SqliteConnection};
use hallpass::clock::{Clock as _, SystemClock};

/// `User-Agent` of every client, and the device label made of it.
pub const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0";
const DEVICE: &str = "Firefox on Linux";

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// Returns the name that a user logs in with. Numbers begin with 1.
pub fn username(number: u32) -> String {
    format!("user{number}")
}

/// Returns the e-mail address of a user.
pub fn email(number: u32) -> String {
    format!("p{number}@example.com")
}

/// Returns the id of a user. The first one is the superuser's.
pub fn user_id(number: u32) -> u32 {
    number + 1
}

/// Returns the IP address of a user, in a network of its own.
pub fn ip_address(number: u32) -> String {
    format!("{}.{}.{}.7", 11 + number / 65_536, number / 256 % 256, number % 256)
}

/// Returns the IP address of a client without an account.
pub fn ip_address_of(address: &str) -> String {
    let sum = address.bytes().fold(0, |sum: u32, byte| sum.wrapping_mul(31) + u32::from(byte));
    format!("100.{}.{}.7", sum / 256 % 256, sum % 256)
}

/// Fills the tables of a database that has one user, the superuser, whose password all users get.
pub fn fill(database_url: &str, users: u32) {
    if let Some(path) = database_url.strip_prefix("sqlite://") {
        let mut connection = SqliteConnection::establish(path).unwrap();
        let quick = "PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;";
        connection.batch_execute(quick).unwrap();
        for statement in all_statements(&Dialect::SQLITE, users) {
            connection.batch_execute(&statement).unwrap();
        }
        connection.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    } else {
        let mut connection = PgConnection::establish(database_url).unwrap();
        for statement in all_statements(&Dialect::POSTGRES, users) {
            connection.batch_execute(&statement).unwrap();
        }
        for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
            connection.batch_execute(statement).unwrap();
        }
    }
}

/// SQL expressions that differ between the databases.
struct Dialect {
    /// 32 random bytes.
    hash: &'static str,
    /// 12 random hexadecimal digits.
    tail: &'static str,
    /// The numbers from 1 to `{count}`, as `i`.
    numbers: &'static str,
    /// 12 hexadecimal digits of the milliseconds `{ms}`.
    time: &'static str,
}

impl Dialect {
    const SQLITE: Self = Self {
        hash: "randomblob(32)",
        tail: "lower(hex(randomblob(6)))",
        numbers: "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
                  SELECT i FROM n) AS numbers",
        time: "printf('%012x', {ms})",
    };
    const POSTGRES: Self = Self {
        hash: "sha256((random()::text || random()::text)::bytea)",
        tail: "substr(md5(random()::text), 1, 12)",
        numbers: "generate_series(CAST(1 AS BIGINT), {count}) AS numbers(i)",
        time: "lpad(to_hex({ms}), 12, '0')",
    };

    fn numbers(&self, count: u32) -> String {
        self.numbers.replace("{count}", &count.to_string())
    }

    /// A `UUIDv7` of a moment in microseconds.
    fn id(&self, micros: &str) -> String {
        let time = self.time.replace("{ms}", &format!("(({micros}) / 1000)"));
        format!(
            "substr({time}, 1, 8) || '-' || substr({time}, 9, 4) || '-7000-8000-' || {}",
            self.tail
        )
    }
}

fn all_statements(dialect: &Dialect, users: u32) -> Vec<String> {
    [statements(dialect, users), social_statements(dialect, users)].concat()
}

fn statements(dialect: &Dialect, users: u32) -> Vec<String> {
    let now = SystemClock.now().micros();
    let begin = now - 20 * DAY;
    // Nothing was ended so recently that tokens of it could still be valid.
    let time = |count: u32| format!("{begin} + i * {}", (20 * DAY - 3 * HOUR) / i64::from(count));
    // Users come in another order than their rows.
    let owner = format!("(i * 618033989 % {users} + 1)");
    let network = |number: &str| {
        format!(
            "(11 + {number} / 65536) || '.' || ({number} / 256 % 256) || '.' || ({number} % 256) || '.0/24'"
        )
    };
    let (hash, later) = (dialect.hash, now + 5 * DAY);
    let (ones, threes, fives) = (users, 3 * users, 5 * users);
    vec![
        format!(
            "INSERT INTO users (username, username_norm, email, email_norm, email_verified, \
             password_hash, is_active, is_staff, is_superuser, locale, created_at, updated_at) \
             SELECT 'user' || i, 'user' || i, 'p' || i || '@example.com', 'p' || i || '@example.com', \
             TRUE, admin.password_hash, TRUE, FALSE, FALSE, 'en', {begin}, {begin} \
             FROM {} CROSS JOIN (SELECT password_hash FROM users) AS admin ORDER BY i",
            dialect.numbers(ones)
        ),
        format!(
            "INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, expires_at, ended_at, \
             end_reason, device, network, transport) SELECT {}, {owner} + 1, 'pwd', {time}, {time}, \
             {time} + {}, CASE WHEN i % 3 = 0 THEN {time} + {HOUR} END, \
             CASE WHEN i % 3 = 0 THEN 'logged_out' END, '{DEVICE}', {}, 'body' FROM {}",
            dialect.id(&time(threes)),
            30 * DAY,
            network(&owner),
            dialect.numbers(threes),
            time = time(threes),
        ),
        format!(
            "INSERT INTO refresh_tokens (token_hash, session_id, expires_at, used_at, generation) \
             SELECT {hash}, id, {later}, created_at, 0 FROM sessions"
        ),
        format!(
            "INSERT INTO refresh_tokens (token_hash, session_id, expires_at, used_at, generation) \
             SELECT {hash}, id, {later}, NULL, 1 FROM sessions"
        ),
        format!(
            "INSERT INTO events (id, user_id, kind, device, network, detail, at) \
             SELECT {}, {owner} + 1, 'logged_in', '{DEVICE}', {}, 'pwd', {} FROM {}",
            dialect.id(&time(fives)),
            network(&owner),
            time(fives),
            dialect.numbers(fives)
        ),
        format!(
            "INSERT INTO challenges (id, kind, user_id, email, email_norm, detail, holder_hash, \
             code_tries, wrong_codes, created_at, expires_at, used_at) \
             SELECT {}, 'registration', i + 1, 'p' || i || '@example.com', \
             'p' || i || '@example.com', '', {hash}, 0, 0, {now}, {later}, {now} FROM {}",
            dialect.id(&now.to_string()),
            dialect.numbers(ones)
        ),
        "INSERT INTO registration_details (challenge_id, password_hash, locale) \
         SELECT id, '!', 'en' FROM challenges"
            .to_owned(),
        format!(
            "INSERT INTO challenges (id, kind, user_id, detail, code_tries, wrong_codes, created_at, \
             expires_at) SELECT {}, 'disavow', i + 1, '', 0, 0, {now}, {later} FROM {}",
            dialect.id(&now.to_string()),
            dialect.numbers(ones)
        ),
        format!(
            "INSERT INTO outbox (id, kind, recipient, locale, subject_id, status, attempts, \
             next_attempt_at, created_at, finished_at, user_id) SELECT {}, 'new_device', \
             'p' || i || '@example.com', 'en', '', 'sent', 1, {now}, {now}, {now}, i + 1 FROM {}",
            dialect.id(&now.to_string()),
            dialect.numbers(ones)
        ),
        format!(
            "INSERT INTO limits (name, uses, resets_at, waits_until) \
             SELECT 'login_here:' || {} || i, 1, {later}, 0 FROM {}",
            dialect.tail,
            dialect.numbers(ones)
        ),
        format!(
            "INSERT INTO known_devices (token_hash, user_id, created_at, last_seen_at) \
             SELECT {hash}, i + 1, {now}, {now} FROM {}",
            dialect.numbers(ones)
        ),
    ]
}

/// Identities, the flows that they came from, and identities that wait for a verification.
fn social_statements(dialect: &Dialect, users: u32) -> Vec<String> {
    let now = SystemClock.now().micros();
    let (id, hash) = (dialect.id(&now.to_string()), dialect.hash);
    let ones = dialect.numbers(users);
    vec![
        format!(
            "INSERT INTO identities (id, user_id, provider, issuer, subject, email, created_at, \
             last_used_at) SELECT {id}, i + 1, 'other', 'https://id.example.com', 'subject' || i, \
             'p' || i || '@example.com', {now}, {now} FROM {ones}"
        ),
        format!(
            "INSERT INTO challenges (id, kind, user_id, detail, holder_hash, link_hash, code_hash, \
             code_tries, wrong_codes, created_at, expires_at, used_at) SELECT {id}, 'social_login', \
             i + 1, '', {hash}, {hash}, {hash}, 0, 0, {now}, {}, {now} FROM {ones}",
            now + DAY
        ),
        "INSERT INTO social_flows (challenge_id, provider, return_to, outcome) SELECT id, 'other', \
         'https://app.example.com/in', 'logged_in' FROM challenges WHERE kind = 'social_login'"
            .to_owned(),
        "INSERT INTO pending_identities (challenge_id, provider, issuer, subject) SELECT id, \
         'other', 'https://id.example.com', id FROM challenges WHERE kind = 'registration'"
            .to_owned(),
    ]
}
