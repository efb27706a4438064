//! Changes in the middle of a request.

use super::World;

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
