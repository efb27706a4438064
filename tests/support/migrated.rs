//! Databases with the tables of this version, each for one test at a time.
//!
//! Each is a copy of a template: with all tests in one database, the catalogs would grow to
//! hundreds of thousands of rows, and each start of a service reads them. A test that succeeds
//! returns its database, which is emptied for a later one: a new one has the cost of its files and
//! of the catalogs that its first connections read. A database with other definitions or settings
//! than the template is dropped.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Bool, Integer, Text};
use diesel::{
    Connection as _, PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
};
use hallpass::store::{self, DatabaseUrl};

use super::{
    SERVER_PROGRAMS, execute_on, execute_on_shared, fresh_name, is_outside, schema_on,
    shared_server, try_on,
};
use crate::missing::needs;

/// Way in which a database is copied.
const COPY_FILES: &str = "STRATEGY FILE_COPY";

/// Time for the connections of a test to end after it.
const LAST_CONNECTIONS: Duration = Duration::from_secs(2);

/// Size of the largest table or index of a database that is used again. Postgres plans as for this
/// size where a table is smaller, so plans do not depend on earlier tests.
const LARGEST: &str = "10 * current_setting('block_size')::bigint";

/// Catalogs with a row for each part of a definition, each with a column of the object's number.
const CATALOGS: [(&str, &str); 16] = [
    ("pg_attrdef", "adrelid"),
    ("pg_attribute", "attrelid"),
    ("pg_class", "oid"),
    ("pg_constraint", "oid"),
    ("pg_default_acl", "oid"),
    ("pg_description", "objoid"),
    ("pg_event_trigger", "oid"),
    ("pg_extension", "oid"),
    ("pg_index", "indexrelid"),
    ("pg_policy", "oid"),
    ("pg_proc", "oid"),
    ("pg_rewrite", "ev_class"),
    ("pg_sequence", "seqrelid"),
    ("pg_statistic", "starelid"),
    ("pg_trigger", "tgrelid"),
    ("pg_type", "oid"),
];

/// Returns a statement for the number of other connections, whether tables and indexes are small,
/// and the definitions and settings of a database. Each change of a definition leaves another
/// number of rows or a later transaction in a catalog. `VACUUM` leaves numbers of rows.
fn state() -> String {
    let catalogs = CATALOGS.map(|(catalog, object)| {
        // Below are the objects of Postgres itself.
        (catalog, format!("WHERE {object} >= 16384"))
    });
    let whole = ["pg_namespace", "__diesel_schema_migrations"].map(|it| (it, String::new()));
    let definitions = catalogs.iter().chain(&whole).map(|(table, of_users)| {
        format!("(SELECT concat(count(*), ' ', max(xmin::text::bigint)) FROM {table} {of_users})")
    });
    let definitions: Vec<String> = definitions.collect();
    format!(
        "WITH own AS (SELECT oid, relkind, reltuples FROM pg_class WHERE oid >= 16384) \
         SELECT pg_stat_get_db_numbackends(d.oid) - 1 AS others, \
         (SELECT max(pg_relation_size(oid)) <= {LARGEST} FROM own WHERE relkind IN ('r', 'i', 't')) \
         AS is_small, \
         concat_ws(',', {}, (SELECT sum(reltuples) FROM own), d.datallowconn, d.datconnlimit, \
         d.datacl, (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = d.oid)) \
         AS definitions FROM pg_database d WHERE d.datname = current_database()",
        definitions.join(", ")
    )
}

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Integer)]
    others: i32,
    #[diesel(sql_type = Bool)]
    is_small: bool,
    #[diesel(sql_type = Text)]
    definitions: String,
}

#[derive(QueryableByName)]
struct Statement {
    #[diesel(sql_type = Text)]
    sql: String,
}

/// Writes the statement that deletes all rows but the record of migrations, and lets sequences
/// begin anew.
const WRITE_EMPTY: &str = "SELECT format('WITH %s SELECT %s', \
     string_agg(format('%I AS (DELETE FROM %I)', 'of_' || tablename, tablename), ', '), \
     (SELECT string_agg(format('setval(%L, %s, false)', sequencename, start_value), ', ') \
     FROM pg_sequences)) AS sql FROM pg_tables \
     WHERE schemaname = current_schema() AND tablename <> '__diesel_schema_migrations'";

/// The database that is copied.
struct Template {
    /// The URL of its server, without a database.
    server: String,
    name: String,
    strategy: &'static str,
    definitions: String,
    /// The statement that empties a copy.
    empty: String,
}

