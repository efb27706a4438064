//! Statements that fail, as on a full disk.

use super::World;

impl World {
    /// Lets these statements on rows of tables fail.
    pub fn fail(&self, statements: &[(&str, &str)]) {
        if self.is_postgres() {
            self.alter(
                "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100'; END $$",
            );
        }
        for (table, statement) in statements {
            let action = if self.is_postgres() {
                "FOR EACH ROW EXECUTE FUNCTION fail()"
            } else {
                "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            };
            self.alter(&format!(
                "CREATE TRIGGER fail_{table} BEFORE {statement} ON {table} {action}"
            ));
        }
    }

    /// Lets them succeed again.
    pub fn mend(&self, statements: &[(&str, &str)]) {
        for (table, _) in statements {
            let on = if self.is_postgres() { format!(" ON {table}") } else { String::new() };
            self.alter(&format!("DROP TRIGGER fail_{table}{on}"));
        }
        if self.is_postgres() {
            self.alter("DROP FUNCTION fail()");
        }
    }
}
