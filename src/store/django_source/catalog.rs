//! The tables and views of a site, their columns and foreign keys.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Nullable, Text};

use crate::store::{Conn, Result};

/// The tables and views of a site, with their columns.
#[derive(Default)]
pub(super) struct Catalog {
    tables: BTreeMap<String, BTreeMap<String, Column>>,
    views: BTreeSet<String>,
}

#[derive(Default)]
struct Column {
    is_key: bool,
    /// The table that a foreign key of this column refers to.
    refers_to: Option<String>,
}

#[derive(QueryableByName)]
struct CatalogRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    is_view: bool,
    #[diesel(sql_type = Bool)]
    is_key: bool,
    #[diesel(sql_type = Nullable<Text>)]
    refers_to: Option<String>,
}

impl Catalog {
    pub(super) fn read(conn: &mut Conn) -> Result<Self> {
        let sql = match conn {
            Conn::Sqlite(_) => {
                "SELECT t.name AS table_name, c.name AS name, t.type = 'view' AS is_view, \
                 c.pk > 0 AS is_key, (SELECT f.\"table\" FROM pragma_foreign_key_list(t.name) f \
                 WHERE f.\"from\" = c.name LIMIT 1) AS refers_to \
                 FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
                 WHERE t.type IN ('table', 'view')"
            }
            Conn::Postgres(_) => {
                "SELECT c.relname::text AS table_name, a.attname::text AS name, \
                 c.relkind IN ('v', 'm') AS is_view, EXISTS (SELECT 1 FROM pg_index i \
                 WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS is_key, \
                 (SELECT r.relname::text FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid \
                 WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.conkey = ARRAY[a.attnum] LIMIT 1) \
                 AS refers_to FROM pg_class c \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                 JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(c.oid) \
                 AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            }
        };
        let mut catalog = Self::default();
        for row in sql_query(sql).load::<CatalogRow>(conn)? {
            if row.is_view {
                catalog.views.insert(row.table_name.clone());
            }
            let column = Column { is_key: row.is_key, refers_to: row.refers_to };
            catalog.tables.entry(row.table_name).or_default().insert(row.name, column);
        }
        Ok(catalog)
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    pub(super) fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    pub(super) fn is_view(&self, table: &str) -> bool {
        self.views.contains(table)
    }

    pub(super) fn has_column(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|columns| columns.contains_key(column))
    }

    /// Returns the column of the primary key, if that is one column.
    pub(super) fn primary_key(&self, table: &str) -> Option<&str> {
        let mut keys = self.tables.get(table)?.iter().filter(|(_, column)| column.is_key);
        let (name, _) = keys.next()?;
        keys.next().is_none().then_some(name)
    }

    /// Returns the column of `table` that names a user of the table `users`: by its name as Django
    /// gives it, or by a foreign key.
    pub(super) fn user_column(&self, table: &str, users: &str) -> Option<&str> {
        let columns = self.tables.get(table)?;
        let is_reference = |(_, column): &(&String, &Column)| {
            column.refers_to.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(users))
        };
        let (name, _) =
            columns.get_key_value("user_id").or_else(|| columns.iter().find(is_reference))?;
        Some(name)
    }

    /// Returns the tables that the foreign keys of `table` refer to.
    pub(super) fn references(&self, table: &str) -> impl Iterator<Item = &str> {
        let columns = self.tables.get(table).into_iter().flat_map(BTreeMap::values);
        columns.filter_map(|column| column.refers_to.as_deref())
    }

    /// Returns the column of a join table that refers to the owner, beside the one that refers to
    /// `other`.
    pub(super) fn owner_column(&self, table: &str, other: &str) -> Option<&str> {
        let is_owner = |column: &&String| column.ends_with("_id") && *column != other;
        self.tables.get(table)?.keys().find(is_owner).map(String::as_str)
    }
}

/// An identifier for a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
impl Catalog {
    /// A catalog of one table.
    pub(super) fn of_table(table: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|it| ((*it).to_owned(), Column::default())).collect();
        Self { tables: BTreeMap::from([(table.to_owned(), columns)]), views: BTreeSet::new() }
    }
}
