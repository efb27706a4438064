//! The service under test, with the three accounts of the recorded stack.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use actix_web::{App, HttpServer, web::Data};
use hallpass::clock::{Clock as _, SystemClock};
use hallpass::domain::token::Secrets;
use hallpass::domain::{Email, Locale, PlainPassword, Username};
use hallpass::flows::{EmailVerification, Flows, Policy, VerifyEmailProof};
use hallpass::http::django::{Face, configure};
use hallpass::security::access_token::Gate;
use hallpass::security::django_token::DjangoTokens;
use hallpass::security::hasher::Hasher;
use hallpass::security::keys::SigningKey;
use hallpass::security::revocations::Revocations;
use hallpass::store::users::{self, NewUser, UserChanges};
use hallpass::store::{DatabaseUrl, Db, Error, PoolSettings};

pub struct Service {
    pub port: u16,
    pub database: PathBuf,
    _folder: tempfile::TempDir,
}

pub fn start(django_secret: &[u8]) -> Service {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("test.db");
    let url = format!("sqlite://{}", database.display());
    let url = DatabaseUrl::parse(&url).unwrap();
    let pool = PoolSettings { size: 4, wait: Duration::from_secs(5) };
    let db = Db::open(&url, pool).unwrap();
    let now = SystemClock.now();
    let revocations = Revocations::new(Duration::from_mins(5), Duration::from_mins(10), now);
    let key = SigningKey::shared(b"some secret of thirty-two bytes and more");
    let flows = Flows {
        db,
        clock: Arc::new(SystemClock),
        hasher: Hasher::start(2, 4).unwrap(),
        secrets: Secrets::derive(b"some other secret of enough bytes"),
        gate: Gate::new("http://test".into(), Duration::from_mins(5), key, vec![], revocations),
        django_tokens: DjangoTokens::new(django_secret),
        policy: Policy {
            email_verification: EmailVerification::Mandatory,
            verify_email_proof: VerifyEmailProof::Required,
            password: hallpass::domain::PasswordPolicy::default(),
            refresh_idle: Duration::from_mins(10),
            session_lifetime: Duration::from_mins(10),
            refresh_grace: Duration::from_secs(30),
            sessions_per_user: 20,
            verify_email_link: String::new(),
        },
        mail_ordered: Arc::default(),
    };
    add_accounts(&flows);
    let flows = Arc::new(flows);
    let (tell, port) = channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let face = Data::new(Face::new(flows, "http://fallback.example"));
            let server = HttpServer::new(move || App::new().configure(configure(face.clone())))
                .workers(1)
                .disable_signals()
                .bind("127.0.0.1:0")
                .unwrap();
            tell.send(server.addrs()[0].port()).unwrap();
            server.run().await.unwrap();
        });
    });
    Service { port: port.recv().unwrap(), database, _folder: folder }
}

fn add_accounts(flows: &Flows) {
    for (name, email, password, is_staff) in [
        ("admin", "admin@naver.com", "admin", true),
        ("alice", "alice@example.com", "alice-pass", false),
        ("sleeper", "sleeper@example.com", "sleeper-pass", false),
    ] {
        let new = NewUser {
            username: Username::known(name),
            email: Email::parse(email).ok(),
            email_verified: true,
            password_hash: flows.hasher.hash(&PlainPassword::parse(password).unwrap()).unwrap(),
            is_staff,
            is_superuser: is_staff,
            locale: Locale::default(),
        };
        let now = flows.clock.now();
        let inactive = UserChanges { is_active: Some(false), ..UserChanges::default() };
        flows
            .db
            .write(move |conn| {
                let user = users::insert_user(conn, &new, now)?;
                if new.username.as_str() == "sleeper" {
                    users::update_user(conn, user.id, &inactive, now)?;
                }
                Ok::<_, Error>(())
            })
            .unwrap();
    }
}
