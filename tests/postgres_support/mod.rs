//! The test support for Postgres does what the other tests rely on.

use crate::postgres::{self, Cluster};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = sql_types::BigInt)]
    count: i64,
}

fn count(connection: &mut PgConnection, from: &str) -> i64 {
    sql_query(format!("SELECT count(*) AS count FROM {from}"))
        .get_result::<Count>(connection)
        .expect("count rows")
        .count
}

#[test]
fn each_schema_is_empty_and_apart_from_the_others() {
    let (Some(one), Some(other)) = (postgres::fresh_schema(), postgres::fresh_schema()) else {
        return;
    };
    let mut one = PgConnection::establish(&one).expect("connect");
    let mut other = PgConnection::establish(&other).expect("connect");
    for connection in [&mut one, &mut other] {
        connection.batch_execute("CREATE TABLE things (id BIGINT)").expect("a table of its own");
    }
    one.batch_execute("INSERT INTO things VALUES (1)").expect("insert");
    assert_eq!((count(&mut one, "things"), count(&mut other, "things")), (1, 0));
}

#[test]
fn a_private_server_keeps_its_data_and_address_over_stop_and_start() {
    let Some(cluster) = Cluster::start_new() else { return };
    let url = cluster.fresh_schema();
    let mut before = PgConnection::establish(&url).expect("connect");
    before.batch_execute("CREATE TABLE things (id BIGINT)").expect("a table");
    before.batch_execute("INSERT INTO things VALUES (1)").expect("insert");

    cluster.stop();
    assert!(before.batch_execute("SELECT 1").is_err(), "the connection survived the stop");
    assert!(PgConnection::establish(&url).is_err(), "a stopped server took a connection");

    cluster.start();
    let mut after = PgConnection::establish(&url).expect("connect again");
    assert_eq!(count(&mut after, "things"), 1);
}