impl Template {
    fn create(shared: &str, server: &str) -> Self {
        let name = fresh_name();
        let create = format!("CREATE DATABASE {name}");
        // Half as expensive as a copy by way of the log. Postgres 14 has no other, and no word for
        // it.
        let copies_files = try_on(shared, &format!("{create} {COPY_FILES}")).is_ok();
        if !copies_files {
            execute_on(shared, &create);
        }
        let url = format!("{server}/{name}");
        store::migrate(&DatabaseUrl::parse(&url).expect("a URL")).expect("migrate the template");
        let mut conn = PgConnection::establish(&url).expect("connect to the template");
        let State { definitions, .. } =
            sql_query(state()).get_result(&mut conn).expect("look at the template");
        let Statement { sql: empty } =
            sql_query(WRITE_EMPTY).get_result(&mut conn).expect("list the tables");
        let strategy = if copies_files { COPY_FILES } else { "" };
        Self { server: server.to_owned(), name, strategy, definitions, empty }
    }

    fn copy(&self, shared: &str) -> String {
        let name = fresh_name();
        let Self { name: template, strategy, .. } = self;
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} {strategy}");
        execute_on_shared(shared, &create);
        name
    }

    /// Opens the connection that empties a copy.
    fn connect(&self, copy: &str) -> QueryResult<PgConnection> {
        let opened = PgConnection::establish(&self.url_of(copy));
        let mut conn =
            opened.map_err(|error| diesel::result::Error::QueryBuilderError(error.into()))?;
        // No trigger is needed where everything is deleted.
        conn.batch_execute(&format!(
            "SET session_replication_role = replica; PREPARE state AS {}; PREPARE empty AS {}",
            state(),
            self.empty
        ))?;
        Ok(conn)
    }

    fn url_of(&self, database: &str) -> String {
        format!("{}/{database}", self.server)
    }
}

/// A copy of the template.
struct Database {
    name: String,
    /// The connection that empties it, from the first time on.
    conn: Option<PgConnection>,
    template: &'static Template,
}

impl Database {
    /// Deletes all rows. Returns whether it now is as the template.
    fn empty(&mut self) -> QueryResult<bool> {
        let conn = match &mut self.conn {
            Some(conn) => conn,
            none => none.insert(self.template.connect(&self.name)?),
        };
        let waits_until = Instant::now() + LAST_CONNECTIONS;
        let state = loop {
            let state: State = sql_query("EXECUTE state").get_result(conn)?;
            if state.others == 0 || Instant::now() > waits_until {
                break state;
            }
            thread::sleep(Duration::from_millis(2));
        };
        let State { others, is_small, definitions } = state;
        if others > 0 || !is_small || definitions != self.template.definitions {
            return Ok(false);
        }
        conn.batch_execute("EXECUTE empty")?;
        Ok(true)
    }
}

fn idle() -> MutexGuard<'static, Vec<Database>> {
    static IDLE: Mutex<Vec<Database>> = Mutex::new(Vec::new());
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tables of this version without rows, on the shared server.
pub struct Migrated {
    /// The URL of the database or, on an outside server, of the schema.
    pub url: String,
    /// The database to return at the end, on a private server.
    database: Mutex<Option<Database>>,
}

impl Migrated {
    /// Returns empty tables; `None` as with [`super::fresh_schema`].
    pub fn create() -> Option<Self> {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        let shared = needs(SERVER_PROGRAMS, shared_server())?;
        let Some(server) = shared.strip_suffix("/postgres").filter(|_| !is_outside()) else {
            let url = schema_on(shared);
            store::migrate(&DatabaseUrl::parse(&url).expect("a URL")).expect("migrate the schema");
            return Some(Self { url, database: Mutex::new(None) });
        };
        let template = TEMPLATE.get_or_init(|| Template::create(shared, server));
        let known = idle().pop();
        let database =
            known.unwrap_or_else(|| Database { name: template.copy(shared), conn: None, template });
        let url = template.url_of(&database.name);
        Some(Self { url, database: Mutex::new(Some(database)) })
    }
}

impl Drop for Migrated {
    fn drop(&mut self) {
        let database = self.database.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(mut database), Some(shared)) = (database, shared_server()) else { return };
        if !thread::panicking() && database.empty().is_ok_and(|is_empty| is_empty) {
            idle().push(database);
        } else {
            // A service of a test that failed may still be connected.
            let sql = format!("DROP DATABASE {} WITH (FORCE)", database.name);
            execute_on_shared(shared, &sql);
        }
    }
}
