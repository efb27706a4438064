//! The table of a site's accounts: `auth_user`, or that of the site's own user model.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;

use super::catalog::{Catalog, quoted};
use crate::store::{Conn, Error, Result};

/// Fields of an account, by their names in `django.contrib.auth`.
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
/// Fields that an account needs.
const REQUIRED: [&str; 3] = ["id", "username", "password"];
/// Columns of every user model (`AbstractBaseUser`).
const SIGNATURE: [&str; 2] = ["password", "last_login"];

/// The user model of a site, as described by the operator.
#[derive(Clone, Debug, Default)]
pub struct DjangoModel {
    /// The table; detected if it is not named.
    pub table: Option<String>,
    /// Fields of `django.contrib.auth` and the columns that hold them, where the names differ.
    pub columns: Vec<(String, String)>,
}

#[derive(QueryableByName)]
struct ContentType {
    #[diesel(sql_type = Text)]
    table_name: String,
}

/// Table and columns that hold the accounts.
pub(super) struct UserTable {
    pub(super) name: String,
    /// The column of the primary key, to which other tables refer. It need not be the one that
    /// holds the user ids.
    pub(super) key: String,
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
        let key = catalog.primary_key(&name).or_else(|| {
            // A view or a copy of a table has none.
            let own = Some("id").filter(|id| catalog.has_column(&name, id));
            own.or(columns.get("id").map(String::as_str))
        });
        let key = key.unwrap_or("id").to_owned();
        Ok(Self { name, key, columns })
    }

    /// Returns the quoted column of a field, if the table has it.
    pub(super) fn column(&self, field: &str) -> Option<String> {
        self.columns.get(field).map(|column| quoted(column))
    }

    /// Returns the fields whose column has another name.
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

/// Finds the table by its columns. The content types distinguish the table of a model from similar
/// ones.
fn detect(conn: &mut Conn, catalog: &Catalog) -> Result<String> {
    // The operator has created it for the import.
    if catalog.is_view("auth_user") {
        return Ok("auth_user".to_owned());
    }
    // django-simple-history keeps former states of the accounts in such tables.
    let is_history = |table: &str| catalog.has_column(table, "history_id");
    let looks_like_users = |table: &&str| {
        SIGNATURE.iter().all(|it| catalog.has_column(table, it)) && !is_history(table)
    };
    let mut found: Vec<&str> = catalog.tables().filter(looks_like_users).collect();
    if found.len() > 1 {
        let models = content_types(conn, catalog)?;
        let of_models: Vec<&str> =
            found.iter().copied().filter(|table| models.contains(*table)).collect();
        if !of_models.is_empty() {
            found = of_models;
        }
    }
    match found[..] {
        [one] => Ok(one.to_owned()),
        [] => Err(unsuitable(
            "there is no table auth_user of a Django site, nor one of a user model: name it with \
             --table"
                .to_owned(),
        )),
        _ => {
            let names = found.join(", ");
            Err(unsuitable(format!(
                "several tables could be the accounts: {names}; choose one with --table"
            )))
        }
    }
}

/// Returns the table names that Django gives to the site's models by default.
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
