//! A service with its own binary, and people that it knows.

use std::net::SocketAddr;
use std::time::Duration;

use hallpass::clock::{Clock as _, SystemClock};
use hallpass::domain::{Email, Locale, PlainPassword, Username};
use hallpass::security::hasher::Hasher;
use hallpass::store::users::{NewUser, insert_user};
use hallpass::store::{DatabaseUrl, Db, Error, PoolSettings};
use serde_json::{Value, json};

use super::connection::Connection;
use super::service::{Service, Setup};
use super::verdict::Arm;
use super::{Question, REQUESTS, WARM_UP, postgres, slow_smtp};

const PASSWORD: &str = "plum tree at dusk";
const BCRYPT_COST: u32 = 4;

/// How mail fares.
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
            // Nobody listens there.
            Self::Down => "smtp://127.0.0.1:9".to_owned(),
        }
    }
}

pub struct World {
    service: Service,
    _setup: Setup,
}

impl World {
    pub fn on_sqlite(mail: Mail) -> Self {
        let setup = Setup::on_sqlite();
        let url = format!("sqlite://{}", setup.folder().join("test.db").display());
        Self::begin(setup, &url, mail)
    }

    /// `None` (said aloud) where there is no Postgres.
    pub fn on_postgres(mail: Mail) -> Option<Self> {
        let Some(url) = postgres::fresh_schema() else {
            eprintln!("SKIPPED: no Postgres on this machine");
            return None;
        };
        Some(Self::begin(Setup::on_sqlite(), &url, mail))
    }

    fn begin(setup: Setup, database: &str, mail: Mail) -> Self {
        let setup = setup
            .with("DATABASE_URL", database)
            .with("HALLPASS_BCRYPT_COST", &BCRYPT_COST.to_string())
            .with("HALLPASS_SMTP_URL", &mail.url())
            .with("HALLPASS_LOG", "warn,hallpass::cli=info")
            .with("HALLPASS_WORKERS", "1");
        add_people(database);
        let world = Self { service: setup.start(), _setup: setup };
        // Of them it is known only that they wait for their mail.
        let mut connection = Connection::to(world.address());
        for number in 0..REQUESTS + WARM_UP {
            let body = json!({"email": waiting(number), "password": PASSWORD});
            connection.ask(&post("/v1/register", &body), Duration::ZERO);
        }
        world
    }

    pub fn address(&self) -> SocketAddr {
        self.service.address()
    }

    /// What is sent to ask about the `number`th person of an arm. Nobody is unknown after the first
    /// question, so the unknown of each `round` are others.
    pub fn request(round: usize, question: Question, arm: Arm, number: usize) -> Vec<u8> {
        let email = match (arm, question) {
            (Arm::Known, Question::Resend) => waiting(number),
            (Arm::Known, _) => known(number),
            (Arm::Unknown, _) => format!("nobo{round:02}-{number:04}@example.com"),
        };
        match question {
            Question::LogIn => {
                let body = json!({"username": email, "password": "not the right one"});
                post("/v1/token-auth", &body)
            }
            Question::Register => {
                post("/v1/register", &json!({"email": email, "password": PASSWORD}))
            }
            Question::Resend => post("/v1/verify-email/resend", &json!({"email": email})),
            Question::Reset => post("/v1/password-reset", &json!({"email": email})),
        }
    }
}

/// Addresses of one length.
fn known(number: usize) -> String {
    format!("person-{number:04}@example.com")
}

fn waiting(number: usize) -> String {
    format!("waiter-{number:04}@example.com")
}

fn post(path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: auth.test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

fn add_people(database: &str) {
    let settings = PoolSettings { size: 2, wait: Duration::from_secs(10) };
    let db = Db::open(&DatabaseUrl::parse(database).unwrap(), settings).unwrap();
    let hasher = Hasher::start(1, BCRYPT_COST).unwrap();
    let hash = hasher.hash(&PlainPassword::parse("the right password").unwrap()).unwrap();
    let now = SystemClock.now();
    db.write(move |conn| {
        for number in 0..REQUESTS + WARM_UP {
            let email = Email::parse(&known(number)).expect("an address");
            let new = NewUser {
                username: Username::of_address(&email),
                email: Some(email),
                email_verified: true,
                password_hash: hash.clone(),
                is_staff: false,
                is_superuser: false,
                locale: Locale::default(),
            };
            insert_user(conn, &new, now)?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
}
