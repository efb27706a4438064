//! The disk of the database is full: on a small one of its own, which only root can make.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::assert_unavailable;
use crate::client::{Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::missing::needs;
use crate::postgres::Cluster;
use crate::service::Setup;
use crate::sql;
use crate::waiting::wait_until;

const MINA: &str = "mina@example.com";

/// A mounted tmpfs. Gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&folder).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "hallpass-test"])
            .arg(&folder)
            .stderr(Stdio::null())
            .status();
        let mounted = done.is_ok_and(|status| status.success()).then_some(Self(folder));
        needs("right to mount a small disk (root has it)", mounted)
    }

    /// Leaves so much room.
    fn fill_but(&self, room: u64) {
        let mut filler = File::create(self.filler()).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
        let length = filler.metadata().unwrap().len();
        filler.set_len(length - room).unwrap();
    }

    fn fill(&self) {
        self.fill_but(0);
    }

    fn make_read_only(&self) {
        let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).status();
        assert!(remounted.unwrap().success());
    }

    fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Registers people until there is no more room, and a little on. Returns those who were told that
/// it worked.
fn register_until_full(api: &Api) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 0.. {
        let email = format!("person-{number}@example.com");
        let answer = api.try_register(&email).unwrap();
        if answer.status == 202 {
            acknowledged.push((email, answer.text("registration_token")));
        } else {
            assert_unavailable(&answer, Duration::from_secs(20));
            refused += 1;
        }
        if refused == 20 {
            break;
        }
        assert!(number < 5_000, "the disk is not full");
    }
    acknowledged
}

fn a_full_disk_costs_503_for_writes_and_loses_nothing(setup: &Setup, disk: &SmallDisk) {
    let mailbox = Mailbox::folder(setup);
    let service = setup.start();
    let api = service.api();
    let access = mailbox.new_account(&api, MINA);
    let refresh = api.log_in(MINA, PASSWORD).text("refresh_token");

    disk.fill_but(256 * 1024);
    let acknowledged = register_until_full(&api);
    assert!(!acknowledged.is_empty(), "nothing was written before the disk was full");
    disk.fill_but(0);
    for _ in 0..10 {
        // Whether a write finds room may change; what it answers may not.
        for answer in [api.log_in(MINA, PASSWORD), api.try_register("noah@example.com").unwrap()] {
            assert!([200, 202, 503].contains(&answer.status), "{answer:?}");
        }
        assert_eq!(api.verify_token(&access).status, 200);
        assert_eq!(api.get("/healthz").status, 200);
    }
    let refreshed = api.refresh(&refresh);
    assert!([200, 503].contains(&refreshed.status), "{refreshed:?}");

    disk.fill_but(0);
    let report = setup.run(&["doctor"]).stdout;
    let database = report.lines().find(|line| line.contains(" database: ")).unwrap();
    assert!(database.starts_with("FAIL ") && database.contains("takes no writes"), "{report}");
    assert!(!report.contains("writes are impossible"), "{report}");
    wait_until("the state", || {
        // A small write may find room, which others then lack.
        api.try_register("full@example.com").unwrap();
        api.get("/readyz").body["components"]["writes"] == "impossible"
    });

    disk.empty();
    wait_until("writes", || api.get("/readyz").body["components"]["writes"] == "possible");
    assert!(api.get_text("/metrics").contains("\nhallpass_database_writable 1\n"));
    let started = Instant::now();
    while api.log_in(MINA, PASSWORD).status != 200 {
        assert!(started.elapsed() < Duration::from_secs(10), "{}", service.log());
        thread::sleep(Duration::from_millis(50));
    }
    println!(
        "{} acknowledged on a full disk; written again {:?} after there was room",
        acknowledged.len(),
        started.elapsed()
    );
    let refreshed = api.refresh(&refresh);
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let addresses = acknowledged.iter().map(|(email, _)| email.as_str());
    let (codes, _) = mailbox.wait_for(addresses, Duration::from_secs(60));
    for (email, token) in &acknowledged {
        api.verify(token, codes[email].last().unwrap());
    }
    let log = service.log();
    assert!(!log.contains("panic") && !log.contains("internal error"), "{log}");
    service.stop();
}

