//! Changes in the middle of a request.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, sql_query};

use super::{World, wait_for};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Waits until another transaction waits for that of this connection.
pub fn wait_until_waited_for(conn: &mut PgConnection) {
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))";
    wait_for("a request to wait for this transaction", || {
        let count: Count = sql_query(waiting).get_result(conn).unwrap();
        (count.count > 0).then_some(())
    });
}

impl World {
    /// Executes `sql` in the middle of each request from now on: when it counts a use of a limit,
    /// which is after it has read its user and before it changes anything.
    pub fn meanwhile(&self, sql: &str) {
        self.alter("DELETE FROM limits");
        if self.is_postgres() {
            self.alter(&format!(
                "CREATE OR REPLACE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$ \
                 BEGIN {sql}; RETURN NULL; END $$"
            ));
            self.alter("DROP TRIGGER IF EXISTS meanwhile ON limits");
            self.alter(
                "CREATE TRIGGER meanwhile AFTER INSERT ON limits FOR EACH ROW \
                 EXECUTE FUNCTION meanwhile()",
            );
        } else {
            self.alter("DROP TRIGGER IF EXISTS meanwhile");
            self.alter(&format!(
                "CREATE TRIGGER meanwhile AFTER INSERT ON limits BEGIN {sql}; END"
            ));
        }
    }
}
