//! The tables that refer to the accounts of a site.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Nullable, Text};

use super::accounts::{DjangoAddress, DjangoExtras, DjangoSocialAccount};
use super::catalog::{Catalog, quoted};
use super::second_factors::{self, Owner, SecondFactors};
use super::text::{Written, text};
use super::user_table::UserTable;
use crate::store::{Conn, Error, Result};

/// The accounts by the primary key of their table, to which other tables refer. The user ids may be
/// in another column, and the key may not be a number.
pub(super) struct Owners<'a> {
    users: &'a UserTable,
    ids: HashMap<String, i64>,
    has_numbers: bool,
}

impl<'a> Owners<'a> {
    pub(super) fn new(users: &'a UserTable, ids: HashMap<String, i64>) -> Self {
        let has_numbers = ids.keys().all(|key| is_number(key));
        Self { users, ids, has_numbers }
    }

    /// Returns the user id of the account with that primary key; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] if the keys of the accounts have another type, so that the owner of a
    /// row of `table` is not known.
    fn find(&self, table: &str, key: &str) -> Result<Option<i64>> {
        let found = self.ids.get(key).copied();
        if found.is_none() && !self.ids.is_empty() && is_number(key) != self.has_numbers {
            let UserTable { name, key: column, .. } = self.users;
            return Err(Error::Unsuitable(format!(
                "{table} refers to the user {key:?}, which is no {column} of {name}: what it holds cannot be \
                 assigned to accounts; name the table that it refers to with --table"
            )));
        }
        Ok(found)
    }

    /// Returns the user ids for rows that name their owner by primary key.
    fn resolve<Row, T>(
        &self,
        table: &str,
        rows: Vec<Row>,
        owner: impl Fn(&Row) -> &str,
        resolved: impl Fn(Row, i64) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        for row in rows {
            if let Some(id) = self.find(table, owner(&row))? {
                found.push(resolved(row, id)?);
            }
        }
        Ok(found)
    }
}

fn is_number(key: &str) -> bool {
    key.parse::<i64>().is_ok()
}

#[derive(QueryableByName)]
struct OwnerRow {
    #[diesel(sql_type = Text)]
    owner: String,
}

#[derive(QueryableByName)]
struct AddressRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<Written>,
    #[diesel(sql_type = Nullable<Bool>)]
    verified: Option<bool>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_primary: Option<bool>,
}

#[derive(QueryableByName)]
struct SocialRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Nullable<Text>)]
    provider: Option<Written>,
    #[diesel(sql_type = Nullable<Text>)]
    uid: Option<Written>,
}

/// Returns the value of a column, or the error that names table, row and column.
fn required<T>(value: Option<T>, table: &str, row: &str, column: &str) -> Result<T> {
    let missing = || Error::Unsuitable(format!("{table}: row {row} has no {column} (NULL)"));
    value.ok_or_else(missing)
}

/// Reads the addresses of django-allauth, in the order in which they were added: `id` alone would
/// be its text in the result, in which 10 comes before 9.
pub(super) fn read_addresses(conn: &mut Conn, owners: &Owners) -> Result<Vec<DjangoAddress>> {
    let table = "account_emailaddress";
    let rows: Vec<AddressRow> = sql_query(format!(
        "SELECT CAST(id AS TEXT) AS id, CAST(user_id AS TEXT) AS owner, email, verified, \
         \"primary\" AS is_primary FROM {table} WHERE user_id IS NOT NULL ORDER BY {table}.id"
    ))
    .load(conn)?;
    let address = |row: AddressRow, user_id| {
        let AddressRow { id, email, verified, is_primary, .. } = row;
        Ok(DjangoAddress {
            user_id,
            // Some sites have NULL where Django has an empty text.
            email: text(email, table, &format!("row {id}"), "email")?.unwrap_or_default(),
            verified: required(verified, table, &id, "verified")?,
            is_primary: required(is_primary, table, &id, "primary")?,
        })
    };
    owners.resolve(table, rows, |row| &row.owner, address)
}

