//! The service under test, as the binary starts it, with the three accounts of the recorded stack.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use hallpass::app::{self, App};
use hallpass::clock::SystemClock;
use hallpass::config::{Config, Source};
use hallpass::domain::{Email, PlainPassword, Username, UtcTime};
use hallpass::security::hash_queue::{Lane, Origin, Requester};
use hallpass::security::hasher::Hasher;
use hallpass::store::Error;
use hallpass::store::users::changes::{self, UserChanges};
use hallpass::store::users::{self, NewUser};

use crate::scratch;

pub struct Service {
    pub port: u16,
    /// The file of the database, where it is one.
    pub database: PathBuf,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

/// Starts it over SQLite, with settings of the test's own.
pub fn start(own_settings: &[(&str, &str)]) -> Service {
    let folder = scratch::folder();
    let database = folder.path().join("hallpass.db");
    let sqlite = format!("sqlite://{}", database.display());
    let settings = [
        ("HALLPASS_BIND", "127.0.0.1:0"),
        ("HALLPASS_PUBLIC_URL", "http://fallback.example"),
        ("HALLPASS_DATA_DIR", folder.path().to_str().unwrap()),
        ("HALLPASS_BCRYPT_COST", "4"),
        ("HALLPASS_LIMITS", "off"),
        // As in production: with origins, every answer varies with that of the request.
        ("HALLPASS_CORS_ORIGINS", "none"),
        ("HALLPASS_WORKERS", "1"),
        ("DATABASE_URL", &sqlite),
    ];
    // The last of equal names counts.
    let settings: HashMap<String, String> = settings
        .iter()
        .chain(own_settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Config::read(Source::from_values(settings)).unwrap();
    add_accounts(&config);
    let (tell, told) = channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = App::build(&config, Arc::new(SystemClock), None).unwrap();
            tell.send((app.address().port(), app.handle())).unwrap();
            app.run().await.unwrap();
        });
    });
    let (port, handle) = told.recv().unwrap();
    Service { port, database, handle, thread: Some(thread), _folder: folder }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The command goes out at once; the future only waits for its end.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn add_accounts(config: &Config) {
    let db = app::open_database(config).unwrap();
    let hasher = Hasher::start(1, config.bcrypt_cost).unwrap();
    for (name, email, password, is_staff) in [
        ("admin", "admin@naver.com", "admin", true),
        ("alice", "alice@example.com", "alice-pass", false),
        ("sleeper", "sleeper@example.com", "sleeper-pass", false),
    ] {
        let new = NewUser {
            email: Email::parse(email).ok(),
            email_verified: true,
            password_hash: {
                let whose = Requester {
                    account: name.to_owned(),
                    lane: Lane::KnownDevice(Origin::default()),
                };
                hasher.hash(whose, &PlainPassword::parse(password).unwrap()).unwrap()
            },
            is_staff,
            is_superuser: is_staff,
            ..NewUser::named(Username::unchecked(name))
        };
        // Tokens of every age are from after that, like those of a site that was moved.
        let now = UtcTime::from_seconds(0);
        let inactive = UserChanges { is_active: Some(false), ..UserChanges::default() };
        db.write(move |conn| {
            let user = users::insert_user(conn, &new, now)?;
            if new.username.as_str() == "sleeper" {
                changes::update_user(conn, user.id, &inactive, now)?;
            }
            Ok::<_, Error>(())
        })
        .unwrap();
    }
}
