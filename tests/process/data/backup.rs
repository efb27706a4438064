//! `hallpass backup`, while the service is busy.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::client::{Api, PASSWORD};
use crate::enough::Enough;
use crate::mailbox::Mailbox;
use crate::service::Setup;
use crate::sql;

const CLIENTS: usize = 8;
const BACKUPS: usize = 5;

fn register_until(enough: &Enough, api: &Api, client: usize, acknowledged: &Mutex<Vec<String>>) {
    for number in 0.. {
        if enough.is_told() {
            break;
        }
        let email = format!("person-{client}-{number}@example.com");
        // Fails the test unless it is answered well.
        api.register(&email);
        acknowledged.lock().unwrap().push(email);
    }
}

fn is_whole_and_has(backup: &Path, acknowledged: &[String]) {
    assert_eq!(fs::metadata(backup).unwrap().permissions().mode() & 0o777, 0o600);
    let mut connection = sql::sqlite(backup);
    let check = "SELECT integrity_check AS line FROM pragma_integrity_check";
    assert_eq!(sql::lines(&mut connection, check), ["ok"]);
    let known = sql::lines(
        &mut connection,
        "SELECT email AS line FROM challenges WHERE email_norm IS NOT NULL",
    );
    let lost: Vec<_> = acknowledged.iter().filter(|email| !known.contains(email)).collect();
    assert!(lost.is_empty(), "{} of {} are missing: {lost:?}", lost.len(), acknowledged.len());
}

/// Files beside the database that do not belong to it.
fn left_over(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("partial")).collect()
}

#[test]
fn backups_under_load_are_whole_and_have_all_that_was_acknowledged() {
    let setup = Setup::on_sqlite().with("HALLPASS_SECRET", "kept apart from the backup, 32 bytes");
    let mailbox = Mailbox::folder(&setup);
    let service = setup.start();
    mailbox.new_account(&service.api(), "mina@example.com");

    let (enough, acknowledged) = (Enough::default(), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let backing_up = enough.beside();
        for client in 0..CLIENTS {
            let (api, enough, acknowledged) = (service.api(), &enough, &acknowledged);
            scope.spawn(move || register_until(enough, &api, client, acknowledged));
        }
        let backups: Vec<_> = (0..BACKUPS)
            .map(|number| {
                let before = acknowledged.lock().unwrap().clone();
                let file = format!("backup {number}.db");
                (setup.run(&["backup", &file]), setup.folder().join(file), before)
            })
            .collect();
        drop(backing_up);
        for (finished, file, before) in backups {
            assert!(finished.success, "{}", finished.stderr);
            println!("{} registrations before, {:?}", before.len(), finished.took);
            is_whole_and_has(&file, &before);
        }
    });
    assert!(acknowledged.lock().unwrap().len() > 2 * BACKUPS, "that was no load");
    assert!(!service.log().contains("ERROR"), "{}", service.log());
    service.stop();
    assert_eq!(left_over(&setup.folder()), Vec::<PathBuf>::new());

    let last = format!("sqlite:backup {}.db", BACKUPS - 1);
    let setup = setup.with("DATABASE_URL", &last);
    let restored = setup.start();
    let answer = restored.api().log_in("mina@example.com", PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}\n{}", restored.log());
}

#[test]
fn a_file_that_exists_is_never_overwritten() {
    let setup = Setup::on_sqlite();
    assert!(setup.run(&["migrate"]).success);
    setup.write("notes.txt", "mine");
    let refused = setup.run(&["backup", "notes.txt"]);
    assert!(!refused.success);
    assert!(refused.stderr.contains("notes.txt exists"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(setup.folder().join("notes.txt")).unwrap(), "mine");
    // Nor is the database itself.
    assert!(!setup.run(&["backup", "data/hallpass.db"]).success);
}

#[test]
fn a_backup_that_does_not_fit_leaves_nothing() {
    let setup = Setup::on_sqlite();
    assert!(setup.run(&["migrate"]).success);
    let status = Command::new("sh")
        // No file may grow beyond some 4 KiB, and the signal that says so is ignored.
        .args(["-c", "trap '' XFSZ && ulimit -f 8 && exec \"$0\" backup small.db"])
        .arg(env!("CARGO_BIN_EXE_hallpass"))
        .current_dir(setup.folder())
        .env_clear()
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&status.stderr);
    assert!(!status.status.success());
    assert!(told.contains("no backup was made"), "{told}");
    assert!(!setup.folder().join("small.db").exists());
    assert_eq!(left_over(&setup.folder()), Vec::<PathBuf>::new());
    let nowhere = setup.run(&["backup", "missing/backup.db"]);
    assert!(nowhere.stderr.contains("no backup was made"), "{}", nowhere.stderr);
}

#[test]
fn without_a_database_nothing_is_made() {
    let setup = Setup::on_sqlite();
    let finished = setup.run(&["backup", "backup.db"]);
    assert!(!finished.success);
    assert!(!setup.folder().join("backup.db").exists());
    assert!(!setup.folder().join("data/hallpass.db").exists());
}

#[test]
fn on_postgres_another_program_is_named() {
    let Some(setup) = Setup::on_postgres() else { return };
    let finished = setup.run(&["backup", "backup.db"]);
    assert!(!finished.success);
    assert!(finished.stderr.contains("pg_dump"), "{}", finished.stderr);
}
