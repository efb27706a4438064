//! Deleted data is unreadable in the files of SQLite. (Postgres removes it when it vacuums:
//! docs/operations.md.)

use std::fs;
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};

use crate::support::account::EMAIL_CHANGED;
use crate::support::{DAY, PASSWORD, TestApp, World, wait_for};

const EMAIL: &str = "canary-address@example.com";

/// The names of the canaries that stand in a file of the database.
fn readable(world: &World, canaries: &[(&str, String)]) -> Vec<String> {
    let path = PathBuf::from(world.database_url.trim_start_matches("sqlite://"));
    let bytes = |ending: &str| fs::read(format!("{}{ending}", path.display())).unwrap_or_default();
    let files = ["", "-wal", "-journal"].map(bytes);
    let stands = |text: &str| {
        files.iter().any(|file| file.windows(text.len()).any(|part| part == text.as_bytes()))
    };
    canaries.iter().filter(|(_, text)| stands(text)).map(|(name, _)| (*name).to_owned()).collect()
}

/// An account with something to read in each of its parts.
fn account(world: &World, app: &TestApp) -> (String, Vec<(&'static str, String)>) {
    let tokens = app.person(world, EMAIL);
    let large = (0..150).map(|n| format!("canary-metadata-{n}")).collect::<Vec<_>>().join(" ");
    let body = json!({"username": "canary-username", "metadata": {"notes": large}});
    app.as_holder("PATCH", "/v1/me", &tokens.access, &body).is(200);
    let tokens = app.refresh(&tokens.refresh).is(200).tokens();
    let hash = world.text("SELECT password_hash AS text FROM users WHERE email LIKE 'canary%'");
    let canaries = vec![
        ("address", "canary-address".to_owned()),
        ("user name", "canary-username".to_owned()),
        ("metadata", "canary-metadata-77".to_owned()),
        ("password hash", hash.rsplit('$').next().unwrap().to_owned()),
    ];
    let there = readable(world, &canaries);
    assert_eq!(there.len(), canaries.len(), "the search finds nothing: {there:?}");
    (tokens.access, canaries)
}

fn goes(world: &World, canaries: &[(&str, String)]) {
    wait_for("what was deleted to go", || {
        world.purge();
        readable(world, canaries).is_empty().then_some(())
    });
}

/// The response waits for it, so the search needs no patience.
#[test]
fn of_an_account_that_its_owner_deletes_nothing_is_left_in_the_file() {
    let world = World::sqlite();
    let app = world.app();
    let (access, canaries) = account(&world, &app);
    app.as_holder("DELETE", "/v1/me", &access, &json!({"password": PASSWORD})).is(204);
    assert_eq!(readable(&world, &canaries), [""; 0]);
}

#[test]
fn of_an_address_that_was_changed_nothing_is_left_in_the_file() {
    let world = World::sqlite();
    let app = world.app();
    let (access, canaries) = account(&world, &app);
    let old = &canaries[..1];
    app.move_to(&world, &access, "plain@example.net");
    world.mail_about(EMAIL, EMAIL_CHANGED, 1);
    // Otherwise its row may be dated after the change of the clock.
    world.settle_mail();
    // Notices and the audit trail may name the old address until they expire.
    world.advance(DAY * 120);
    goes(&world, old);
    assert_eq!(readable(&world, &canaries[1..]).len(), 3, "the account is still there");
}

/// One connection empties the log while others read and write.
#[test]
fn of_accounts_that_are_deleted_at_the_same_time_nothing_is_left_in_the_file() {
    let world = World::sqlite();
    let app = world.app();
    let addresses: Vec<String> = (0..8).map(|n| format!("canary-{n}@example.com")).collect();
    let tokens = addresses.iter().map(|it| app.person(&world, it).access).collect::<Vec<_>>();
    let app = &app;
    thread::scope(|scope| {
        for access in &tokens {
            let body = json!({"password": PASSWORD});
            scope.spawn(move || app.as_holder("DELETE", "/v1/me", access, &body).is(204));
        }
    });
    let canaries: Vec<_> = addresses.into_iter().map(|it| ("address", it)).collect();
    // No purge helps: the first one of this service comes after an hour.
    wait_for("what was deleted to go", || readable(&world, &canaries).is_empty().then_some(()));
}

#[test]
fn of_an_account_that_staff_delete_nothing_is_left_in_the_file() {
    let world = World::sqlite();
    let app = world.app();
    let staff = app.superuser(&world, "root@example.com");
    let (_, canaries) = account(&world, &app);
    let id = world.count("users");
    app.as_holder("DELETE", &format!("/v1/users/{id}"), &staff.access, &Value::Null).is(204);
    goes(&world, &canaries);
}

#[test]
fn of_a_registration_that_expired_nothing_is_left_in_the_file() {
    let world = World::sqlite();
    let app = world.app();
    app.register(EMAIL);
    world.proof(EMAIL, 1);
    let canaries = [("address", "canary-address".to_owned())];
    assert_eq!(readable(&world, &canaries).len(), 1);
    world.settle_mail();
    world.advance(DAY * 40);
    goes(&world, &canaries);
}
