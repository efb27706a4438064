//! The accounts in the database of a Django site: the tables of `django.contrib.auth` and, where it is
//! installed, of django-allauth. Only ever read.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::connection::{begin_snapshot, open_to_look};
use super::{Conn, DatabaseUrl, Error, Result};
use crate::domain::UtcTime;

/// So many rows are read at a time.
const PAGE: i64 = 10_000;

/// An account as Django has it.
#[derive(Clone, Debug)]
pub struct DjangoUser {
    /// Its number.
    pub id: i64,
    /// The name to log in with, unique in Django with regard to case.
    pub username: String,
    /// The address, not unique, empty where there is none.
    pub email: String,
    /// The stored password.
    pub password: String,
    /// Whether it may log in.
    pub is_active: bool,
    /// Whether it may use the site of administration.
    pub is_staff: bool,
    /// Whether it has every right.
    pub is_superuser: bool,
    /// When it was made.
    pub date_joined: UtcTime,
    /// When it last logged in.
    pub last_login: Option<UtcTime>,
}

/// An address as django-allauth has it.
#[derive(Clone, Debug, QueryableByName)]
pub struct DjangoAddress {
    /// Whose it is.
    #[diesel(sql_type = BigInt)]
    pub user_id: i64,
    /// The address.
    #[diesel(sql_type = Text)]
    pub email: String,
    /// Whether it was proven.
    #[diesel(sql_type = Bool)]
    pub verified: bool,
    /// Whether mail goes there, which is so for one address a person.
    #[diesel(sql_type = Bool)]
    pub is_primary: bool,
}

/// What there is to import.
#[derive(Debug)]
pub struct DjangoAccounts {
    /// By number.
    pub users: Vec<DjangoUser>,
    /// By number of the person; `None` where the site has no such table.
    pub addresses: Option<Vec<DjangoAddress>>,
    /// What belongs to the accounts and is not imported.
    pub extras: DjangoExtras,
}

/// What belongs to the accounts of a site and has no place in Hallpass.
#[derive(Clone, Debug, Default)]
pub struct DjangoExtras {
    /// The users with a second factor, of django-allauth or django-otp.
    pub second_factors: Vec<i64>,
    /// The users with an account of a social log-in.
    pub social: Vec<i64>,
    /// The users in groups.
    pub in_groups: Vec<i64>,
    /// The users with permissions of their own.
    pub with_permissions: Vec<i64>,
    /// The users with a first or last name.
    pub with_names: Vec<i64>,
}

/// The tables of second factors, with the condition for one that is in use.
const SECOND_FACTORS: [(&str, &str); 8] = [
    ("mfa_authenticator", "TRUE"),
    ("otp_totp_totpdevice", "confirmed"),
    ("otp_hotp_hotpdevice", "confirmed"),
    ("otp_static_staticdevice", "confirmed"),
    ("otp_email_emaildevice", "confirmed"),
    ("otp_webauthn_webauthncredential", "confirmed"),
    ("two_factor_phonedevice", "confirmed"),
    ("two_factor_webauthndevice", "confirmed"),
];

#[derive(QueryableByName)]
struct Owner {
    #[diesel(sql_type = BigInt)]
    user_id: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    password: String,
    #[diesel(sql_type = Bool)]
    is_active: bool,
    #[diesel(sql_type = Bool)]
    is_staff: bool,
    #[diesel(sql_type = Bool)]
    is_superuser: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    date_joined: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_login: Option<i64>,
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    there: bool,
}

/// Reads everything in one snapshot, and tells `progress` how many accounts there are so far. `None`
/// where there is no table of accounts.
pub fn read_accounts(url: &DatabaseUrl, progress: fn(usize)) -> Result<Option<DjangoAccounts>> {
    let mut conn = open_to_look(url)?;
    begin_snapshot(&mut conn)?;
    if !has_table(&mut conn, "auth_user")? {
        return Ok(None);
    }
    let users = read_users(&mut conn, progress)?;
    let addresses = if has_table(&mut conn, "account_emailaddress")? {
        Some(read_addresses(&mut conn)?)
    } else {
        None
    };
    let extras = read_extras(&mut conn)?;
    // The transaction ends with the connection: there is nothing to commit.
    Ok(Some(DjangoAccounts { users, addresses, extras }))
}

/// Whether there is a table, or a view, of that name.
fn has_table(conn: &mut Conn, name: &str) -> Result<bool> {
    let found = match conn {
        Conn::Sqlite(sqlite) => sql_query(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master \
             WHERE type IN ('table', 'view') AND name = ?) AS there",
        )
        .bind::<Text, _>(name)
        .get_result::<Exists>(sqlite)?,
        Conn::Postgres(postgres) => sql_query("SELECT to_regclass($1) IS NOT NULL AS there")
            .bind::<Text, _>(name)
            .get_result(postgres)?,
    };
    Ok(found.there)
}

/// A time as microseconds since the epoch. On SQLite Django writes `2019-03-04 12:00:00.654321` in
/// UTC, without the dot and what follows where that is nought.
fn micros_in_sqlite(column: &str) -> String {
    format!(
        "CAST(strftime('%s', substr({column}, 1, 19)) AS INTEGER) * 1000000 \
         + CAST(substr(substr({column}, 21, 6) || '000000', 1, 6) AS INTEGER) AS {column}"
    )
}

