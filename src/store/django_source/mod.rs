//! The accounts in the database of a Django site: the tables of `django.contrib.auth` and, where it
//! is installed, of django-allauth. Only ever read.

mod accounts;
mod catalog;
mod related;
mod second_factors;
mod text;
mod user_table;

use std::collections::HashMap;

use diesel::connection::DefaultLoadingMode;
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::{Conn, DatabaseUrl, Error, Result};
use crate::domain::UtcTime;
use crate::store::engine::connection::open_to_look;
use crate::store::engine::transaction::begin_snapshot;
pub use accounts::{DjangoAccounts, DjangoAddress, DjangoExtras, DjangoSocialAccount, DjangoUser};
use catalog::{Catalog, quoted};
use related::Owners;
use text::{Written, text};
pub use user_table::DjangoModel;
use user_table::UserTable;

/// The highest user id that is imported: JSON numbers are exact up to 2^53 - 1, and the ids of new
/// users come above it.
const MAX_ID: i64 = (1 << 53) - 1;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<Written>,
    #[diesel(sql_type = Nullable<Text>)]
    id: Option<Written>,
    #[diesel(sql_type = Nullable<Text>)]
    username: Option<Written>,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<Written>,
    #[diesel(sql_type = Nullable<Text>)]
    password: Option<Written>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_active: Option<bool>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_staff: Option<bool>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_superuser: Option<bool>,
    #[diesel(sql_type = Nullable<BigInt>)]
    date_joined: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_login: Option<i64>,
}

/// Reads all accounts in one snapshot, and reports the number read so far to `progress`.
///
/// # Errors
/// [`Error::Unsuitable`] if the accounts cannot be found, or one of them cannot be imported.
pub fn read_accounts(
    url: &DatabaseUrl,
    model: &DjangoModel,
    progress: fn(usize),
) -> Result<DjangoAccounts> {
    let mut conn = open_to_look(url)?;
    begin_snapshot(&mut conn)?;
    let catalog = Catalog::read(&mut conn)?;
    let table = UserTable::find(&mut conn, &catalog, model)?;
    let (users, owners) = read_users(&mut conn, &table, progress)?;
    let addresses = if catalog.has_table("account_emailaddress") {
        Some(related::read_addresses(&mut conn, &owners)?)
    } else {
        None
    };
    let extras = related::read_extras(&mut conn, &catalog, &owners)?;
    let renamed: Vec<String> = table.renamed().collect();
    let table = if renamed.is_empty() {
        table.name
    } else {
        format!("{} ({})", table.name, renamed.join(", "))
    };
    // The transaction ends with the connection: there is nothing to commit.
    Ok(DjangoAccounts { table, users, addresses, extras })
}

/// Microseconds of a value that is no date, or one that Python does not have: `infinity`, and years
/// above 9999.
const NO_DATE: i64 = i64::MIN;

/// Returns SQL for a time as microseconds since the epoch. On SQLite Django writes `2019-03-04
/// 12:00:00.654321` in UTC, without the fraction if it is zero; other programs add a time zone.
fn micros_in_sqlite(column: &str) -> String {
    let zone = format!("ltrim(substr({column}, 20), '.0123456789')");
    format!(
        "CASE WHEN {column} IS NOT NULL THEN COALESCE( \
         CAST(strftime('%s', substr({column}, 1, 19) || {zone}) AS INTEGER) * 1000000 \
         + CASE WHEN substr({column}, 20, 1) = '.' \
           THEN CAST(round(CAST('0' || substr({column}, 20) AS REAL) * 1000000) AS INTEGER) ELSE 0 END, \
         {NO_DATE}) END"
    )
}

fn micros_in_postgres(column: &str) -> String {
    format!(
        "CASE WHEN {column} IS NULL THEN NULL WHEN isfinite({column}) AND {column} < '10000-01-01 00:00:00+00' \
         THEN CAST(EXTRACT(EPOCH FROM {column}) * 1000000 AS BIGINT) ELSE {NO_DATE} END"
    )
}

