//! The table of a site's accounts: `auth_user`, or that of the site's own user model.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};

use crate::store::{Conn, Error, Result};

/// Fields of an account, as `django.contrib.auth` names them.
pub(super) const FIELDS: [&str; 9] = [
    "id",
    "username",
    "email",
    "password",
    "is_active",
    "is_staff",
    "is_superuser",
    "date_joined",
    "last_login",
];
/// Fields without which no account can be imported.
const REQUIRED: [&str; 3] = ["id", "username", "password"];
/// Columns of every user model (`AbstractBaseUser`).
const SIGNATURE: [&str; 2] = ["password", "last_login"];

/// The operator's description of the user model of a site.
#[derive(Clone, Debug, Default)]
pub struct DjangoModel {
    /// The table; found by itself where it is not named.
    pub table: Option<String>,
    /// Fields of `django.contrib.auth` and the columns that hold them, where the names differ.
    pub columns: Vec<(String, String)>,
}

/// The beginning of the tables of django-otp and its plug-ins: each kind of device has one.
const OTP_TABLES: &str = "otp_";
/// Tables of the second factors of other packages: django-allauth, django-two-factor-auth, django-trench,
/// django-multifactor, django-mfa, kagi, django-u2f, deux.
const OTHER_SECOND_FACTORS: [&str; 18] = [
    "mfa_authenticator",
    "two_factor_phonedevice",
    "two_factor_webauthndevice",
    "phonenumber_phonedevice",
    "trench_mfamethod",
    "multifactor_userkey",
    "django_mfa_userotp",
    "django_mfa_u2fkey",
    "mfa_userotp",
    "mfa_u2fkey",
    "kagi_totpdevice",
    "kagi_webauthnkey",
    "kagi_backupcode",
    "u2f_u2fkey",
    "u2f_totpdevice",
    "django_u2f_u2fkey",
    "django_otp_webauthn_webauthncredential",
    "deux_multifactorauth",
];

/// The tables and views of a site, with their columns.
pub(super) struct Catalog {
    tables: BTreeMap<String, BTreeSet<String>>,
    views: BTreeSet<String>,
}

#[derive(QueryableByName)]
struct CatalogRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    is_view: bool,
}

#[derive(QueryableByName)]
struct ContentType {
    #[diesel(sql_type = Text)]
    table_name: String,
}

impl Catalog {
    pub(super) fn read(conn: &mut Conn) -> Result<Self> {
        let sql = match conn {
            Conn::Sqlite(_) => {
                "SELECT t.name AS table_name, c.name AS name, t.type = 'view' AS is_view \
                 FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
                 WHERE t.type IN ('table', 'view')"
            }
            Conn::Postgres(_) => {
                "SELECT c.relname::text AS table_name, a.attname::text AS name, \
                 c.relkind IN ('v', 'm') AS is_view FROM pg_class c \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(c.oid) \
                 AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            }
        };
        let mut catalog = Self { tables: BTreeMap::new(), views: BTreeSet::new() };
        for row in sql_query(sql).load::<CatalogRow>(conn)? {
            if row.is_view {
                catalog.views.insert(row.table_name.clone());
            }
            catalog.tables.entry(row.table_name).or_default().insert(row.name);
        }
        Ok(catalog)
    }

    pub(super) fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    pub(super) fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// Returns the tables of second factors that name a user id, with the condition for one that is in use.
    pub(super) fn second_factors(&self) -> impl Iterator<Item = (&str, String)> {
        let is_one =
            |table: &str| table.starts_with(OTP_TABLES) || OTHER_SECOND_FACTORS.contains(&table);
        let tables = self
            .tables
            .iter()
            .filter(move |(table, columns)| is_one(table) && columns.contains("user_id"));
        tables.map(|(table, columns)| {
            let marks = ["confirmed", "is_active", "enabled"];
            let mark = marks.into_iter().find(|mark| columns.contains(*mark));
            let condition = mark.map_or("TRUE".to_owned(), |it| format!("COALESCE({it}, TRUE)"));
            (table.as_str(), condition)
        })
    }

    /// The column of a table of pairs that says whose a pair is, beside the one that says what.
    pub(super) fn owner_column(&self, table: &str, other: &str) -> Option<&str> {
        let is_owner = |column: &&String| column.ends_with("_id") && *column != other;
        self.tables.get(table)?.iter().find(is_owner).map(String::as_str)
    }
}

/// Table and columns that hold the accounts.
pub(super) struct UserTable {
    pub(super) name: String,
    columns: BTreeMap<&'static str, String>,
}

impl UserTable {
    pub(super) fn find(conn: &mut Conn, catalog: &Catalog, model: &DjangoModel) -> Result<Self> {
        let name = match &model.table {
            Some(name) if catalog.has_table(name) => name.clone(),
            Some(name) => return Err(unsuitable(no_table(name))),
            None => detect(conn, catalog)?,
        };
        let columns = columns_of(catalog, &name, &model.columns)?;
        Ok(Self { name, columns })
    }