/// The lines of `doctor` about the mail and the database.
fn doctor(setup: &Setup) -> [String; 2] {
    let report = setup.run(&["doctor"]).stdout;
    ["mail", "database"].map(|name| {
        let line = report.lines().find(|line| line.contains(&format!(" {name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {report}")).to_owned()
    })
}

#[test]
fn doctor_tells_a_folder_that_is_full_or_read_only() {
    let setup = Setup::on_sqlite()
        .with("HALLPASS_MAIL_DIR", "disk/mail")
        .with("DATABASE_URL", "sqlite://disk/data/hallpass.db");
    let Some(disk) = SmallDisk::mount(setup.folder().join("disk"), "1m") else { return };
    let [mail, database] = doctor(&setup);
    assert!(mail.starts_with("ok "), "{mail}");
    assert!(database.contains("the first start makes it"), "{database}");
    for make_unusable in [SmallDisk::fill, SmallDisk::make_read_only] {
        make_unusable(&disk);
        let [mail, database] = doctor(&setup);
        assert!(mail.starts_with("FAIL ") && mail.contains("cannot be written to"), "{mail}");
        assert!(database.starts_with("FAIL ") && database.contains("cannot be made"), "{database}");
        if disk.filler().exists() {
            disk.empty();
        }
    }
    assert_eq!(fs::read_dir(disk.0.join("mail")).unwrap().count(), 0, "the trials are gone");
}

#[test]
fn a_start_without_room_or_on_a_read_only_disk_names_file_and_cause() {
    let setup = Setup::on_sqlite().with("DATABASE_URL", "sqlite://disk/hallpass.db");
    let Some(disk) = SmallDisk::mount(setup.folder().join("disk"), "4m") else { return };
    let told = |cause: &str| {
        let refused = setup.run(&["serve"]);
        assert!(!refused.success);
        let last = refused.stderr.trim_end().lines().next_back().unwrap();
        let [_, database] = doctor(&setup);
        for line in [last, &database] {
            assert!(line.contains("disk/hallpass.db") && line.contains(cause), "{line}");
            assert!(!line.contains("{ ") && !line.contains("Error("), "{line}");
        }
        assert!(database.starts_with("FAIL "), "{database}");
    };
    disk.fill();
    told("No space left on device");
    disk.empty();
    setup.start().stop();
    disk.fill();
    told("No space left on device");
    disk.empty();
    disk.make_read_only();
    told("Read-only file system");
}

#[test]
fn a_full_disk_costs_503_for_writes_and_loses_nothing_on_sqlite() {
    let setup = Setup::on_sqlite().with("DATABASE_URL", "sqlite://disk/hallpass.db");
    let Some(disk) = SmallDisk::mount(setup.folder().join("disk"), "4m") else { return };
    a_full_disk_costs_503_for_writes_and_loses_nothing(&setup, &disk);
    let mut file = sql::sqlite(&disk.0.join("hallpass.db"));
    let check = "SELECT integrity_check AS line FROM pragma_integrity_check";
    assert_eq!(sql::lines(&mut file, check), ["ok"]);
}

/// Other files of Postgres, its log above all, have room: without it the server ends.
#[test]
fn a_full_disk_costs_503_for_writes_and_loses_nothing_on_postgres() {
    let Some(cluster) = Cluster::start_new() else { return };
    let Some(disk) = SmallDisk::mount(cluster.folder().join("disk"), "16m") else { return };
    let tables = disk.0.join("tables");
    fs::create_dir(&tables).unwrap();
    cluster.give(&disk.0);
    cluster.give(&tables);
    let place = format!("CREATE TABLESPACE small LOCATION '{}'", tables.display());
    sql::change_postgres(&cluster.url(), &place);
    sql::change_postgres(&cluster.url(), "ALTER ROLE hallpass SET default_tablespace = small");
    let setup = Setup::on_sqlite().with("DATABASE_URL", &cluster.fresh_schema());
    a_full_disk_costs_503_for_writes_and_loses_nothing(&setup, &disk);
    // Read back from the disk.
    cluster.restart();
    assert_eq!(setup.start().api().log_in(MINA, PASSWORD).status, 200);
}
