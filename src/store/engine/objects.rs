//! Tables, indexes and other objects of a schema, compared by name with those of Hallpass.

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
    /// The table that an index or a trigger belongs to. For other objects, their own name.
    #[diesel(sql_type = Text)]
    pub of_table: String,
}

/// Returns the objects of the current schema. On Postgres these include types, since each table
/// has a type of the same name.
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

/// Comparison of names in a database. To SQLite, `Users` and `users` are the same table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names {
    /// Case-sensitive.
    Exact,
    /// Ignores the case of ASCII letters.
    WithoutCase,
}

impl Names {
    /// Returns the comparison of a database.
    pub(crate) const fn of(conn: &Conn) -> Self {
        match conn {
            Conn::Sqlite(_) => Self::WithoutCase,
            Conn::Postgres(_) => Self::Exact,
        }
    }

    /// Returns whether two names are equal.
    pub(crate) fn are_same(self, one: &str, other: &str) -> bool {
        match self {
            Self::Exact => one == other,
            Self::WithoutCase => one.eq_ignore_ascii_case(other),
        }
    }

    /// Returns the object of another program with the name of `own`. An index on the same table
    /// does not count: an operator may have created it before its migration.
    pub(crate) fn find_other<'a>(
        self,
        own: &Object,
        present: &'a BTreeSet<Object>,
    ) -> Option<&'a Object> {
        // Triggers have a namespace of their own.
        let is_rival = |it: &&Object| (it.kind == "trigger") == (own.kind == "trigger");
        let mut of_name = present.iter().filter(|it| self.are_same(&it.name, &own.name));
        of_name.find(is_rival).filter(|it| own.kind != "index" || !self.is_own(own, it))
    }

    /// Returns whether `other` has the name, kind and table of `own`.
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
