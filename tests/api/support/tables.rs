//! The content of all tables, whatever their names are.

use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};
use hallpass::store::{Conn, Error};

use super::World;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl World {
    /// Returns the rows of all tables that contain `text` in any letter case, each after its
    /// table's name.
    pub fn rows_with(&self, text: &str) -> Vec<String> {
        let tables = self.lines(if self.is_postgres() {
            "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = current_schema()"
        } else {
            "SELECT name AS line FROM sqlite_master WHERE type = 'table'"
        });
        assert!(tables.len() > 6, "{tables:?}");
        let wanted = text.to_lowercase();
        let rows = tables.iter().flat_map(|table| {
            let rows = self.lines(&self.whole_rows(table));
            rows.into_iter().map(move |row| format!("{table}: {row}"))
        });
        rows.filter(|row| row.to_lowercase().contains(&wanted)).collect()
    }

    /// Returns whether the database is Postgres.
    pub fn is_postgres(&self) -> bool {
        self.database_url.starts_with("postgres")
    }

    /// Returns a query for the rows of a table, each as one text.
    fn whole_rows(&self, table: &str) -> String {
        if self.is_postgres() {
            return format!("SELECT t::text AS line FROM {table} t");
        }
        let columns = self.lines(&format!("SELECT name AS line FROM pragma_table_info('{table}')"));
        // Bytes may not be valid UTF-8.
        let text = |name: &String| {
            format!(
                "CASE typeof(\"{name}\") WHEN 'blob' THEN hex(\"{name}\") \
                 ELSE coalesce(CAST(\"{name}\" AS TEXT), '') END"
            )
        };
        let texts: Vec<String> = columns.iter().map(text).collect();
        format!("SELECT {} AS line FROM {table}", texts.join(" || '|' || "))
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        let lines = self
            .direct()
            .read(|conn: &mut Conn| sql_query(sql).load::<Line>(conn).map_err(Error::from));
        lines.unwrap().into_iter().map(|it| it.line).collect()
    }
}
