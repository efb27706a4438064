//! A database, a clock and a mailbox, shared by all services of a test.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types};
use hallpass::app::{build_flows, transport_of};
use hallpass::clock::{Clock as _, ManualClock};
use hallpass::config::{Config, Source, Timing};
use hallpass::domain::UtcTime;
use hallpass::flows::Flows;
use hallpass::mail::transport::{Mailbox, Transport};
use hallpass::store::{self, Conn, DatabaseUrl, Db, Error, PoolSettings, PreparedStatements};
use tempfile::TempDir;

use super::TestApp;
use crate::postgres::{self, migrated::Migrated};
use crate::scratch;

/// Time at which every test begins, in seconds since the epoch.
pub const BEGINNING: i64 = 1_800_000_000;

/// The period of the keys is shorter than in service, so that tests do not wait for it. That of the
/// sync is the same: a sync costs as much as a request, and each service of each test has them. No
/// test here waits for a purge, which costs as much as several requests: they call
/// [`World::purge`]. The time-outs are longer, since a busy machine is not a fault here.
const TIMING: Timing = Timing {
    sync_period: Duration::from_millis(500),
    keys_period: Duration::from_millis(100),
    first_purge: Duration::from_hours(1),
    database_wait: Duration::from_secs(60),
    answer_limit: Duration::from_secs(60),
    refusal_pause: Duration::ZERO,
    park_after: Duration::ZERO,
};

/// An SQLite database with empty tables, created once: every world starts with a copy.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = scratch::folder();
    let file = folder.path().join("empty.db");
    store::migrate(&DatabaseUrl::Sqlite(file.clone())).unwrap();
    fs::read(file).unwrap()
});

/// The state that outlives a service: database, clock, mailbox.
pub struct World {
    folder: TempDir,
    pub database_url: String,
    pub clock: ManualClock,
    transport: Transport,
    pub(super) mailbox: Mailbox,
    /// The connections of [`Self::execute`] and the like.
    direct: OnceLock<Db>,
    /// Dropped with the world, after the services on it.
    _postgres: Option<Migrated>,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = sql_types::Text)]
    text: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = sql_types::BigInt)]
    n: i64,
}

impl World {
    /// A world with its own SQLite file.
    pub fn sqlite() -> Self {
        let folder = scratch::folder();
        let file = folder.path().join("test.db");
        fs::write(&file, EMPTY.as_slice()).unwrap();
        Self::new(folder, format!("sqlite://{}", file.display()), None)
    }

    /// A world with its own Postgres database; `None` (reported as skipped) without a server.
    pub fn postgres() -> Option<Self> {
        let postgres = Migrated::create()?;
        Some(Self::new(scratch::folder(), postgres.url.clone(), Some(postgres)))
    }

    fn new(folder: TempDir, database_url: String, postgres: Option<Migrated>) -> Self {
        let (transport, mailbox) = Transport::memory();
        let clock = ManualClock::at(UtcTime::from_seconds(BEGINNING));
        let direct = OnceLock::new();
        Self { folder, database_url, clock, transport, mailbox, direct, _postgres: postgres }
    }

    /// The same world before the first start of a service.
    pub fn without_tables(mut self) -> Self {
        if let Some(file) = self.database_url.strip_prefix("sqlite://") {
            fs::remove_file(file).unwrap();
        } else if let Some(empty) = postgres::fresh_schema() {
            self.database_url = empty;
        }
        self
    }

    /// Starts a service with the default settings.
    pub fn app(&self) -> TestApp {
        self.app_with(&[])
    }

    /// Starts a service with these settings in addition.
    pub fn app_with(&self, settings: &[(&str, &str)]) -> TestApp {
        self.app_of(self.config(settings))
    }

    /// A running service of this configuration, which may have what no setting sets.
    pub fn app_of(&self, config: Config) -> TestApp {
        TestApp::start(config, Arc::new(self.clock.clone()), self.transport.clone())
    }

