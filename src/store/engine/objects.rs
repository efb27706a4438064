//! The tables, indexes and other objects of a schema, by name: whose they are.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::store::{Conn, Result};

/// A named object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
pub(crate) struct Object {
    /// The name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// `table`, `index`, `trigger`, or another kind.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The table that an index or a trigger belongs to; of another object its own name.
    #[diesel(sql_type = Text)]
    pub of_table: String,
}

/// Returns the objects of the current schema. Those of types are included on Postgres: a table has a type of its
/// name.
pub(crate) fn list(conn: &mut Conn) -> Result<BTreeSet<Object>> {
    let sql = match conn {
        Conn::Sqlite(_) => {
            "SELECT name, type AS kind, tbl_name AS of_table FROM sqlite_schema \
             WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        }
        Conn::Postgres(_) => {
            "SELECT c.relname::text AS name, \
             CASE WHEN x.indexrelid IS NULL THEN 'table' ELSE 'index' END AS kind, \
             coalesce(t.relname, c.relname)::text AS of_table FROM pg_class c \
             LEFT JOIN pg_index x ON x.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = x.indrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() \
             UNION SELECT y.typname::text, 'type', y.typname::text FROM pg_type y \
             JOIN pg_namespace n ON n.oid = y.typnamespace \
             WHERE n.nspname = current_schema() AND y.typtype IN ('d', 'e', 'm', 'r')"
        }
    };
    Ok(diesel::sql_query(sql).load::<Object>(conn)?.into_iter().collect())
}

/// How a database compares names. SQLite takes `Users` for `users`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names {
    /// As they are.
    Exact,
    /// Without regard to the case of ASCII letters.
    WithoutCase,
}

impl Names {
    /// Returns those of a database.
    pub(crate) const fn of(conn: &Conn) -> Self {
        match conn {
            Conn::Sqlite(_) => Self::WithoutCase,
            Conn::Postgres(_) => Self::Exact,
        }
    }

    /// Returns whether two names are one.
    pub(crate) fn are_same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Exact => one == other,
            Self::WithoutCase => one.eq_ignore_ascii_case(other),
        }
    }

    /// Returns the object that has the name of `own`, if it is not `own` itself: an index may have been made before
    /// its migration, on the same table.
    pub(crate) fn find_other<'a>(
        self,
        own: &Object,
        present: &'a BTreeSet<Object>,
    ) -> Option<&'a Object> {
        // Triggers have names of their own.
        let is_rival = |it: &&Object| (it.kind == "trigger") == (own.kind == "trigger");
        let mut of_name = present.iter().filter(|it| self.are_same(&it.name, &own.name));
        of_name.find(is_rival).filter(|it| own.kind != "index" || !self.is_own(own, it))
    }

    /// Returns whether an object of the name of `own` is of its kind and table.
    pub(crate) fn is_own(self, own: &Object, other: &Object) -> bool {
        self.are_same(&own.name, &other.name)
            && own.kind == other.kind
            && self.are_same(&own.of_table, &other.of_table)
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind.as_str() {
            "index" | "trigger" => {
                write!(f, "{} (of {})", self.name, self.of_table)
            }
            _ => f.write_str(&self.name),
        }
    }
}
