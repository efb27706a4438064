//! The job queue, the same on both databases: who gets a job, for how long, and what becomes of it.

use std::collections::HashSet;

use hallpass::domain::{Email, JobId, LeaseId, Locale};
use hallpass::store::jobs::backlog::{self, Retryable};
use hallpass::store::jobs::lease::{self, Conclusion, Deferral, Lease};
use hallpass::store::jobs::{self, Claim, ClaimOrder, ClaimedJob, DueJobs, NewJob};
use hallpass::store::outbox::{self, MailKind, NewMail, QueuedMail, Selection};
use hallpass::store::{Conn, Db, Error, Result};

use super::store::{at, database};
use crate::support::{at_once, on_both};

/// Queues the mail of a registration.
fn enqueue(conn: &mut Conn, recipient: &str, second: i64) -> Result<()> {
    let (recipient, locale) = (&Email::unchecked(recipient), &Locale::default());
    let kind = MailKind::Registration;
    outbox::enqueue(conn, &NewMail::new(kind, recipient, locale, "x"), at(second))
}

fn order_mails(db: &Db, count: usize) {
    db.write(move |conn| {
        for number in 0..count {
            enqueue(conn, &format!("p{number}@example.com"), 0)?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
}

fn order_at(db: &Db, address: &str, second: i64) {
    let address = address.to_owned();
    db.write(move |conn| enqueue(conn, &address, second)).unwrap();
}

fn claim(token: &str, limit: i64, now: i64, until: i64) -> Claim {
    Claim {
        due: due(&[], now),
        lease: LeaseId(token.to_owned()),
        limit,
        order: ClaimOrder::FreshFirst,
        until: at(until),
    }
}

fn due(without: &[&str], now: i64) -> DueJobs {
    let without_lanes = without.iter().map(|lane| (*lane).to_owned()).collect();
    DueJobs { kinds: &MailKind::NAMES, without_lanes, without_jobs: Vec::new(), now: at(now) }
}

fn claim_jobs(db: &Db, claim: Claim) -> Vec<ClaimedJob> {
    db.write(move |conn| jobs::claim_due(conn, &claim)).unwrap()
}

/// Claims up to `limit` jobs and returns their leases.
fn lease(db: &Db, token: &str, limit: i64, now: i64, until: i64) -> Vec<Lease> {
    let claimed = claim_jobs(db, claim(token, limit, now, until));
    claimed.into_iter().map(|claimed| claimed.lease).collect()
}

/// The only job that is due, and none that another holder has.
fn lease_one(db: &Db, token: &str, now: i64, until: i64) -> Lease {
    lease(db, token, 1, now, until).remove(0)
}

fn ids(leases: &[Lease]) -> Vec<JobId> {
    leases.iter().map(|lease| lease.job().clone()).collect()
}

/// Claims all jobs of this selection.
fn claim_all(db: &Db, due: &DueJobs) -> Vec<JobId> {
    let claim = Claim { due: due.clone(), ..claim("all", 10, 0, 60) };
    claim_jobs(db, claim).iter().map(|claimed| claimed.job.id.clone()).collect()
}

fn renew(db: &Db, lease: &Lease, until: i64) -> bool {
    let renewal = lease.renewal(at(until));
    db.write(move |conn| lease::renew(conn, &renewal)).unwrap()
}

fn conclude(db: &Db, lease: Lease, conclusion: Conclusion) -> bool {
    let completion = lease.conclude(conclusion, at(1));
    db.write(move |conn| lease::complete(conn, &completion)).unwrap()
}

fn done() -> Conclusion {
    Conclusion::Done { target: None }
}

fn failed() -> Conclusion {
    Conclusion::Failed("no".to_owned())
}

fn deferral(next: i64) -> Conclusion {
    let error = "later".to_owned();
    Conclusion::Deferred(Deferral { error, next_attempt_at: at(next), attempts: 1, unconfirmed: 0 })
}

fn retry(db: &Db, id: Option<&JobId>, now: i64) -> usize {
    let id = id.map(|id| id.0.clone());
    let retried = db.write(move |conn| {
        if let Some(id) = id {
            return backlog::retry(conn, &id, at(now)).map(usize::from);
        }
        let failed = backlog::list_retryable(conn, Retryable::Failed, at(now))?;
        backlog::retry_listed(conn, Retryable::Failed, &failed, at(now))
    });
    retried.unwrap()
}

fn enqueue_delivery(db: &Db, target: &'static str) {
    let job =
        NewJob { kind: "delivery", target, locale: "", subject_id: "x", about: None, rank: 1 };
    db.write(move |conn| jobs::enqueue(conn, &job, at(0))).unwrap();
}

on_both! {
    fn jobs_that_the_worker_runs_are_left_alone(world) {
        let db = database(&world);
        order_mails(&db, 3);
        let running = ids(&lease(&db, "a", 2, 0, 20));
        let due = DueJobs { without_jobs: running.clone(), ..due(&[], 40) };
        let claimed = claim_all(&db, &due);
        assert_eq!(claimed.len(), 1);
        assert!(!running.contains(&claimed[0]));
        assert!(!db.read(|conn| jobs::is_any_due(conn, &due)).unwrap());
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
                mine.extend(ids(&some));
            }
        });
        let all: Vec<JobId> = leased.into_iter().flatten().collect();
        assert_eq!(all.len(), 200);
        assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 200);
    }

    fn an_expired_lease_can_be_claimed_and_its_holder_can_store_nothing(world) {
        let db = database(&world);
        order_mails(&db, 1);
        let first = lease_one(&db, "first", 0, 20);
        assert!(lease(&db, "second", 10, 19, 40).is_empty());
        assert!(renew(&db, &first, 30));
        assert!(lease(&db, "second", 10, 29, 40).is_empty());
        let second = lease_one(&db, "second", 30, 50);
        assert_eq!(second.job(), first.job());
        assert!(!renew(&db, &first, 90));
        assert!(!conclude(&db, first, done()));
        let third = lease_one(&db, "third", 50, 70);
        assert!(!conclude(&db, second, deferral(40)));
        let completion = third.conclude(done(), at(1));
        let complete = || {
            let completion = completion.clone();
            db.write(move |conn| lease::complete(conn, &completion)).unwrap()
        };
        assert!(complete());
        assert!(!complete(), "the end is stored once");
        assert!(lease(&db, "fourth", 10, 1_000, 1_020).is_empty());
    }

    fn a_deferred_mail_waits_for_its_time_and_counts_its_tries(world) {
        let db = database(&world);
        order_mails(&db, 1);
        let first = lease_one(&db, "a", 0, 20);
        assert!(conclude(&db, first, deferral(60)));
        assert!(lease(&db, "b", 10, 59, 80).is_empty());
        let claimed = claim_jobs(&db, claim("b", 10, 60, 80)).remove(0);
        assert_eq!((claimed.job.attempts, claimed.job.created_at), (1, at(0)));
        assert!(claimed.job.was_deferred);
        let line = db.read(|conn| outbox::list(conn, &Selection::Open, 10)).unwrap().remove(0);
        assert_eq!((line.status.as_str(), line.last_error.as_deref()), ("queued", Some("later")));
    }

    fn a_failed_mail_is_listed_and_lives_again_when_asked_for(world) {
        let db = database(&world);
        order_mails(&db, 3);
        let leases = lease(&db, "a", 10, 0, 20);
        let first = leases[0].job().clone();
        for (lease, conclusion) in leases.into_iter().zip([failed(), failed(), done()]) {
            assert!(conclude(&db, lease, conclusion));
        }
        let listed = db.read(|conn| outbox::list(conn, &Selection::Open, 10)).unwrap();
        assert_eq!(listed.iter().map(|line| line.status.as_str()).collect::<Vec<_>>(), ["dead"; 2]);
        assert!(lease(&db, "b", 10, 1_000, 1_020).is_empty());
        // It can be asked for as long as a sent one can be looked up.
        assert!(!db.write(|conn| backlog::purge(conn, at(0), 100)).unwrap());
        assert_eq!(world.count("outbox"), 3);
        assert_eq!(retry(&db, Some(&first), 2_000), 1);
        assert_eq!(ids(&lease(&db, "c", 10, 2_000, 2_020)), [first]);
        assert_eq!(retry(&db, None, 3_000), 1);
        assert_eq!(retry(&db, None, 3_000), 0);
        assert_eq!(lease(&db, "d", 10, 3_000, 3_001).len(), 2);
    }

    fn what_is_listed_as_given_up_is_tried_again_whenever_it_was_given_up(world) {
        let db = database(&world);
        order_mails(&db, 3);
        // Inserted by another program, and by an instance whose clock is ahead.
        world.execute("UPDATE outbox SET status = 'dead'");
        world.execute("UPDATE outbox SET finished_at = 9000000000 WHERE recipient LIKE 'p1@%'");
        world.execute("UPDATE outbox SET finished_at = 10000000 WHERE recipient LIKE 'p2@%'");
        assert_eq!(db.read(backlog::count_open).unwrap().failed, 3);
        assert_eq!(retry(&db, None, 10), 3);
        assert_eq!(db.read(backlog::count_open).unwrap().failed, 0);
    }

    fn a_mail_that_was_tried_before_gives_way_to_one_that_went_out_meanwhile(world) {
        let db = database(&world);
        let outdone = |claimed: &ClaimedJob| {
            let mail = QueuedMail::of(&claimed.job).unwrap();
            db.read(move |conn| outbox::is_superseded(conn, &mail)).unwrap()
        };
        order_mails(&db, 2);
        let mut first = claim_jobs(&db, claim("a", 10, 0, 20));
        assert!(first.iter().all(|mail| !outdone(mail)), "nothing went out yet");
        let (second, first) = (first.remove(1), first.remove(0));
        assert!(conclude(&db, second.lease, done()));
        assert!(!outdone(&first), "a first try never gives way");
        assert!(conclude(&db, first.lease, deferral(60)));
        let again = claim_jobs(&db, claim("b", 10, 60, 80));
        assert_eq!(again.len(), 1);
        assert!(outdone(&again[0]));
    }

    fn a_waiting_mail_can_be_sent_at_once_by_its_id(world) {
        let db = database(&world);
        order_mails(&db, 1);
        let first = lease_one(&db, "a", 0, 20);
        let id = first.job().clone();
        assert!(conclude(&db, first, deferral(1_000)));
        assert_eq!(retry(&db, None, 30), 0, "it has not failed");
        assert_eq!(retry(&db, Some(&id), 30), 1);
        assert_eq!(ids(&lease(&db, "b", 10, 30, 50)), [id]);
    }

    fn mail_leaves_in_the_order_it_came(world) {
        let db = database(&world);
        for second in [30, 10, 20] {
            order_at(&db, "p@example.com", second);
        }
        assert!(!db.read(|conn| jobs::is_any_due(conn, &due(&[], 9))).unwrap());
        assert!(db.read(|conn| jobs::is_any_due(conn, &due(&[], 10))).unwrap());
        let mut order = Vec::new();
        for number in 0..3 {
            let token = format!("{number}");
            order.push(claim_jobs(&db, claim(&token, 1, 40, 60)).remove(0).job.created_at);
        }
        assert_eq!(order, [at(10), at(20), at(30)]);
    }

    fn new_mail_goes_before_mail_that_had_to_wait_but_for_the_turns_of_that(world) {
        let db = database(&world);
        order_mails(&db, 3);
        for (lease, next) in lease(&db, "a", 3, 0, 20).into_iter().zip(60..) {
            assert!(conclude(&db, lease, deferral(next)));
        }
        let waited = ids(&["b1", "b2", "b3"].map(|token| lease_one(&db, token, 99, 100)));
        order_at(&db, "new@example.com", 150);
        assert_eq!(claim_jobs(&db, claim("c", 1, 200, 220))[0].job.created_at, at(150));
        order_at(&db, "newer@example.com", 160);
        let turn = Claim { order: ClaimOrder::DeferredFirst, ..claim("d", 1, 200, 220) };
        assert_eq!(claim_jobs(&db, turn)[0].job.id, waited[0]);
        let rest = ["e", "f", "g"].map(|token| {
            claim_jobs(&db, claim(token, 1, 200, 220)).remove(0).job.created_at
        });
        assert_eq!(rest, [at(160), at(0), at(0)]);
    }

    fn mails_to_some_domains_can_be_left_alone(world) {
        let db = database(&world);
        for address in ["a@Slow.example", "b@quick.example", "c@very.slow.example", "d@low.example"] {
            order_at(&db, address, 0);
        }
        let without = ["slow.example", "quick.example"];
        let some = Claim { due: due(&without, 0), ..claim("a", 10, 0, 20) };
        let mut lanes: Vec<String> =
            claim_jobs(&db, some).iter().map(|claimed| claimed.job.lane()).collect();
        lanes.sort_unstable();
        assert_eq!(lanes, ["low.example", "very.slow.example"]);
        assert!(!db.read(|conn| jobs::is_any_due(conn, &due(&without, 0))).unwrap());
        assert!(db.read(|conn| jobs::is_any_due(conn, &due(&without[..1], 0))).unwrap());
        assert_eq!(lease(&db, "b", 10, 0, 20).len(), 2);
    }

    fn a_target_without_a_name_is_a_lane(world) {
        let db = database(&world);
        for target in ["Hooks.example", "endpoint@hooks.example", "my.hooks.example"] {
            enqueue_delivery(&db, target);
        }
        let mails = claim("a", 10, 0, 20);
        assert!(claim_jobs(&db, mails).is_empty(), "other kinds are another handler's");
        let without = DueJobs { kinds: &["delivery"], ..due(&["hooks.example"], 0) };
        let claimed = claim_jobs(&db, Claim { due: without, ..claim("b", 10, 0, 20) });
        assert_eq!(claimed.iter().map(|it| it.job.target.as_str()).collect::<Vec<_>>(), ["my.hooks.example"]);
        let rest = DueJobs { kinds: &["delivery"], ..due(&[], 0) };
        let rest = claim_jobs(&db, Claim { due: rest, ..claim("c", 10, 0, 20) });
        assert_eq!(rest.iter().map(|it| it.job.lane()).collect::<Vec<_>>(), ["hooks.example"; 2]);
    }

    fn a_commit_that_enqueued_wakes_the_workers_and_no_other_does(world) {
        let db = database(&world);
        let mut workers = [db.enqueued(), db.enqueued()];
        let mut are_awake = move || workers.each_mut().map(|worker| {
            let is_awake = worker.has_changed().unwrap();
            worker.mark_unchanged();
            is_awake
        });
        let enqueue = |conn: &mut Conn| enqueue(conn, "p@example.com", 0);
        db.write(|_| Ok::<_, Error>(())).unwrap();
        assert_eq!(are_awake(), [false; 2]);
        db.write(move |conn| {
            enqueue(conn)?;
            enqueue(conn)
        })
        .unwrap();
        assert_eq!(are_awake(), [true; 2]);
        assert!(db.read(|conn| jobs::is_any_due(conn, &due(&[], 0))).unwrap());
        db.write(|_| Ok::<_, Error>(())).unwrap();
        assert_eq!(are_awake(), [false; 2]);
        db.write_once(enqueue).unwrap();
        assert_eq!(are_awake(), [true; 2]);
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
        for which in [Retryable::Deferred, Retryable::Failed] {
            let ids = db.read(|conn| backlog::list_retryable(conn, which, at(10))).unwrap();
            assert_eq!(ids.len(), count, "{which:?}");
            for some in ids.chunks(1_000) {
                let some = some.to_vec();
                let retry = move |conn: &mut Conn| backlog::retry_listed(conn, which, &some, at(10));
                assert_eq!(db.write(retry).unwrap(), 1_000, "{which:?}");
            }
        }
        assert_eq!(world.count("outbox WHERE next_attempt_at = 10000000 AND attempts = 1"), 2 * i64::try_from(count).unwrap());
    }

    fn mails_are_listed_by_address_and_when_they_were_sent(world) {
        let db = database(&world);
        for (second, address) in ["ada@example.com", "ADA@example.com", "bob@example.com"].iter().enumerate() {
            order_at(&db, address, i64::try_from(second).unwrap());
        }
        let mut leases = lease(&db, "a", 10, 5, 20);
        leases.sort_unstable_by_key(|lease| lease.job().0.clone());
        let ids = ids(&leases);
        let otherwise = Conclusion::Done { target: Some("Bob@example.com".to_owned()) };
        assert!(conclude(&db, leases.remove(2), otherwise));
        assert!(conclude(&db, leases.remove(0), done()));
        let ada = Email::unchecked("Ada@example.com");
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
        let sent = db.read(|conn| outbox::list(conn, &Selection::Sent, 1)).unwrap().remove(0);
        assert_eq!(sent.recipient, "Bob@example.com", "the address that it reached");
    }
}
