//! A service with its own binary, and its known users.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use hallpass::clock::{Clock as _, SystemClock};
use hallpass::domain::{
    Challenge, ChallengeKind, Email, PasswordHash, PlainPassword, PlainToken, User, Username,
    UtcTime,
};
use hallpass::security::hash_queue::{Lane, Origin, Requester};
use hallpass::security::hasher::Hasher;
use hallpass::store::challenges::{insert_challenge, set_mail_secrets};
use hallpass::store::users::{NewUser, insert_user};
use hallpass::store::{Conn, DatabaseUrl, Db, Error, PoolSettings, PreparedStatements, Result};
use serde_json::{Value, json};

use super::connection::Connection;
use super::scripted_provider::{Key, ScriptedProvider};
use super::service::{Service, Setup};
use super::verdict::Arm;
use super::{HAS_DRF, Question, postgres, slow_smtp};

const PASSWORD: &str = "plum tree at dusk";
const BCRYPT_COST: u32 = 4;
/// Every fourth known user was imported and has not logged in since.
const IMPORTED: usize = 4;
/// The hash of an imported account, several times as expensive as ours.
const IMPORTED_HASH: &str =
    "pbkdf2_sha256$30000$seasalt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// A costlier one, whose difference to an own hash exceeds the noise of a busy machine.
const COSTLY_IMPORTED_HASH: &str =
    "pbkdf2_sha256$60000$seasalt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// All counters are active, as in production, with limits that are never reached.
const LIMITS: [(&str, &str); 9] = [
    ("HALLPASS_LIMITS", "on"),
    ("HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK", "20/15m"),
    ("HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT", "100/1h"),
    ("HALLPASS_LIMIT_NETWORK", "10000/1m"),
    ("HALLPASS_LIMIT_MAIL_HOURLY", "20"),
    ("HALLPASS_LIMIT_MAIL_DAILY", "100"),
    ("HALLPASS_LIMIT_MAIL_NETWORK", "10000"),
    ("HALLPASS_LIMIT_MAIL_DOMAIN", "10000000"),
    ("HALLPASS_LIMIT_MAIL_TOTAL", "10000000"),
];

const RETURN_TO: &str = "https://app.test/in";
const NONCE: &str = "nonce-of-the-app";

/// State of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    Works,
    Slow,
    Down,
}

impl Mail {
    fn url(self) -> String {
        match self {
            Self::Works => slow_smtp::start(Duration::ZERO),
            Self::Slow => slow_smtp::start(Duration::from_millis(500)),
            // This port has no listener.
            Self::Down => "smtp://127.0.0.1:9".to_owned(),
        }
    }
}

pub struct World {
    service: Service,
    provider: ScriptedProvider,
    key: Key,
    db: Db,
    hash: PasswordHash,
    rounds: Cell<u8>,
    _setup: Setup,
}

impl World {
    pub fn on_sqlite(mail: Mail) -> Self {
        let setup = Setup::on_sqlite();
        let url = setup.database_url();
        Self::begin(setup, &url, mail)
    }

    /// `None` (said aloud) where there is no Postgres.
    pub fn on_postgres(mail: Mail) -> Option<Self> {
        Some(Self::begin(Setup::on_sqlite(), &postgres::fresh_schema()?, mail))
    }

    fn begin(setup: Setup, database: &str, mail: Mail) -> Self {
        let key = Key::es256("k");
        let provider = ScriptedProvider::openid(&[&key]);
        let settings = provider.settings(RETURN_TO);
        let setup = settings.iter().fold(setup, |setup, (name, value)| setup.with(name, value));
        let setup = setup
            .with("DATABASE_URL", database)
            .with("HALLPASS_BCRYPT_COST", &BCRYPT_COST.to_string())
            .with("HALLPASS_SMTP_URL", &mail.url())
            .with("HALLPASS_LOG", "warn,hallpass::cli=info")
            .with("HALLPASS_PUBLIC_URL", "http://auth.test")
            .with("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")
            .with("HALLPASS_WORKERS", "1");
        let setup = LIMITS.iter().fold(setup, |setup, (name, value)| setup.with(name, value));
        let service = setup.start();
        let wait = Duration::from_secs(10);
        let settings =
            PoolSettings { size: 1, wait, prepared_statements: PreparedStatements::Always };
        let db = Db::open_as_is(&DatabaseUrl::parse(database).unwrap(), settings).unwrap();
        let hasher = Hasher::start(1, BCRYPT_COST).unwrap();
        let whose =
            Requester { account: String::new(), lane: Lane::KnownDevice(Origin::default()) };
        let hash =
            hasher.hash(whose, &PlainPassword::parse("the right password").unwrap()).unwrap();
        Self { service, provider, key, db, hash, rounds: Cell::new(0), _setup: setup }
    }

    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// A number that no round had yet.
    pub fn next_round(&self) -> u8 {
        let round = self.rounds.get();
        self.rounds.set(round + 1);
        round
    }