    /// Starts a service that sends its mail to this server.
    pub fn app_over_smtp(&self, url: &str, settings: &[(&str, &str)]) -> TestApp {
        let config = self.config(&[&[("HALLPASS_SMTP_URL", url)], settings].concat());
        let transport = transport_of(&config).unwrap();
        TestApp::start(config, Arc::new(self.clock.clone()), transport)
    }

    /// Starts a service whose clock is `ahead` of the world's, and stands still there.
    pub fn app_ahead(&self, ahead: Duration) -> TestApp {
        self.app_ahead_of(self.config(&[]), ahead)
    }

    /// The same with this configuration.
    pub fn app_ahead_of(&self, config: Config, ahead: Duration) -> TestApp {
        let clock = ManualClock::at(self.clock.now().after(ahead));
        TestApp::start(config, Arc::new(clock), self.transport.clone())
    }

    /// The settings of this world's services.
    pub fn config(&self, settings: &[(&str, &str)]) -> Config {
        let folder = self.folder.path().display().to_string();
        let defaults = [
            ("DATABASE_URL", self.database_url.as_str()),
            ("HALLPASS_BIND", "127.0.0.1:0"),
            ("HALLPASS_PUBLIC_URL", "http://auth.test"),
            ("HALLPASS_DATA_DIR", folder.as_str()),
            ("HALLPASS_SECRET", "a secret of tests, shared by all instances"),
            ("HALLPASS_BCRYPT_COST", "4"),
            ("HALLPASS_LIMITS", "off"),
            ("HALLPASS_DATABASE_POOL", "3"),
            ("HALLPASS_WORKERS", "1"),
            ("HALLPASS_SHUTDOWN_TIMEOUT", "0s"),
        ];
        let values: HashMap<String, String> = defaults
            .iter()
            .chain(settings)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let config = Config::read(Source::from_values(values)).unwrap();
        Config { timing: TIMING, ..config }
    }

    /// Moves the clock.
    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// Returns the flows on this database, as the commands of the program have them.
    pub fn flows(&self) -> Flows {
        build_flows(&self.config(&[]), Arc::new(self.clock.clone())).unwrap()
    }

    /// Purges expired rows, as the service does every minute.
    pub fn purge(&self) {
        self.flows().purge().unwrap();
    }

    /// The time of the clock, in seconds since the epoch.
    pub fn now(&self) -> i64 {
        self.clock.now().seconds()
    }

    /// Opens the database directly.
    pub fn db(&self) -> Db {
        self.open(2, PreparedStatements::Always)
    }

    fn open(&self, size: u32, prepared_statements: PreparedStatements) -> Db {
        let url = DatabaseUrl::parse(&self.database_url).unwrap();
        let wait = TIMING.database_wait;
        Db::open_as_is(&url, PoolSettings { size, wait, prepared_statements }).unwrap()
    }

    /// The database, opened once, with one connection: each costs as much as several requests.
    /// Tables may change between two statements, so none is prepared.
    pub(super) fn direct(&self) -> &Db {
        self.direct.get_or_init(|| self.open(1, PreparedStatements::Never))
    }

    /// Changes rows directly.
    pub fn execute(&self, sql: &str) {
        let text = sql.to_owned();
        let changed =
            self.direct().write(move |conn| sql_query(text).execute(conn).map_err(Error::from));
        assert!(changed.unwrap() > 0, "no row was changed: {sql}");
    }

    /// Changes the tables themselves.
    pub fn alter(&self, sql: &str) {
        let text = sql.to_owned();
        let changed =
            self.direct().write(move |conn| sql_query(text).execute(conn).map_err(Error::from));
        changed.unwrap();
    }

    /// Returns a text from the database, which the statement calls `text`.
    pub fn text(&self, sql: &str) -> String {
        let text = self
            .direct()
            .read(|conn: &mut Conn| sql_query(sql).get_result::<Line>(conn).map_err(Error::from));
        text.unwrap().text
    }

    /// Returns the number of rows.
    pub fn count(&self, from: &str) -> i64 {
        let sql = format!("SELECT count(*) AS n FROM {from}");
        let count = self
            .direct()
            .read(|conn: &mut Conn| sql_query(sql).get_result::<Count>(conn).map_err(Error::from));
        count.unwrap().n
    }
}
