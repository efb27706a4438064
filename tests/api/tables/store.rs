//! The store's contract, the same on both databases: the tables, decoy users, the writer.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types};
use hallpass::domain::{UserId, Username, UtcTime};
use hallpass::store::migrate;
use hallpass::store::sessions::candidate::{self, Login, Named};
use hallpass::store::users::{NewUser, insert_user};
use hallpass::store::{Conn, DatabaseUrl, Db, Error, PoolSettings, PreparedStatements, Result};

use crate::support::{World, at_once, on_both};

pub fn at(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(seconds)
}

pub fn database(world: &World) -> Db {
    let url = DatabaseUrl::parse(&world.database_url).unwrap();
    let wait = Duration::from_secs(10);
    Db::open(&url, PoolSettings { size: 9, wait, prepared_statements: PreparedStatements::Always })
        .unwrap()
}

fn add_people(db: &Db, numbers: Range<i32>) {
    db.write(move |conn| {
        for number in numbers {
            let username = Username::parse(&format!("person-{number}")).unwrap();
            let new = NewUser::named(username);
            insert_user(conn, &new, at(0))?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
}

/// Returns the account that is compared for an unknown name with this key.
fn find_decoy(conn: &mut Conn, key: u32) -> Result<Option<UserId>> {
    let unknown = || Named::username("unknown");
    let login = Login { device: None, named: unknown(), spelling: unknown(), decoy_key: key };
    Ok(candidate::find_candidate(conn, &login)?.compared.map(|user| user.id))
}

/// Returns the decoy users of 4,096 names.
fn chosen(db: &Db) -> Vec<Option<UserId>> {
    let keys = (0..=u32::MAX).step_by(1 << 20);
    db.read(|conn| keys.map(|key| find_decoy(conn, key)).collect()).unwrap()
}

on_both! {
    fn any_user_can_be_a_decoy_and_stays_one_when_others_join(world) {
        let db = database(&world);
        assert_eq!(db.read(|conn| find_decoy(conn, 7)).unwrap(), None);
        // Half of them came with an import, and between their numbers and the others' is a gap.
        add_people(&db, 0..600);
        world.execute("DELETE FROM users WHERE id <= 100 OR id BETWEEN 301 AND 400");
        world.execute("UPDATE users SET id = id + 5000000000 WHERE id > 400");
        let before = chosen(&db);
        let imported = before.iter().filter(|id| id.is_some_and(|id| id.0 <= 300)).count();
        assert!((1600..2500).contains(&imported), "{imported} of 4096");
        let all: HashSet<i64> = before.iter().map(|id| id.unwrap().0).collect();
        assert!(all.len() > 320, "{} of 400", all.len());
        let most = all.iter().map(|id| before.iter().filter(|it| it.unwrap().0 == *id).count()).max();
        assert!(most < Some(120), "{most:?} of 4096");

        add_people(&db, 600..601);
        let after = chosen(&db);
        let differ: HashSet<_> = before.iter().zip(&after).filter(|(old, new)| old != new).collect();
        assert_eq!(differ.len(), 1, "one gives something to who joined: {differ:?}");

        let gone = before[0].unwrap().0;
        world.execute(&format!("DELETE FROM users WHERE id = {gone}"));
        let left = chosen(&db);
        let differ: HashSet<_> = after.iter().zip(&left).filter(|(old, new)| old != new).collect();
        assert_eq!(differ.len(), 1, "one takes over from who went: {differ:?}");
    }

    fn a_failing_job_does_not_harm_those_beside_it(world) {
        let db = database(&world);
        for _ in 0..5 {
            world_of_jobs(&world, &db, |_| Err(Error::Internal("on purpose".into())));
        }
    }

    fn a_panicking_job_does_not_harm_those_beside_it(world) {
        let db = database(&world);
        for _ in 0..5 {
            world_of_jobs(&world, &db, |_| panic!("a panic on purpose"));
        }
    }

    fn a_job_that_panics_inside_a_transaction_of_its_own_leaves_nothing(world) {
        let db = database(&world);
        world_of_jobs(&world, &db, |conn| {
            diesel::Connection::transaction(conn, |conn| {
                insert_key(conn, "inner")?;
                diesel::Connection::transaction(conn, |_| -> Result<()> {
                    panic!("a panic on purpose, two levels down")
                })
            })
        });
        assert_eq!(world.count("signing_keys WHERE kid = 'inner'"), 0);
    }

    fn an_answer_comes_after_the_commit(world) {
        let db = database(&world);
        let other = database(&world);
        at_once(8, |number| {
            for round in 0..20 {
                let key = format!("{number}-{round}");
                let name = key.clone();
                db.write(move |conn| insert_key(conn, &name)).unwrap();
                let seen = other.read(|conn| {
                    sql_query(format!("SELECT kid FROM signing_keys WHERE kid = '{key}'"))
                        .execute(conn)
                        .map_err(Error::from)
                });
                seen.unwrap();
                assert_eq!(count(&other, &format!("signing_keys WHERE kid = '{key}'")), 1);
            }
        });
        assert_eq!(world.count("signing_keys"), 160);
    }

    fn a_job_that_fails_takes_back_all_it_did(world) {
        let db = database(&world);
        let outcome = db.write(|conn| {
            insert_key(conn, "half done")?;
            Err::<(), _>(Error::Internal("on purpose".into()))
        });
        assert!(outcome.is_err());
        assert_eq!(world.count("signing_keys"), 0);
    }
}

/// Many jobs at once, every fourth of them `bad`: the good ones are all done, the bad ones leave
/// nothing and fail, and the database goes on.
fn world_of_jobs(world: &World, db: &Db, bad: fn(&mut Conn) -> Result<()>) {
    let before = world.count("signing_keys");
    let outcomes = at_once(40, |number| {
        let name = uuid::Uuid::new_v4().to_string();
        let job = move |conn: &mut Conn| -> Result<()> {
            insert_key(conn, &name)?;
            if number % 4 == 0 { bad(conn) } else { Ok(()) }
        };
        let run = std::panic::AssertUnwindSafe(|| db.write(job));
        // On Postgres a transaction runs on the thread of its caller.
        std::panic::catch_unwind(run).is_ok_and(|outcome| outcome.is_ok())
    });
    for (number, done) in outcomes.iter().enumerate() {
        assert_eq!(*done, number % 4 != 0, "job {number}");
    }
    assert_eq!(world.count("signing_keys"), before + 30);
}

fn insert_key(conn: &mut Conn, kid: &str) -> Result<()> {
    let empty = match conn {
        Conn::Postgres(_) => "''::bytea",
        Conn::Sqlite(_) => "x''",
    };
    sql_query(format!(
        "INSERT INTO signing_keys (kid, algorithm, sealed_private_key, public_jwk, created_at) \
         VALUES ('{kid}', 'none', {empty}, '{{}}', 0)"
    ))
    .execute(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = sql_types::BigInt)]
    n: i64,
}

fn count(db: &Db, from: &str) -> i64 {
    let sql = format!("SELECT count(*) AS n FROM {from}");
    db.read(|conn: &mut Conn| sql_query(sql).get_result::<Count>(conn).map_err(Error::from))
        .unwrap()
        .n
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = sql_types::Text)]
    place: String,
    #[diesel(sql_type = sql_types::Text)]
    kind: String,
    #[diesel(sql_type = sql_types::BigInt)]
    nullable: i64,
}

