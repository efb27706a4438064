//! Tests of the queue with a second handler beside mail.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::lanes::MAX_EXCLUDED_LANES;
use super::{Backoff, Capacity, Failure, Handler, LaneGuard, PeerHealth, Progress, Stage, Worker};
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::domain::{Email, LeaseId, Locale};
use crate::store::jobs::backlog::{self, OpenJobs};
use crate::store::jobs::lease::{Conclusion, Deferral};
use crate::store::jobs::{self, Claim, ClaimOrder, DueJobs, Job, NewJob};
use crate::store::outbox::{self, MailKind, NewMail};
use crate::store::{self, Conn, DatabaseUrl, Db, PoolSettings, PreparedStatements};

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(50));

/// Deliveries to other services. The subject of a job says how its peer behaves.
#[derive(Clone, Default)]
struct Deliveries {
    attempts: Arc<Mutex<Vec<(String, i32)>>>,
    is_closed: Arc<Mutex<bool>>,
}

impl Handler for Deliveries {
    const NAME: &'static str = "deliveries";
    const KINDS: &'static [&'static str] = &["delivery", "delivery_test"];

    fn capacity(&self) -> Capacity {
        Capacity { total: 3, per_lane: 2, slow: 2 }
    }

    async fn attempt(&self, job: &Job, lane: &LaneGuard, progress: &Progress) -> Conclusion {
        let now = SystemClock.now();
        self.attempts.lock().unwrap().push((job.subject_id.clone(), job.attempts));
        match job.subject_id.as_str() {
            "hangs" => pending().await,
            "hangs at the end" => {
                progress.set_stage(Stage::Submitted);
                pending::<()>().await;
            }
            "is slow" => tokio::time::sleep(Duration::from_millis(300)).await,
            "fails once" if job.attempts == 0 => {
                let failure = Failure { backoff: BACKOFF, configuration: None };
                let status = lane.record(&PeerHealth::LaneDown(failure), now);
                return Conclusion::Deferred(Deferral {
                    error: "503".to_owned(),
                    next_attempt_at: status.resumes_at.unwrap_or(now),
                    attempts: 1,
                    unconfirmed: 0,
                });
            }
            "is refused" => {
                let backoff = Backoff::new(Duration::from_mins(30), Duration::from_mins(30));
                let failure = Failure { backoff, configuration: None };
                lane.record(&PeerHealth::LaneDown(failure), now);
                return Conclusion::Failed("403".to_owned());
            }
            "is gone" => return Conclusion::Failed("410".to_owned()),
            "is not needed" => return Conclusion::Dropped,
            _ => {}
        }
        lane.record(&PeerHealth::Up, now);
        Conclusion::Done { target: None }
    }

    fn conclude_cancelled(&self, _: &Job) -> Conclusion {
        Conclusion::Deferred(Deferral {
            error: "no answer".to_owned(),
            next_attempt_at: SystemClock.now().after(Duration::from_hours(1)),
            attempts: 1,
            unconfirmed: 1,
        })
    }

    async fn close(&self) {
        *self.is_closed.lock().unwrap() = true;
    }
}

impl Deliveries {
    fn attempts_of(&self, subject: &str) -> Vec<i32> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.iter().filter(|(it, _)| it == subject).map(|(_, number)| *number).collect()
    }
}

/// A database, and a running worker of [`Deliveries`].
struct Service {
    _folder: tempfile::TempDir,
    db: Db,
    handler: Deliveries,
    worker: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Service {
    fn start() -> Self {
        Self::start_at(Arc::new(SystemClock))
    }

    fn start_at(clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("jobs.db"));
        let wait = Duration::from_secs(10);
        let db = Db::open(
            &url,
            PoolSettings { size: 2, wait, prepared_statements: PreparedStatements::Always },
        )
        .unwrap();
        let handler = Deliveries::default();
        let worker = Worker {
            db: db.clone(),
            clock,
            handler: handler.clone(),
            stop_timeout: Duration::from_secs(2),
        };
        let (stop, stopped) = oneshot::channel();
        let worker = tokio::spawn(worker.run(async {
            drop(stopped.await);
        }));
        Self { _folder: folder, db, handler, worker, stop }
    }

    fn enqueue(&self, subject: &'static str, target: &'static str) {
        let job = NewJob {
            kind: "delivery",
            target,
            locale: "",
            subject_id: subject,
            about: None,
            rank: 1,
        };
        self.db.write(move |conn| jobs::enqueue(conn, &job, SystemClock.now())).unwrap();
    }

    fn open(&self) -> OpenJobs {
        self.db.read(backlog::count_open).unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.worker.await.unwrap();
    }
}

async fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    wait_up_to(Duration::from_secs(10), what, is_so).await;
}