/// Reads row by row, so that the type of the key does not matter. Returns the accounts by user id,
/// and by the primary key, to which other tables refer.
fn read_users<'a>(
    conn: &mut Conn,
    table: &'a UserTable,
    progress: fn(usize),
) -> Result<(Vec<DjangoUser>, Owners<'a>)> {
    let micros = match conn {
        Conn::Sqlite(_) => micros_in_sqlite,
        Conn::Postgres(_) => micros_in_postgres,
    };
    let or_else = |field, default: &str| table.column(field).unwrap_or(default.to_owned());
    let time = |field| table.column(field).map_or("NULL".to_owned(), |it| micros(&it));
    let statement = format!(
        "SELECT CAST({} AS TEXT) AS key, CAST({} AS TEXT) AS id, CAST({} AS TEXT) AS username, CAST({} AS TEXT) AS email, \
         CAST({} AS TEXT) AS password, {} AS is_active, {} AS is_staff, {} AS is_superuser, \
         CAST({} AS BIGINT) AS date_joined, CAST({} AS BIGINT) AS last_login FROM {}",
        quoted(&table.key),
        or_else("id", "NULL"),
        or_else("username", "NULL"),
        or_else("email", "NULL"),
        or_else("password", "NULL"),
        or_else("is_active", "TRUE"),
        or_else("is_staff", "FALSE"),
        or_else("is_superuser", "FALSE"),
        time("date_joined"),
        time("last_login"),
        quoted(&table.name),
    );
    let mut users: Vec<DjangoUser> = Vec::new();
    let mut ids: HashMap<String, i64> = HashMap::new();
    let mut take = |row: QueryResult<Row>| {
        let position = users.len() + 1;
        let mut row = row.map_err(|error| unreadable(error, table, position))?;
        let key = row.key.take();
        let user = user(row, table, position)?;
        if let Some(Written(Ok(key))) = key {
            ids.insert(key, user.id);
        }
        users.push(user);
        progress(users.len());
        Ok::<_, Error>(())
    };
    let query = sql_query(statement);
    match conn {
        Conn::Sqlite(sqlite) => {
            query.load_iter::<Row, DefaultLoadingMode>(sqlite)?.try_for_each(&mut take)?;
        }
        Conn::Postgres(postgres) => {
            query.load_iter::<Row, PgRowByRowLoadingMode>(postgres)?.try_for_each(&mut take)?;
        }
    }
    users.sort_by_key(|user| user.id);
    Ok((users, Owners::new(table, ids)))
}

/// Returns the error for a value of another type, with its column if the database's library names
/// it.
fn unreadable(error: diesel::result::Error, table: &UserTable, position: usize) -> Error {
    match error {
        diesel::result::Error::DeserializationError(cause) => Error::Unsuitable(format!(
            "{}: row {position} in the order of the table cannot be read: {cause}",
            table.name
        )),
        other => other.into(),
    }
}

/// Returns the account of a row, or the reason why it cannot be imported.
fn user(row: Row, table: &UserTable, position: usize) -> Result<DjangoUser> {
    let refuse =
        |place: &str, cause: &str| Error::Unsuitable(format!("{}: {place} {cause}", table.name));
    let read = |value, place: &str, field| text(value, &table.name, place, field);
    let written = read(row.id, &format!("row {position}"), "id")?.unwrap_or_default();
    let Ok(id) = written.parse::<i64>() else {
        return Err(refuse(
            &format!("row {position}, key {written:?}"),
            "is no number. Hallpass numbers users, and what other services store by user id would no \
             longer be right: give the accounts a column with numbers, and name it with --column id=NAME",
        ));
    };
    let place = format!("row {id}");
    if id > MAX_ID {
        let cause = format!("has an id above {MAX_ID}, which leaves none for new users");
        return Err(refuse(&place, &cause));
    }
    let missing = |field: &str| Err(refuse(&place, &format!("has no {field} (NULL)")));
    let Some(username) = read(row.username, &place, "username")? else {
        return missing("username");
    };
    let Some(is_active) = row.is_active else { return missing("is_active") };
    let Some(is_staff) = row.is_staff else { return missing("is_staff") };
    let Some(is_superuser) = row.is_superuser else { return missing("is_superuser") };
    let no_date = |field: &str| refuse(&place, &format!("has no {field} that is a date"));
    let date_joined = match (row.date_joined, table.column("date_joined")) {
        (Some(NO_DATE), _) | (None, Some(_)) => return Err(no_date("date_joined")),
        (Some(micros), _) => UtcTime::from_micros(micros),
        (None, None) => UtcTime::from_micros(0),
    };
    if row.last_login == Some(NO_DATE) {
        return Err(no_date("last_login"));
    }
    Ok(DjangoUser {
        row: position,
        id,
        username,
        // Some sites have NULL where Django has an empty text.
        email: read(row.email, &place, "email")?.unwrap_or_default(),
        password: read(row.password, &place, "password")?.unwrap_or_default(),
        is_active,
        is_staff,
        is_superuser,
        date_joined,
        last_login: row.last_login.map(UtcTime::from_micros),
    })
}
