//! The store's contract, the same on both databases: the tables, the outbox, the writer.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types};
use hallpass::domain::{
    Email, Locale, MailId, Metadata, PasswordHash, Roles, UserId, Username, UtcTime,
};
use hallpass::store::migrate;
use hallpass::store::outbox::{self, Claim, MailKind, MailStatus, PutBack, QueuedMail, Selection};
use hallpass::store::users::{NewUser, insert_user};
use hallpass::store::{Conn, DatabaseUrl, Db, Error, PoolSettings, Result, decoy_users};

use crate::support::{World, at_once, on_both};

fn at(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(seconds)
}

fn database(world: &World) -> Db {
    let url = DatabaseUrl::parse(&world.database_url).unwrap();
    let wait = Duration::from_secs(10);
    Db::open(&url, PoolSettings { size: 9, wait, prepared_statements: true }).unwrap()
}

fn order_mails(db: &Db, count: usize) {
    db.write(move |conn| {
        for number in 0..count {
            let email = Email::parse(&format!("p{number}@example.com")).unwrap();
            let kind = MailKind::Registration;
            outbox::enqueue(conn, kind, &email, &Locale::default(), "x", None, at(0))?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
}

fn order_at(db: &Db, address: &str, second: i64) {
    let email = Email::parse(address).unwrap();
    db.write(move |conn| {
        let (kind, locale) = (MailKind::Registration, Locale::default());
        outbox::enqueue(conn, kind, &email, &locale, "x", None, at(second))
    })
    .unwrap();
}

fn lease(db: &Db, token: &str, limit: i64, now: i64, until: i64) -> Vec<MailId> {
    let leased = lease_mails(db, claim(token, limit, now, until));
    leased.into_iter().map(|mail| mail.id).collect()
}

fn lease_mails(db: &Db, claim: Claim) -> Vec<QueuedMail> {
    db.write(move |conn| outbox::lease_due(conn, &claim)).unwrap()
}

fn claim(token: &str, limit: i64, now: i64, until: i64) -> Claim {
    Claim {
        lease: token.to_owned(),
        limit,
        is_for_waiting: false,
        without_domains: Vec::new(),
        now: at(now),
        until: at(until),
    }
}

fn finish(db: &Db, id: &MailId, token: &str, status: MailStatus) -> bool {
    let (id, token) = (id.clone(), token.to_owned());
    db.write(move |conn| outbox::finish(conn, &id, &token, status, None, at(1))).unwrap()
}

fn reschedule(db: &Db, id: &MailId, token: &str, next: i64) -> bool {
    let (id, token) = (id.clone(), token.to_owned());
    let error = "later".to_owned();
    let reschedule = PutBack { error, next_attempt_at: at(next), attempts: 1, unconfirmed: 0 };
    db.write(move |conn| outbox::reschedule(conn, &id, &token, &reschedule)).unwrap()
}

fn retry(db: &Db, id: Option<&MailId>, now: i64) -> usize {
    let id = id.map(|id| id.0.clone());
    let retried = db.write(move |conn| match id {
        Some(id) => outbox::retry(conn, &id, at(now)).map(usize::from),
        None => outbox::retry_dead(conn, at(now), 100),
    });
    retried.unwrap()
}

fn add_people(db: &Db, numbers: Range<i32>) {
    db.write(move |conn| {
        for number in numbers {
            let new = NewUser {
                username: Username::parse(&format!("person-{number}")).unwrap(),
                email: None,
                email_verified: false,
                password_hash: PasswordHash::unusable(),
                is_staff: false,
                is_superuser: false,
                locale: Locale::default(),
                roles: Roles::default(),
                app_metadata: Metadata::default(),
            };
            insert_user(conn, &new, at(0))?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
}

/// Who stands in for 4,096 names.
fn chosen(db: &Db) -> Vec<Option<UserId>> {
    let keys = (0..=u32::MAX).step_by(1 << 20);
    db.read(|conn| keys.map(|key| decoy_users::find(conn, key)).collect()).unwrap()
}

on_both! {
    fn anybody_may_stand_in_and_goes_on_when_others_join(world) {
        let db = database(&world);
        assert_eq!(db.read(|conn| decoy_users::find(conn, 7)).unwrap(), None);
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

    fn a_mail_is_never_leased_twice(world) {
        let db = database(&world);
        order_mails(&db, 200);
        let leased = at_once(8, |number| {
            let mut mine = Vec::new();
            loop {
                let some = lease(&db, &format!("holder {number}"), 7, 1, 100);
                if some.is_empty() {
                    return mine;
                }
                mine.extend(some);
            }
        });
        let all: Vec<MailId> = leased.into_iter().flatten().collect();
        assert_eq!(all.len(), 200);
        assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 200);
    }

    fn a_lease_that_ran_out_is_anybodys_and_its_holder_may_note_nothing_more(world) {
        let db = database(&world);
        order_mails(&db, 1);
        let id = lease(&db, "first", 10, 0, 20).remove(0);
        assert!(lease(&db, "second", 10, 19, 40).is_empty());
        let (renewed, token) = (id.clone(), "first");
        db.write(move |conn| outbox::renew(conn, &renewed, token, at(30))).unwrap();
        assert!(lease(&db, "second", 10, 29, 40).is_empty());
        assert_eq!(lease(&db, "second", 10, 30, 50), std::slice::from_ref(&id));
        assert!(!finish(&db, &id, "first", MailStatus::Sent));
        assert!(!reschedule(&db, &id, "first", 40));
        let (renewed, token) = (id.clone(), "first");
        db.write(move |conn| outbox::renew(conn, &renewed, token, at(90))).unwrap();
        assert_eq!(lease(&db, "third", 10, 50, 70), std::slice::from_ref(&id));
        assert!(finish(&db, &id, "third", MailStatus::Sent));
        assert!(!finish(&db, &id, "third", MailStatus::Dead));
        assert!(lease(&db, "fourth", 10, 1_000, 1_020).is_empty());
    }

    fn a_mail_that_was_put_back_waits_for_its_time_and_counts_its_tries(world) {
        let db = database(&world);
        order_mails(&db, 1);
        let id = lease(&db, "a", 10, 0, 20).remove(0);
        assert!(reschedule(&db, &id, "a", 60));
        assert!(lease(&db, "b", 10, 59, 80).is_empty());
        let mails = lease_mails(&db, claim("b", 10, 60, 80));
        assert_eq!((mails[0].attempts, mails[0].created_at), (1, at(0)));
        let line = db.read(|conn| outbox::list(conn, &Selection::Open, 10)).unwrap().remove(0);
        assert_eq!((line.status.as_str(), line.last_error.as_deref()), ("queued", Some("later")));
    }

    fn a_dead_mail_is_listed_and_lives_again_when_asked_for(world) {
        let db = database(&world);
        order_mails(&db, 3);
        let ids = lease(&db, "a", 10, 0, 20);
        for (id, status) in ids.iter().zip([MailStatus::Dead, MailStatus::Dead, MailStatus::Sent]) {
            assert!(finish(&db, id, "a", status));
        }
        let listed = db.read(|conn| outbox::list(conn, &Selection::Open, 10)).unwrap();
        assert_eq!(listed.iter().map(|line| line.status.as_str()).collect::<Vec<_>>(), ["dead"; 2]);
        assert!(lease(&db, "b", 10, 1_000, 1_020).is_empty());
        // It can be asked for as long as a sent one can be looked up.
        assert!(!db.write(|conn| outbox::purge(conn, at(0), 100)).unwrap());
        assert_eq!(world.count("outbox"), 3);
        assert_eq!(retry(&db, Some(&ids[0]), 2_000), 1);
        assert_eq!(lease(&db, "c", 10, 2_000, 2_020), [ids[0].clone()]);
        assert_eq!(retry(&db, None, 3_000), 1);
        assert_eq!(retry(&db, None, 3_000), 0);
        assert_eq!(lease(&db, "d", 10, 3_000, 3_001).len(), 2);
    }

    fn a_mail_that_was_tried_before_gives_way_to_one_that_went_out_meanwhile(world) {
        let db = database(&world);
        let leased = |token: &str, now: i64| lease_mails(&db, claim(token, 10, now, now + 20));
        let outdone = |mail: &QueuedMail| {
            let mail = mail.clone();
            db.read(move |conn| outbox::is_superseded(conn, &mail)).unwrap()
        };
        order_mails(&db, 2);
        let first = leased("a", 0);
        assert!(first.iter().all(|mail| !outdone(mail)), "nothing went out yet");
        assert!(reschedule(&db, &first[0].id, "a", 60));
        assert!(finish(&db, &first[1].id, "a", MailStatus::Sent));
        let again = leased("b", 60);
        assert_eq!(again.len(), 1);
        assert!(outdone(&again[0]));
        assert!(!outdone(&first[0]), "a first try never gives way");
    }

    fn a_waiting_mail_can_be_sent_at_once_by_its_id(world) {
        let db = database(&world);
        order_mails(&db, 1);
        let id = lease(&db, "a", 10, 0, 20).remove(0);
        assert!(reschedule(&db, &id, "a", 1_000));
        assert_eq!(retry(&db, None, 30), 0, "it was not given up");
        assert_eq!(retry(&db, Some(&id), 30), 1);
        assert_eq!(lease(&db, "b", 10, 30, 50), [id]);
    }

    fn mail_leaves_in_the_order_it_came(world) {
        let db = database(&world);
        for second in [30, 10, 20] {
            order_at(&db, "p@example.com", second);
        }
        assert!(!db.read(|conn| outbox::is_any_due(conn, &[], at(9))).unwrap());
        assert!(db.read(|conn| outbox::is_any_due(conn, &[], at(10))).unwrap());
        let mut order = Vec::new();
        for number in 0..3 {
            let token = format!("{number}");
            order.push(lease_mails(&db, claim(&token, 1, 40, 60)).remove(0).created_at);
        }
        assert_eq!(order, [at(10), at(20), at(30)]);
    }

    fn new_mail_goes_before_mail_that_had_to_wait_but_for_the_turns_of_that(world) {
        let db = database(&world);
        order_mails(&db, 3);
        for (number, id) in lease(&db, "a", 3, 0, 20).iter().enumerate() {
            assert!(reschedule(&db, id, "a", 60 + i64::try_from(number).unwrap()));
        }
        let waited = ["b1", "b2", "b3"].map(|token| lease(&db, token, 1, 99, 100).remove(0));
        order_at(&db, "new@example.com", 150);
        assert_eq!(lease_mails(&db, claim("c", 1, 200, 220))[0].created_at, at(150));
        order_at(&db, "newer@example.com", 160);
        let turn = Claim { is_for_waiting: true, ..claim("d", 1, 200, 220) };
        assert_eq!(lease_mails(&db, turn)[0].id, waited[0]);
        let rest = ["e", "f", "g"].map(|token| {
            lease_mails(&db, claim(token, 1, 200, 220)).remove(0).created_at
        });
        assert_eq!(rest, [at(160), at(0), at(0)]);
    }

    fn mails_to_some_domains_can_be_left_alone(world) {
        let db = database(&world);
        for address in ["a@Slow.example", "b@quick.example", "c@very.slow.example", "d@low.example"] {
            order_at(&db, address, 0);
        }
        let without = vec!["slow.example".to_owned(), "quick.example".to_owned()];
        let some = Claim { without_domains: without.clone(), ..claim("a", 10, 0, 20) };
        let mails = lease_mails(&db, some);
        let mut domains: Vec<&str> = mails.iter().map(|mail| mail.recipient.domain()).collect();
        domains.sort_unstable();
        assert_eq!(domains, ["low.example", "very.slow.example"]);
        assert!(!db.read(|conn| outbox::is_any_due(conn, &without, at(0))).unwrap());
        assert!(db.read(|conn| outbox::is_any_due(conn, &without[..1], at(0))).unwrap());
        assert_eq!(lease(&db, "b", 10, 0, 20).len(), 2);
    }

    fn all_that_waits_can_be_made_due_however_much_it_is(world) {
        let db = database(&world);
        // More than the parameters that a statement of SQLite may have.
        let count = 33_000;
        world.execute(&format!(
            "INSERT INTO outbox (id, kind, recipient, locale, subject_id, status, attempts, \
             next_attempt_at, created_at, finished_at, last_error) WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT 'm' || i, 'registration', \
             'p' || i || '@example.com', 'en', '', CASE WHEN i % 2 = 0 THEN 'queued' ELSE 'dead' END, \
             7, 900000000, 0, CASE WHEN i % 2 = 0 THEN NULL ELSE 1 END, 'no' FROM n", 2 * count
        ));
        let all = |retry: fn(&mut Conn, UtcTime, i64) -> Result<usize>| {
            let mut total = 0;
            loop {
                match db.write(move |conn| retry(conn, at(10), 1_000)).unwrap() {
                    0 => return total,
                    count => total += count,
                }
            }
        };
        assert_eq!(all(outbox::retry_waiting), count);
        assert_eq!(all(outbox::retry_dead), count);
        assert_eq!(world.count("outbox WHERE next_attempt_at = 10000000 AND attempts = 1"), 2 * i64::try_from(count).unwrap());
    }

    fn mails_are_listed_by_address_and_when_they_were_sent(world) {
        let db = database(&world);
        for (second, address) in ["ada@example.com", "ADA@example.com", "bob@example.com"].iter().enumerate() {
            order_at(&db, address, i64::try_from(second).unwrap());
        }
        let mut ids = lease(&db, "a", 10, 5, 20);
        ids.sort_unstable_by_key(|id| id.0.clone());
        assert!(finish(&db, &ids[0], "a", MailStatus::Sent));
        assert!(finish(&db, &ids[2], "a", MailStatus::Sent));
        let ada = Email::known("Ada@example.com");
        for (selection, listed) in [
            (Selection::Open, vec![&ids[1]]),
            (Selection::Sent, vec![&ids[2], &ids[0]]),
            (Selection::To(ada.clone()), vec![&ids[1], &ids[0]]),
            (Selection::SentTo(ada), vec![&ids[0]]),
        ] {
            let lines = db.read(|conn| outbox::list(conn, &selection, 10)).unwrap();
            assert_eq!(lines.iter().map(|line| &line.id).collect::<Vec<_>>(),
                listed.iter().map(|id| &id.0).collect::<Vec<_>>(), "{selection:?}");
            let count = db.read(|conn| outbox::count(conn, &selection)).unwrap();
            assert_eq!(count, i64::try_from(listed.len()).unwrap(), "{selection:?}");
            assert!(db.read(|conn| outbox::list(conn, &selection, 1)).unwrap().len() == 1);
        }
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
        // On Postgres a job runs on the thread of whoever asked.
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

/// Every column with its type and whether it may be empty.
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