    /// The quoted column of a field, if the table has it.
    pub(super) fn column(&self, field: &str) -> Option<String> {
        self.columns.get(field).map(|column| quoted(column))
    }

    /// The column of the primary key.
    pub(super) fn key(&self) -> Option<&str> {
        self.columns.get("id").map(String::as_str)
    }

    /// The fields that are not in a column of their own name.
    pub(super) fn renamed(&self) -> impl Iterator<Item = String> + '_ {
        self.columns
            .iter()
            .filter(|(field, column)| *field != column)
            .map(|(field, column)| format!("{field}={column}"))
    }
}

fn no_table(name: &str) -> String {
    match name.split_once('.') {
        Some((schema, table)) => format!(
            "there is no table {name}: a schema is not part of the name; add \
             ?options=-csearch_path%3D{schema} to the URL and use --table {table}"
        ),
        None => format!("there is no table {name}"),
    }
}

fn unsuitable(cause: String) -> Error {
    Error::Unsuitable(cause)
}

/// An identifier for a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Finds the table by its columns. The content types tell a model's table from others that look alike.
fn detect(conn: &mut Conn, catalog: &Catalog) -> Result<String> {
    // Made for Hallpass by the operator.
    if catalog.views.contains("auth_user") {
        return Ok("auth_user".to_owned());
    }
    // django-simple-history keeps former states of the accounts in such tables.
    let is_history = |table: &str| catalog.has_column(table, "history_id");
    let looks_like_users = |table: &&String| {
        SIGNATURE.iter().all(|it| catalog.has_column(table, it)) && !is_history(table)
    };
    let mut found: Vec<&String> = catalog.tables.keys().filter(looks_like_users).collect();
    if found.len() > 1 {
        let models = content_types(conn, catalog)?;
        let of_models: Vec<&String> =
            found.iter().copied().filter(|table| models.contains(*table)).collect();
        if !of_models.is_empty() {
            found = of_models;
        }
    }
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(unsuitable(
            "there is no table auth_user of a Django site, nor one of a user model: name it with \
             --table"
                .to_owned(),
        )),
        _ => {
            let names: Vec<&str> = found.iter().map(|it| it.as_str()).collect();
            Err(unsuitable(format!(
                "several tables could be the accounts: {}; choose one with --table",
                names.join(", ")
            )))
        }
    }
}

/// The tables that Django gives to the site's models, unless they name another.
fn content_types(conn: &mut Conn, catalog: &Catalog) -> Result<BTreeSet<String>> {
    if !catalog.has_column("django_content_type", "app_label") {
        return Ok(BTreeSet::new());
    }
    let sql =
        "SELECT CAST(app_label || '_' || model AS TEXT) AS table_name FROM django_content_type";
    let rows: Vec<ContentType> = sql_query(sql).load(conn)?;
    Ok(rows.into_iter().map(|row| row.table_name).collect())
}

fn columns_of(
    catalog: &Catalog,
    table: &str,
    chosen: &[(String, String)],
) -> Result<BTreeMap<&'static str, String>> {
    for (field, column) in chosen {
        if !FIELDS.contains(&field.as_str()) {
            let known = FIELDS.join(", ");
            return Err(unsuitable(format!("--column {field}: a field is one of {known}")));
        }
        if !catalog.has_column(table, column) {
            return Err(unsuitable(format!("{table} has no column {column}")));
        }
    }
    let column_of = |field: &str| {
        let named =
            chosen.iter().rfind(|(name, _)| name == field).map(|(_, column)| column.clone());
        named.or_else(|| catalog.has_column(table, field).then(|| field.to_owned()))
    };
    let mut columns = BTreeMap::new();
    for field in FIELDS {
        let found = match field {
            // A model without a user name has USERNAME_FIELD = "email".
            "username" => column_of(field).or_else(|| column_of("email")),
            _ => column_of(field),
        };
        match found {
            Some(column) => drop(columns.insert(field, column)),
            None if REQUIRED.contains(&field) => {
                return Err(unsuitable(format!(
                    "{table} has no column {field}: name the one that holds it with \
                     --column {field}=NAME"
                )));
            }
            None => {}
        }
    }
    Ok(columns)
}
