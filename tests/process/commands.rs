//! The commands beside `serve`.

use crate::both::on_both_without_tables;
use crate::postgres::free_port;
use crate::service::Setup;

#[test]
fn a_superuser_is_made_once_and_not_with_a_weak_password() {
    let setup = Setup::on_sqlite();
    let admin = ["create-superuser", "--username", "admin", "--password", "admin"];
    let refused = setup.run(&admin);
    assert!(!refused.success);
    assert!(refused.stderr.contains("--allow-weak-password"), "{}", refused.stderr);

    let made = setup.run(&[&admin[..], &["--allow-weak-password"]].concat());
    assert!(made.success, "{}", made.stderr);
    assert_eq!(made.stdout, "superuser admin has id 1\n");
    assert!(!made.stderr.contains(" INFO "), "{}", made.stderr);
    let next = ["create-superuser", "--username", "next", "--password", "quiet river stone"];
    assert_eq!(setup.run(&next).stdout, "superuser next has id 2\n");
    let talkative = setup.run_with("HALLPASS_LOG", "info", &["users", "disable", "next", "--yes"]);
    assert!(talkative.stderr.contains(" INFO "), "{}", talkative.stderr);

    let twice = setup.run(&[&admin[..], &["--allow-weak-password"]].concat());
    assert!(!twice.success);
    assert!(twice.stderr.contains("taken"), "{}", twice.stderr);

    let service = setup.start();
    assert_eq!(service.api().log_in("admin", "admin").status, 200);
    assert_eq!(service.api().log_in("admin", "Admin").status, 401);
}

#[test]
fn the_password_of_a_superuser_can_come_from_standard_input() {
    let setup = Setup::on_sqlite();
    let arguments = ["create-superuser", "--username", "root", "--email", "root@example.com"];
    let made = setup.run_with_input(&arguments, "quiet river stone\r\n");
    assert!(made.success, "{}", made.stderr);
    let service = setup.start();
    for name in ["root", "ROOT@example.com"] {
        let answer = service.api().log_in(name, "quiet river stone");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let empty = setup.run(&["create-superuser", "--username", "other"]);
    assert!(!empty.success);
    assert!(empty.stderr.contains("password"), "{}", empty.stderr);
}

on_both_without_tables! {
    fn migrate_brings_a_database_up_to_date_and_then_has_nothing_to_do(setup) {
        let first = setup.run(&["migrate"]);
        assert!(first.success, "{}", first.stderr);
        assert!(first.stdout.starts_with("applied "), "{}", first.stdout);
        let second = setup.run(&["migrate"]);
        assert!(second.success, "{}", second.stderr);
        assert!(second.stdout.ends_with(": up to date\n"), "{}", second.stdout);
        assert_eq!(setup.start().api().get("/readyz").status, 200);
    }
}

#[test]
fn documents_are_printed_without_any_usable_setting() {
    let setup = Setup::bare().with("HALLPASS_BIND", "nonsense");
    for (arguments, version) in [
        (&["openapi"][..], "3.1."),
        (&["openapi", "--version", "3.1"], "3.1."),
        (&["openapi", "--version", "3.0"], "3.0."),
    ] {
        let document = setup.run(arguments);
        assert!(document.success, "{}", document.stderr);
        let document: serde_json::Value = serde_json::from_str(&document.stdout).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with(version), "{arguments:?}");
    }
    assert!(!setup.run(&["openapi", "--version", "2.0"]).success);
    let example = setup.run(&["env-example"]);
    assert!(example.success, "{}", example.stderr);
    assert_eq!(example.stdout, include_str!("../../.env.example"));
}

#[test]
fn the_printed_example_is_a_dot_env_file_that_works() {
    let setup = Setup::on_sqlite();
    setup.write(".env", &setup.run(&["env-example"]).stdout);
    setup.start().stop();
    // The same with every default spelt out.
    let example = setup.run(&["env-example"]).stdout;
    let all: Vec<&str> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .collect();
    let all = all.join("\n");
    assert!(all.contains("HALLPASS_DATA_DIR=./data\n"), "{all}");
    setup.write(".env", &all);
    let service = setup.start();
    assert!(!service.log().contains("WARN"), "{}", service.log());
}

#[test]
fn the_health_check_goes_by_the_service_on_this_machine() {
    let address = format!("127.0.0.1:{}", free_port());
    let setup = Setup::on_sqlite().with("HALLPASS_BIND", &address);
    let down = setup.run(&["healthcheck"]);
    assert!(!down.success);
    assert!(down.stderr.contains("does not answer"), "{}", down.stderr);
    let service = setup.start();
    let up = setup.run(&["healthcheck"]);
    assert!(up.success, "{}", up.stderr);
    assert_eq!((up.stdout.as_str(), up.stderr.as_str()), ("", ""));
    service.stop();
}

#[test]
fn help_lists_the_commands_and_a_typo_is_refused() {
    let setup = Setup::bare();
    let help = setup.run(&["--help"]);
    assert!(help.success);
    for command in [
        "serve",
        "migrate",
        "create-superuser",
        "import-django",
        "openapi",
        "env-example",
        "keys",
        "mail",
        "doctor",
        "copy-database",
        "backup",
        "healthcheck",
    ] {
        let listed = help.stdout.lines().any(|line| line.trim_start().starts_with(command));
        assert!(listed, "no {command} in:\n{}", help.stdout);
    }
    let version = setup.run(&["--version"]).stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let typo = setup.run(&["sevre"]);
    assert!(!typo.success);
    assert!(typo.stderr.contains("serve"), "{}", typo.stderr);
}

#[test]
fn no_mail_waits_at_first() {
    let setup = Setup::on_sqlite();
    let listed = setup.run(&["mail", "list"]);
    assert!(listed.success, "{}", listed.stderr);
    assert!(listed.stdout.starts_with("no mail waits in SQLite, "), "{}", listed.stdout);
    assert_eq!(setup.run(&["mail", "retry"]).stdout, "no mail failed\n");
}