    /// Adds the known users of a round, in the state that the question is about.
    pub fn add_known_users(&self, round: u8, question: Question, count: usize) {
        if matches!(question, Question::Resend | Question::SocialFinishOfPending) {
            // Only their pending registrations are known.
            let mut connection = Connection::to(self.address());
            // Unknown addresses had a request too: the first one of an address adds the counter of
            // its mailbox, which takes longer than to change it (ADR 15).
            let earlier = [(Question::Register, Arm::Known), (Question::Resend, Arm::Unknown)];
            for number in 0..count {
                for (question, arm) in earlier {
                    // From another network, so that later requests have their own counters.
                    let request = self.request_from("203.0", round, question, arm, number);
                    let answer = connection.ask(&request, Duration::ZERO);
                    assert_eq!(answer.status, question.answered_with(), "{}", answer.look);
                }
            }
            self.analyze();
            return;
        }
        self.add_users(round, count, IMPORTED_HASH, question == Question::ConfirmReset);
    }

    /// Adds users whose imported hashes take much longer than those of this service.
    pub fn add_users_with_costly_hashes(&self, round: u8, count: usize) {
        self.add_users(round, count, COSTLY_IMPORTED_HASH, false);
    }

    fn add_users(&self, round: u8, count: usize, imported: &str, with_reset: bool) {
        let (own, now) = (self.hash.clone(), SystemClock.now());
        let imported = PasswordHash::stored(imported);
        let added = self.db.write(move |conn| {
            for number in 0..count {
                let hash = if number % IMPORTED == 0 { &imported } else { &own };
                let user = add_user(conn, &name_of(round, Arm::Known, number), hash, now)?;
                if with_reset {
                    add_reset(conn, &user, now)?;
                }
            }
            Ok::<_, Error>(())
        });
        added.unwrap();
        self.analyze();
    }

    /// Updates the statistics of Postgres, as its autovacuum does once a minute. A table that was
    /// analyzed with sixty users and has thousands a moment later is read whole for each name.
    fn analyze(&self) {
        let analyzed = self.db.write(|conn| match conn {
            Conn::Postgres(postgres) => {
                Ok(postgres.batch_execute("ANALYZE users, limits, challenges, outbox")?)
            }
            Conn::Sqlite(_) => Ok::<_, Error>(()),
        });
        analyzed.unwrap();
    }

    /// Wrong passwords for one person, under the address in several spellings and at API and
    /// adapter.
    pub fn spellings(round: u8, arm: Arm, number: usize, look: u8) -> Vec<Vec<u8>> {
        let email = address_of(&name_of(round, arm, number));
        let full_width = email.replacen('o', "\u{ff4f}", 1);
        let soft_hyphen = email.replace("example", "exam\u{ad}ple");
        let both = full_width.replace("example", "exam\u{ad}ple");
        let spellings = [&email, &email.to_uppercase(), &full_width, &soft_hyphen, &both];
        // From two networks at each look: each name may be tried so often from one.
        [("/v1/token-auth", 2 * look), ("/api-token-auth/", 2 * look + 1)]
            .into_iter()
            .filter(|(path, _)| HAS_DRF || path.starts_with("/v1"))
            .flat_map(|(path, region)| spellings.map(|name| (path, region, name)))
            .map(|(path, region, name)| {
                let body = json!({"username": name, "password": "wrong"});
                post(path, &format!("192.{region}.{round}.7"), &body)
            })
            .collect()
    }