/// Reads the data of the accounts in other tables, except the e-mail addresses.
pub(super) fn read_extras(
    conn: &mut Conn,
    catalog: &Catalog,
    owners: &Owners,
) -> Result<DjangoExtras> {
    let name = owners.users.name.as_str();
    let mut extras = DjangoExtras::default();
    for factors in second_factors::find(catalog, name) {
        if factors.owner == Owner::Unknown {
            if has_rows(conn, &factors)? {
                extras.second_factors_of_unknown_users.push(factors.table.to_owned());
            }
            continue;
        }
        let found = read_owners_of_factors(conn, owners, &factors)?;
        if !found.is_empty() {
            extras.second_factor_tables.push(factors.table.to_owned());
            extras.second_factors.extend(found);
        }
    }
    extras.second_factors.sort_unstable();
    extras.second_factors.dedup();
    if ["first_name", "last_name"].iter().all(|it| catalog.has_column(name, it)) {
        let condition = "first_name <> '' OR last_name <> ''";
        extras.with_names = read_owners(conn, owners, name, &owners.users.key, condition)?;
    }
    let (groups, permissions) = (format!("{name}_groups"), format!("{name}_user_permissions"));
    if let Some(column) = catalog.owner_column(&groups, "group_id") {
        extras.in_groups = read_owners(conn, owners, &groups, column, "TRUE")?;
    }
    if let Some(column) = catalog.owner_column(&permissions, "permission_id") {
        extras.with_permissions = read_owners(conn, owners, &permissions, column, "TRUE")?;
    }
    if ["user_id", "provider", "uid"].iter().all(|it| catalog.has_column(SOCIAL_ACCOUNTS, it)) {
        extras.social = read_social(conn, owners)?;
    }
    Ok(extras)
}

const SOCIAL_ACCOUNTS: &str = "socialaccount_socialaccount";

fn read_social(conn: &mut Conn, owners: &Owners) -> Result<Vec<DjangoSocialAccount>> {
    let rows: Vec<SocialRow> = sql_query(format!(
        "SELECT CAST(id AS TEXT) AS id, CAST(user_id AS TEXT) AS owner, provider, uid FROM {SOCIAL_ACCOUNTS} \
         WHERE user_id IS NOT NULL ORDER BY {SOCIAL_ACCOUNTS}.id"
    ))
    .load(conn)?;
    let account = |row: SocialRow, user_id| {
        let SocialRow { id, provider, uid, .. } = row;
        let read = |value, column| {
            let value = text(value, SOCIAL_ACCOUNTS, &format!("row {id}"), column)?;
            required(value, SOCIAL_ACCOUNTS, &id, column)
        };
        let (provider, uid) = (read(provider, "provider")?, read(uid, "uid")?);
        Ok(DjangoSocialAccount { user_id, provider, uid })
    };
    owners.resolve(SOCIAL_ACCOUNTS, rows, |row| &row.owner, account)
}

/// Lists the users with a second factor in one table.
fn read_owners_of_factors(
    conn: &mut Conn,
    owners: &Owners,
    factors: &SecondFactors,
) -> Result<Vec<i64>> {
    let SecondFactors { table, owner, condition } = factors;
    let users = owners.users;
    match (owner, users.column("username")) {
        (Owner::Key(column), _) => read_owners(conn, owners, table, column, condition),
        (Owner::Username, Some(username)) => {
            let table = quoted(table);
            let condition = format!(
                "CAST({username} AS TEXT) IN (SELECT username FROM {table} WHERE {condition})"
            );
            read_owners(conn, owners, &users.name, &users.key, &condition)
        }
        (Owner::Username, None) | (Owner::Unknown, _) => Ok(Vec::new()),
    }
}

/// Returns whether a table has a second factor that is in use.
fn has_rows(conn: &mut Conn, factors: &SecondFactors) -> Result<bool> {
    let SecondFactors { table, condition, .. } = factors;
    let sql = format!(
        "SELECT '' AS owner WHERE EXISTS (SELECT 1 FROM {} WHERE {condition})",
        quoted(table)
    );
    Ok(!sql_query(sql).load::<OwnerRow>(conn)?.is_empty())
}

/// Lists the users with a row in a table.
fn read_owners(
    conn: &mut Conn,
    owners: &Owners,
    table: &str,
    column: &str,
    condition: &str,
) -> Result<Vec<i64>> {
    let (from, column) = (quoted(table), quoted(column));
    let rows: Vec<OwnerRow> = sql_query(format!(
        "SELECT DISTINCT CAST({column} AS TEXT) AS owner FROM {from} \
         WHERE ({condition}) AND {column} IS NOT NULL"
    ))
    .load(conn)?;
    let mut found = owners.resolve(table, rows, |row| &row.owner, |_, id| Ok(id))?;
    found.sort_unstable();
    Ok(found)
}