/// Returns every column with its type and whether it may be null.
fn columns(world: &World) -> BTreeMap<String, (String, bool)> {
    let url = DatabaseUrl::parse(&world.database_url).unwrap();
    migrate(&url).unwrap();
    let sql = match url {
        DatabaseUrl::Sqlite(_) => {
            "SELECT m.name || '.' || c.name AS place, lower(c.type) AS kind, \
             CASE WHEN c.\"notnull\" = 1 OR c.pk > 0 THEN 0 ELSE 1 END AS nullable \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' \
             AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\'"
        }
        DatabaseUrl::Postgres(_) => {
            "SELECT table_name || '.' || column_name AS place, data_type::text AS kind, \
             (CASE WHEN is_nullable = 'YES' THEN 1 ELSE 0 END)::bigint AS nullable \
             FROM information_schema.columns WHERE table_schema = current_schema() \
             AND table_name NOT LIKE '\\_\\_%'"
        }
    };
    let rows = world
        .db()
        .read(|conn: &mut Conn| sql_query(sql).load::<Column>(conn).map_err(Error::from))
        .unwrap();
    rows.into_iter()
        .map(|row| {
            let kind = match row.kind.as_str() {
                "bytea" => "blob".to_owned(),
                // The only integer key of SQLite that counts up by itself.
                "integer" if row.place == "users.id" => "bigint".to_owned(),
                other => other.to_owned(),
            };
            (row.place, (kind, row.nullable == 1))
        })
        .collect()
}

#[test]
fn both_databases_have_the_same_tables() {
    let Some(postgres) = World::postgres() else { return };
    let (sqlite, postgres) = (columns(&World::sqlite()), columns(&postgres));
    assert!(sqlite.len() > 40, "{sqlite:?}");
    assert_eq!(sqlite, postgres);
}

#[derive(QueryableByName)]
struct Index {
    #[diesel(sql_type = sql_types::Text)]
    name: String,
}

#[test]
fn both_databases_have_the_same_named_indexes() {
    let Some(postgres) = World::postgres() else { return };
    let names = |world: &World, sql: &str| {
        migrate(&DatabaseUrl::parse(&world.database_url).unwrap()).unwrap();
        let rows = world
            .db()
            .read(|conn: &mut Conn| sql_query(sql).load::<Index>(conn).map_err(Error::from))
            .unwrap();
        rows.into_iter()
            .map(|row| row.name)
            .filter(|name| !name.ends_with("_key") && !name.ends_with("_pkey"))
            .collect::<HashSet<_>>()
    };
    let sqlite = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL";
    let on_postgres =
        "SELECT indexname::text AS name FROM pg_indexes WHERE schemaname = current_schema()";
    assert_eq!(names(&World::sqlite(), sqlite), names(&postgres, on_postgres));
}
