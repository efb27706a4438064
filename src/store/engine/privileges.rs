//! Privileges of the role on Postgres that the start and the requests need.

use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};

use crate::store::{Conn, Error, Result};

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    search_path: String,
    #[diesel(sql_type = Nullable<Text>)]
    schema: Option<String>,
    #[diesel(sql_type = Bool)]
    may_create: bool,
}

#[derive(QueryableByName)]
struct Privilege {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Text)]
    of_table: String,
    #[diesel(sql_type = Text)]
    name: String,
}

/// Refuses a connection that has no schema to find tables in.
pub(crate) fn require_schema(conn: &mut Conn) -> Result<()> {
    let Some(Place { role, search_path, schema: None, .. }) = place(conn)? else { return Ok(()) };
    Err(Error::Unsuitable(format!(
        "the search_path ({search_path}) names no schema that exists and that the role {role} may \
         use: correct it in DATABASE_URL, or CREATE SCHEMA ... AUTHORIZATION {role}"
    )))
}

/// Refuses a role that could not run the migrations that are missing.
pub(crate) fn require_create(conn: &mut Conn, missing: usize) -> Result<()> {
    let Some(place) = place(conn)? else { return Ok(()) };
    if place.may_create {
        return Ok(());
    }
    let (role, schema) = (place.role, place.schema.unwrap_or_default());
    Err(Error::Unsuitable(format!(
        "{missing} migrations are missing, and the role {role} may not make tables in the schema \
         {schema}: GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}, or run `hallpass migrate` as a \
         role that may"
    )))
}

/// Refuses a role that lacks one of these privileges on one of the tables. A table that does not
/// exist lacks none.
pub(crate) fn require_use(conn: &mut Conn, tables: &[&str], needed: &[&str]) -> Result<()> {
    let Conn::Postgres(postgres) = conn else { return Ok(()) };
    let lacking: Vec<Privilege> = diesel::sql_query(
        "SELECT quote_ident(current_user) AS role, c.relnamespace::regnamespace::text AS schema, \
         t.name AS of_table, p.name AS name \
         FROM unnest(string_to_array($1, ' ')) WITH ORDINALITY t(name, place) \
         JOIN pg_class c ON c.oid = to_regclass(t.name) \
         CROSS JOIN unnest(string_to_array($2, ' ')) WITH ORDINALITY p(name, place) \
         WHERE NOT has_table_privilege(c.oid, p.name) ORDER BY t.place, p.place",
    )
    .bind::<Text, _>(tables.join(" "))
    .bind::<Text, _>(needed.join(" "))
    .load(postgres)?;
    let Some(Privilege { role, schema, of_table, .. }) = lacking.first() else { return Ok(()) };
    let of_first = lacking.iter().filter(|it| it.of_table == *of_table);
    let names: Vec<&str> = of_first.map(|it| it.name.as_str()).collect();
    Err(Error::Unsuitable(format!(
        "the role {role} may not {} on the table {of_table}: GRANT SELECT, INSERT, UPDATE, DELETE ON \
         ALL TABLES IN SCHEMA {schema} TO {role}",
        names.join(", ")
    )))
}

/// Returns schema and role of a connection; `None` on SQLite, which has neither.
fn place(conn: &mut Conn) -> Result<Option<Place>> {
    let Conn::Postgres(postgres) = conn else { return Ok(None) };
    let sql = "SELECT quote_ident(current_user) AS role, \
               current_setting('search_path') AS search_path, \
               quote_ident(current_schema()) AS schema, \
               coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE) AS may_create";
    Ok(Some(diesel::sql_query(sql).get_result(postgres)?))
}
