//! The order in which requests lock the counters of guesses. Two that lock them in different orders
//! can wait for each other, and one of them fails. SQLite has one writer and no such locks.

use std::thread;

use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::prelude::*;
use diesel::{PgConnection, sql_query};

use super::attempts::{HOME, MINA, limited, log_in_from};
use crate::support::account::RESET;
use crate::support::meanwhile::wait_until_waited_for;
use crate::support::{Answer, World};

/// The counters of guesses at an account, in the order of their names.
const COUNTERS: &str = "FROM limits WHERE name LIKE 'login_%' ORDER BY name COLLATE \"C\"";

/// A transaction that has the lock of the first counter.
struct Holder(PgConnection);

impl Holder {
    /// Stores the rows in the reverse order, and locks the first one. With statistics of so small a
    /// table, a statement that does not name an order scans it and finds the first one last.
    fn new(world: &World) -> Self {
        let mut conn = PgConnection::establish(&world.database_url).unwrap();
        conn.batch_execute(&format!(
            "CREATE TEMPORARY TABLE kept AS SELECT * {COUNTERS}; \
             DELETE FROM limits WHERE name IN (SELECT name FROM kept); \
             INSERT INTO limits SELECT * FROM kept ORDER BY name COLLATE \"C\" DESC; \
             DROP TABLE kept; ANALYZE limits"
        ))
        .unwrap();
        // A batch is one transaction: with this in it, all the rows would be locked.
        conn.batch_execute("BEGIN").unwrap();
        let rows = sql_query(format!("SELECT name {COUNTERS}")).execute(&mut conn).unwrap();
        assert!(rows >= 3, "{rows} counters");
        let first = format!("SELECT name {COUNTERS} LIMIT 1 FOR UPDATE");
        sql_query(first).execute(&mut conn).unwrap();
        Self(conn)
    }

    /// Waits until another transaction waits for this one, and takes the locks of the other
    /// counters as far as they are free.
    fn take_all_when_waited_for(mut self) -> QueryResult<()> {
        wait_until_waited_for(&mut self.0);
        let all = format!("SELECT name {COUNTERS} FOR UPDATE NOWAIT");
        let taken = sql_query(all).execute(&mut self.0).map(|_| ());
        self.0.batch_execute("ROLLBACK").unwrap();
        taken
    }
}

/// Fails if a request that waits for the first counter has the lock of another one.
fn locks_in_the_order_of_names(world: &World, request: impl FnOnce() -> Answer + Send) -> Answer {
    let holder = Holder::new(world);
    thread::scope(|scope| {
        let request = scope.spawn(request);
        let taken = holder.take_all_when_waited_for();
        let answer = request.join().unwrap();
        taken.unwrap_or_else(|error| panic!("another counter is locked before it: {error}"));
        answer
    })
}

#[test]
fn guesses_and_resets_lock_counters_in_the_same_order() {
    let Some(world) = World::postgres() else { return };
    let app = limited(&world);
    app.person(&world, MINA);
    app.ask_reset(MINA).is(202);
    let token = world.link_about(MINA, RESET, 1);
    let guess = || log_in_from(&app, HOME, MINA, "wrong");
    guess().refused(401, "invalid_credentials");
    locks_in_the_order_of_names(&world, guess).refused(401, "invalid_credentials");
    locks_in_the_order_of_names(&world, || {
        let body = serde_json::json!({"token": token, "new_password": "pear tree at dawn"});
        app.post_with("/v1/password-reset/confirm", &[("x-forwarded-for", HOME)], &body)
    })
    .is(204);
    guess().refused(401, "invalid_credentials");
    locks_in_the_order_of_names(&world, || log_in_from(&app, HOME, MINA, "pear tree at dawn"))
        .is(200);
}