async fn wait_up_to(limit: Duration, what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < limit, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_second_handler_gets_its_own_jobs_and_leaves_mail_alone() {
    let service = Service::start();
    let email = Email::parse("ada@example.com").unwrap();
    let mail = move |conn: &mut Conn| {
        let (kind, locale) = (MailKind::Registration, Locale::default());
        let mail = NewMail::new(kind, &email, &locale, "r1");
        outbox::enqueue(conn, &mail, SystemClock.now())
    };
    service.db.write(mail).unwrap();
    for subject in ["works", "fails once", "is gone", "is not needed"] {
        service.enqueue(subject, "hooks.example.com");
    }
    let is_done = || service.open().waiting == 1 && service.handler.attempts_of("works").len() == 1;
    wait_for("the end of the deliveries", is_done).await;
    assert_eq!(service.open().failed, 1);
    assert_eq!(service.handler.attempts_of("fails once"), [0, 1]);
    for subject in ["is gone", "is not needed"] {
        assert_eq!(service.handler.attempts_of(subject), [0], "{subject}");
    }
    assert!(service.handler.attempts_of("r1").is_empty());
    service.stop().await;
}

#[tokio::test]
async fn a_job_that_runs_is_not_begun_again_after_a_jump_of_the_clock() {
    // Jobs are enqueued by the time of the system, and due at once by this clock.
    let clock = ManualClock::at(SystemClock.now().after(Duration::from_mins(1)));
    let service = Service::start_at(Arc::new(clock.clone()));
    // A lane that has reached its peer runs several jobs at a time.
    service.enqueue("works", "hooks.example.com");
    wait_for("the first job", || service.handler.attempts_of("works") == [0]).await;
    service.enqueue("hangs", "hooks.example.com");
    wait_for("the attempt", || !service.handler.attempts_of("hangs").is_empty()).await;
    clock.advance(Duration::from_mins(1));
    // It is claimed after all that were due before it.
    service.enqueue("works", "hooks.example.com");
    wait_for("the last job", || service.handler.attempts_of("works") == [0, 0]).await;
    assert_eq!(service.handler.attempts_of("hangs"), [0]);
    service.worker.abort();
}

#[tokio::test]
async fn a_lane_that_hangs_does_not_delay_another() {
    let service = Service::start();
    for _ in 0..5 {
        service.enqueue("hangs", "endpoint-1@new.example.com");
    }
    wait_for("the first of a new lane", || service.handler.attempts_of("hangs").len() == 1).await;
    service.enqueue("works", "fast.example.com");
    wait_for("the other lane", || service.handler.attempts_of("works") == [0]).await;
    assert_eq!(service.handler.attempts_of("hangs").len(), 1);
    service.worker.abort();
}

#[tokio::test]
async fn a_pause_holds_for_each_of_more_lanes_than_a_claim_excludes() {
    let service = Service::start();
    let lanes = MAX_EXCLUDED_LANES + 20;
    let jobs = move |conn: &mut Conn, subject_id| -> store::Result<()> {
        for number in 0..lanes {
            let target = &format!("{number}.example.com");
            let kind = "delivery";
            let job = NewJob { kind, target, locale: "", subject_id, about: None, rank: 1 };
            jobs::enqueue(conn, &job, SystemClock.now())?;
        }
        Ok(())
    };
    service.db.write(move |conn| jobs(conn, "is refused")).unwrap();
    let is_done = || service.handler.attempts_of("is refused").len() == lanes;
    wait_up_to(Duration::from_mins(1), "an attempt in each lane", is_done).await;
    service.db.write(move |conn| jobs(conn, "works")).unwrap();
    service.enqueue("works", "open.example.com");
    let waiting = i64::try_from(lanes).unwrap();
    let is_done = || service.open().waiting == waiting;
    wait_up_to(Duration::from_mins(1), "the job of the lane that is open", is_done).await;
    assert_eq!(service.handler.attempts_of("works"), [0]);
    service.stop().await;
}

#[tokio::test]
async fn running_attempts_are_finished_before_the_worker_ends() {
    let service = Service::start();
    service.enqueue("is slow", "hooks.example.com");
    wait_for("the attempt", || !service.handler.attempts_of("is slow").is_empty()).await;
    let (db, handler) = (service.db.clone(), service.handler.clone());
    service.stop().await;
    assert_eq!(db.read(backlog::count_open).unwrap().waiting, 0);
    assert!(*handler.is_closed.lock().unwrap());
}

#[tokio::test]
async fn attempts_that_take_too_long_are_cancelled_and_their_jobs_are_due() {
    let service = Service::start();
    service.enqueue("hangs", "one.example.com");
    service.enqueue("hangs at the end", "two.example.com");
    for subject in ["hangs", "hangs at the end"] {
        wait_for("the attempt", || !service.handler.attempts_of(subject).is_empty()).await;
    }
    let (db, handler) = (service.db.clone(), service.handler.clone());
    // The folder of the database stays.
    let Service { _folder, worker, stop, .. } = service;
    stop.send(()).unwrap();
    worker.await.unwrap();
    assert!(*handler.is_closed.lock().unwrap());
    // Another worker gets the one that cannot have succeeded, and at once.
    let due = DueJobs {
        kinds: Deliveries::KINDS,
        without_lanes: Vec::new(),
        without_jobs: Vec::new(),
        now: SystemClock.now(),
    };
    let claim = Claim {
        lease: LeaseId("other".to_owned()),
        limit: 10,
        order: ClaimOrder::FreshFirst,
        until: due.now.after(Duration::from_secs(20)),
        due,
    };
    let claimed = db.write(move |conn| jobs::claim_due(conn, &claim)).unwrap();
    let claimed: Vec<_> =
        claimed.iter().map(|it| (it.job.subject_id.as_str(), it.job.attempts)).collect();
    assert_eq!(claimed, [("hangs", 0)]);
    let waiting = db.read(|conn| backlog::deferral_causes(conn, 5)).unwrap();
    assert_eq!(waiting.iter().map(|it| it.error.as_str()).collect::<Vec<_>>(), ["no answer"]);
}