fn micros_in_postgres(column: &str) -> String {
    format!("CAST(EXTRACT(EPOCH FROM {column}) * 1000000 AS BIGINT) AS {column}")
}

fn read_users(conn: &mut Conn, progress: fn(usize)) -> Result<Vec<DjangoUser>> {
    let (micros, parameters): (fn(&str) -> String, _) = match conn {
        Conn::Sqlite(_) => (micros_in_sqlite, ["?", "?"]),
        Conn::Postgres(_) => (micros_in_postgres, ["$1", "$2"]),
    };
    let statement = format!(
        "SELECT CAST(id AS BIGINT) AS id, username, email, password, \
         is_active, is_staff, is_superuser, {}, {} \
         FROM auth_user WHERE id > {} ORDER BY id LIMIT {}",
        micros("date_joined"),
        micros("last_login"),
        parameters[0],
        parameters[1],
    );
    let mut users: Vec<DjangoUser> = Vec::new();
    loop {
        let after = users.last().map_or(i64::MIN, |user| user.id);
        let page = sql_query(&statement).bind::<BigInt, _>(after).bind::<BigInt, _>(PAGE);
        let rows: Vec<Row> = match conn {
            Conn::Sqlite(sqlite) => page.load(sqlite)?,
            Conn::Postgres(postgres) => page.load(postgres)?,
        };
        if rows.is_empty() {
            return Ok(users);
        }
        for row in rows {
            users.push(row.try_into()?);
        }
        progress(users.len());
    }
}

fn read_addresses(conn: &mut Conn) -> Result<Vec<DjangoAddress>> {
    let statement = "SELECT CAST(user_id AS BIGINT) AS user_id, email, verified, \
                     \"primary\" AS is_primary FROM account_emailaddress ORDER BY user_id, id";
    Ok(match conn {
        Conn::Sqlite(sqlite) => sql_query(statement).load(sqlite)?,
        Conn::Postgres(postgres) => sql_query(statement).load(postgres)?,
    })
}

fn read_extras(conn: &mut Conn) -> Result<DjangoExtras> {
    let mut second_factors = Vec::new();
    for (table, condition) in SECOND_FACTORS {
        second_factors.extend(owners(conn, table, "user_id", condition)?);
    }
    second_factors.sort_unstable();
    second_factors.dedup();
    let has_names =
        has_column(conn, "auth_user", "first_name")? && has_column(conn, "auth_user", "last_name")?;
    let with_names = if has_names {
        owners(conn, "auth_user", "id", "first_name <> '' OR last_name <> ''")?
    } else {
        Vec::new()
    };
    Ok(DjangoExtras {
        second_factors,
        social: owners(conn, "socialaccount_socialaccount", "user_id", "TRUE")?,
        in_groups: owners(conn, "auth_user_groups", "user_id", "TRUE")?,
        with_permissions: owners(conn, "auth_user_user_permissions", "user_id", "TRUE")?,
        with_names,
    })
}

/// Lists the users with a row in a table, none where there is no such table.
fn owners(conn: &mut Conn, table: &str, column: &str, condition: &str) -> Result<Vec<i64>> {
    if !has_table(conn, table)? {
        return Ok(Vec::new());
    }
    let statement = format!(
        "SELECT DISTINCT CAST({column} AS BIGINT) AS user_id FROM {table} \
         WHERE ({condition}) AND {column} IS NOT NULL ORDER BY 1"
    );
    let rows: Vec<Owner> = match conn {
        Conn::Sqlite(sqlite) => sql_query(statement).load(sqlite)?,
        Conn::Postgres(postgres) => sql_query(statement).load(postgres)?,
    };
    Ok(rows.into_iter().map(|row| row.user_id).collect())
}

fn has_column(conn: &mut Conn, table: &str, column: &str) -> Result<bool> {
    let found = match conn {
        Conn::Sqlite(sqlite) => {
            sql_query("SELECT EXISTS (SELECT 1 FROM pragma_table_info(?) WHERE name = ?) AS there")
                .bind::<Text, _>(table)
                .bind::<Text, _>(column)
                .get_result::<Exists>(sqlite)?
        }
        Conn::Postgres(postgres) => sql_query(
            "SELECT EXISTS (SELECT 1 FROM pg_attribute \
             WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped) AS there",
        )
        .bind::<Text, _>(table)
        .bind::<Text, _>(column)
        .get_result(postgres)?,
    };
    Ok(found.there)
}

impl TryFrom<Row> for DjangoUser {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let date_joined = row.date_joined.ok_or_else(|| {
            Error::Internal(format!("date_joined of auth_user {} is no date", row.id))
        })?;
        Ok(Self {
            id: row.id,
            username: row.username,
            email: row.email,
            password: row.password,
            is_active: row.is_active,
            is_staff: row.is_staff,
            is_superuser: row.is_superuser,
            date_joined: UtcTime::from_micros(date_joined),
            last_login: row.last_login.map(UtcTime::from_micros),
        })
    }
}