    /// Returns the request for the `number`th user of an arm. Requests are counted by user, so each
    /// `round` has other users.
    pub fn request(&self, round: u8, question: Question, arm: Arm, number: usize) -> Vec<u8> {
        self.request_from("198.51", round, question, arm, number)
    }

    fn request_from(
        &self,
        region: &str,
        round: u8,
        question: Question,
        arm: Arm,
        number: usize,
    ) -> Vec<u8> {
        let name = name_of(round, arm, number);
        let email = address_of(&name);
        let from = format!("{region}.{round}.7");
        let (path, body) = match question {
            Question::LogInByAddress | Question::LogInByName => {
                let name = if question == Question::LogInByName { name } else { email };
                ("/v1/token-auth", json!({"username": name, "password": "not the right one"}))
            }
            Question::LogInAtDjangoAdapter => {
                ("/api-token-auth/", json!({"username": name, "password": "not the right one"}))
            }
            Question::Register => ("/v1/register", json!({"email": email, "password": PASSWORD})),
            Question::Resend | Question::ResendToAccount => {
                ("/v1/verify-email/resend", json!({"email": email}))
            }
            Question::Reset => ("/v1/password-reset", json!({"email": email})),
            Question::ConfirmReset => (
                "/v1/password-reset/confirm",
                json!({"email": email, "code": "000000", "new_password": PASSWORD}),
            ),
            Question::SocialFinish | Question::SocialFinishOfPending => {
                ("/v1/social/test/finish", self.flow_of(&name, &from))
            }
            Question::SocialToken => {
                let id_token = self.id_token(&name, "ios", NONCE);
                ("/v1/social/test/token", json!({"id_token": id_token, "nonce": NONCE}))
            }
        };
        post(path, &from, &body)
    }

    /// Starts a flow that this user has come back from, and returns the request that finishes it.
    fn flow_of(&self, name: &str, from: &str) -> Value {
        let body = json!({"return_to": RETURN_TO});
        let start = post("/v1/social/test/start", from, &body);
        let started = Connection::to(self.address()).ask(&start, Duration::ZERO);
        let url = started.body["authorization_url"].as_str().expect("a flow");
        let (_, query) = url.split_once('?').unwrap();
        let parameter = |wanted: &str| -> String {
            let mut all = form_urlencoded::parse(query.as_bytes());
            all.find(|(name, _)| name == wanted).unwrap().1.into_owned()
        };
        self.provider.grant_code(name, &self.id_token(name, "web", &parameter("nonce")));
        json!({
            "flow_token": started.body["flow_token"], "code": name, "state": parameter("state"),
        })
    }

    fn id_token(&self, name: &str, audience: &str, nonce: &str) -> String {
        let now = SystemClock.now().seconds();
        self.key.sign(&json!({
            "iss": self.provider.issuer(), "sub": name, "aud": audience, "iat": now,
            "exp": now + 300, "nonce": nonce, "email": address_of(name), "email_verified": true,
        }))
    }
}

/// Names of one length.
fn name_of(round: u8, arm: Arm, number: usize) -> String {
    let name = if arm == Arm::Known { "person" } else { "nobody" };
    format!("{name}-{round:03}-{number:04}")
}

fn address_of(name: &str) -> String {
    format!("{name}@example.com")
}

/// Returns a POST request from the IP address `from`; each round has a network of its own.
fn post(path: &str, from: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: auth.test\r\nX-Forwarded-For: {from}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

fn add_user(conn: &mut Conn, name: &str, hash: &PasswordHash, now: UtcTime) -> Result<User> {
    let email = Email::parse(&address_of(name)).expect("an address");
    let new = NewUser {
        email_verified: true,
        password_hash: hash.clone(),
        ..NewUser::with_email(email, Some(Username::parse(name).expect("a name")))
    };
    insert_user(conn, &new, now)
}

/// Returns whether a mail with a code was composed.
fn add_reset(conn: &mut Conn, user: &User, now: UtcTime) -> Result<()> {
    let kind = ChallengeKind::ResetPassword;
    let challenge =
        Challenge { email: user.email.clone(), ..Challenge::new(kind, Some(user.id), now) };
    insert_challenge(conn, &challenge, 0)?;
    let secret = || PlainToken::random("").hash();
    set_mail_secrets(conn, &challenge.id, &secret(), Some(&secret()))
}
