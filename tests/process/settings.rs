//! Settings as a process gets them: environment, `.env`, files.

use std::fs;

use crate::service::Setup;

#[test]
fn all_faults_of_the_settings_are_printed_at_once_and_no_secret_is() {
    let faulty = [
        ("HALLPASS_BIND", "localhost"),
        ("HALLPASS_ENV", "staging"),
        ("DATABASE_URL", "postgers://hallpass:hunter2@db/app"),
        ("HALLPASS_SMTP_URL", "smtp://hallpass:hunter2@mail.example.com?tls=perhaps"),
        ("HALLPASS_BCRYPT_COST", "99"),
        ("HALLPASS_JWT_ALGORITHM", "none"),
        ("HALLPASS_ACCESS_TOKEN_TTL", "5"),
        ("HALLPASS_CORS_ORIGINS", "*"),
        ("HALLPASS_LOG", "==="),
    ];
    let setup = faulty.iter().fold(Setup::bare(), |setup, (name, value)| setup.with(name, value));
    let finished = setup.run(&["serve"]);
    assert!(!finished.success);
    let text = &finished.stderr;
    for (name, _) in faulty {
        let told = text.lines().filter(|line| line.trim_start().starts_with(&format!("{name}: ")));
        assert_eq!(told.count(), 1, "{name} in:\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(fs::read_dir(setup.folder()).unwrap().count(), 0, "something was made all the same");
}

#[test]
fn production_is_refused_without_what_it_needs() {
    let finished = Setup::bare().with("HALLPASS_BIND", "0.0.0.0:0").run(&["serve"]);
    assert!(!finished.success);
    for name in ["HALLPASS_SECRET", "HALLPASS_PUBLIC_URL"] {
        assert_eq!(finished.stderr.matches(&format!("{name}: is required")).count(), 1);
    }
    let short = Setup::bare()
        .with("HALLPASS_ENV", "production")
        .with("HALLPASS_PUBLIC_URL", "https://auth.example.com")
        .with("HALLPASS_SECRET", "hunter2")
        .run(&["serve"]);
    assert!(!short.success);
    assert!(short.stderr.contains("HALLPASS_SECRET: must have at least 32 bytes"));
    assert!(!short.stderr.contains("hunter2"), "{}", short.stderr);
}

#[test]
fn a_name_that_is_no_setting_is_logged_and_ignored() {
    let setup = Setup::on_sqlite().with("HALLPASS_BCRYPT_COTS", "hunter2");
    let service = setup.start();
    let log = service.log();
    assert!(
        log.contains("HALLPASS_BCRYPT_COTS is not a setting (did you mean HALLPASS_BCRYPT_COST?)"),
        "{log}"
    );
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn every_command_that_reads_settings_tells_of_a_misspelt_one() {
    let setup = Setup::on_sqlite().with("DATABSE_URL", "postgres://db.example/hallpass");
    let told = "DATABSE_URL is not a setting (did you mean DATABASE_URL?); it is ignored";
    let superuser =
        ["create-superuser", "--username", "root", "--password", "engines weave algebra"];
    for (number, command) in [
        &superuser[..],
        &["migrate"],
        &["users", "list", "--json"],
        &["api-keys", "list", "--json"],
        &["mail", "list"],
        &["keys", "list"],
        &["doctor"],
    ]
    .into_iter()
    .enumerate()
    {
        let done = setup.run(command);
        let output = if command == ["doctor"] { &done.stdout } else { &done.stderr };
        assert_eq!(output.matches(told).count(), 1, "{command:?}: {} {}", done.stdout, done.stderr);
        assert!(command == ["doctor"] || !done.stdout.contains("DATABSE_URL"), "{command:?}");
        // The database that was not meant, at its creation.
        let is_new = done.stderr.contains("hallpass.db is a new database");
        assert_eq!(is_new, number == 0, "{command:?}: {}", done.stderr);
        let shown = [done.stdout, done.stderr].concat();
        assert!(!shown.contains("db.example"), "{command:?}: {shown}");
    }
}

#[test]
fn a_dot_env_file_is_read_and_the_environment_wins() {
    let setup = Setup::on_sqlite().with("HALLPASS_MAIL_DIR", "mail-of-the-environment");
    setup.write(
        ".env",
        "HALLPASS_DATA_DIR=\"data of the file\"\nHALLPASS_MAIL_DIR=mail-of-the-file\n",
    );
    let service = setup.start();
    let log = service.log();
    assert!(setup.folder().join("data of the file/hallpass.db").exists(), "{log}");
    assert!(log.contains("mail-of-the-environment") && !log.contains("mail-of-the-file"), "{log}");
}

#[test]
fn a_dot_env_file_with_a_secret_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;

    for (content, mode, is_warned) in [
        ("HALLPASS_SECRET=plum-tree-at-dusk-and-dawn-3719-kestrel\n", 0o644, true),
        ("HALLPASS_SECRET=plum-tree-at-dusk-and-dawn-3719-kestrel\n", 0o600, false),
        ("HALLPASS_SERVICE_NAME=Plum\nHALLPASS_SECRET=\n", 0o644, false),
    ] {
        let setup = Setup::on_sqlite();
        setup.write(".env", content);
        let file = setup.folder().join(".env");
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        let warning = ".env can be read by others";
        assert_eq!(
            setup.run(&["doctor"]).stdout.contains(warning),
            is_warned,
            "{content} {mode:o}"
        );
        assert_eq!(setup.start().log().contains(warning), is_warned, "{content} {mode:o}");
    }
}

#[test]
fn a_dollar_sign_in_a_dot_env_file_does_not_make_another_secret() {
    let setup = Setup::on_sqlite();
    setup.write(".env", "HALLPASS_SECRET=a$hunter2-hunter2-hunter2-hunter2-hunter2\n");
    let finished = setup.run(&["serve"]);
    assert!(!finished.success);
    assert!(
        finished.stderr.contains("HALLPASS_SECRET: has a `$` or a `\\`"),
        "{}",
        finished.stderr
    );
    assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    setup.write(".env", "HALLPASS_SECRET='a$hunter2-hunter2-hunter2-hunter2-hunter2'\n");
    setup.start().stop();
    // The environment has no such quotes: the keys open, so it is the same secret.
    fs::remove_file(setup.folder().join(".env")).unwrap();
    setup.with("HALLPASS_SECRET", "a$hunter2-hunter2-hunter2-hunter2-hunter2").start().stop();
}

#[test]
fn a_setting_that_is_no_text_stops_the_start() {
    let finished = Setup::on_sqlite().run_with_bytes("HALLPASS_DRF_JWT", b"off\xa0");
    assert!(!finished.success);
    assert!(
        finished.stderr.contains("HALLPASS_DRF_JWT: must be text in UTF-8"),
        "{}",
        finished.stderr
    );
}

#[test]
fn secrets_come_from_files_too() {
    let setup = Setup::on_sqlite()
        .with("HALLPASS_SECRET_FILE", "secret.txt")
        .with("DATABASE_URL_FILE", "url.txt");
    setup.write("secret.txt", "hunter2-hunter2-hunter2-hunter2-hunter2\n");
    setup.write("url.txt", "sqlite://elsewhere.db\n");
    let service = setup.start();
    assert!(setup.folder().join("elsewhere.db").exists());
    assert!(!service.log().contains("hunter2"), "{}", service.log());
    service.stop();
    // The same secret by the other way opens the same keys: the line end did not count.
    let same = "hunter2-hunter2-hunter2-hunter2-hunter2";
    let setup = setup.with("HALLPASS_SECRET", same);
    let twice = setup.run(&["serve"]);
    assert!(!twice.success);
    assert!(twice.stderr.contains("HALLPASS_SECRET: is set twice"), "{}", twice.stderr);
    setup.without("HALLPASS_SECRET_FILE").start().stop();
}

#[test]
fn a_secret_file_that_is_not_there_is_refused_with_the_name_of_the_setting() {
    let finished = Setup::on_sqlite().with("HALLPASS_SECRET_FILE", "nowhere.txt").run(&["serve"]);
    assert!(!finished.success);
    assert!(finished.stderr.contains("HALLPASS_SECRET_FILE: "), "{}", finished.stderr);
}

const PRODUCTION: [(&str, &str); 3] = [
    ("HALLPASS_ENV", "production"),
    ("HALLPASS_PUBLIC_URL", "https://auth.example.com"),
    ("HALLPASS_SECRET", "c2f1b0a4de6398f7a1d25c4be09f63718d2a4bc5e6f708192a3b4c5d6e7f8091"),
];

fn production() -> Setup {
    PRODUCTION.iter().fold(Setup::bare(), |setup, (name, value)| setup.with(name, value))
}

#[test]
fn a_setting_without_its_value_is_refused_in_production() {
    for name in ["DATABASE_URL", "DATABASE_URL_FILE", "HALLPASS_SMTP_URL", "HALLPASS_CORS_ORIGINS"]
    {
        let finished = production().with(name, "").run(&["serve"]);
        assert!(!finished.success, "{name}");
        let told = format!("{name}: is empty");
        assert!(finished.stderr.contains(&told), "{}", finished.stderr);
        assert!(!production().folder().join("data").exists());
    }
    Setup::on_sqlite().with("DATABASE_URL", "").start().stop();
}

#[test]
fn a_file_as_the_database_is_a_warning_in_production() {
    let setup = production().with("HALLPASS_BCRYPT_COST", "10");
    let log = setup.start().stop_for_log();
    assert!(log.contains("the database is a file"), "{log}");
    let log = Setup::on_sqlite().start().stop_for_log();
    assert!(!log.contains("the database is a file"), "{log}");
}

#[test]
fn a_file_that_was_not_meant_is_never_made() {
    for url in [
        "sqlite://~/a.db",
        "sqlite://${HOME}/a.db",
        "sqlite:///:memory:",
        "sqlite://:memory:",
        "sqlite://localhost/a.db",
        "sqlite://a.db?mode=memory&cache=shared",
        "sqlite://file:a.db",
        "sqlite:a.db#b",
    ] {
        let setup = Setup::on_sqlite().with("DATABASE_URL", url);
        let finished = setup.run(&["migrate"]);
        assert!(!finished.success, "{url}");
        assert!(finished.stderr.contains("DATABASE_URL: "), "{url}: {}", finished.stderr);
        assert_eq!(fs::read_dir(setup.folder()).unwrap().count(), 0, "{url} made something");
    }
    for (url, file) in [
        ("sqlite://a.db?mode=rwc", "a.db"),
        ("sqlite://a%20folder/a.db", "a folder/a.db"),
        (" sqlite://a.db\n", "a.db"),
    ] {
        let setup = Setup::on_sqlite().with("DATABASE_URL", url);
        let finished = setup.run(&["migrate"]);
        assert!(finished.success, "{url}: {}", finished.stderr);
        assert!(setup.folder().join(file).is_file(), "{url}");
        assert_eq!(fs::read_dir(setup.folder()).unwrap().count(), 1, "{url} made more");
    }
}

#[test]
fn no_part_of_a_url_that_cannot_be_read_is_shown() {
    for url in [
        "postgres://hp:hunt@er2@host/x",
        "postgres://hp:hunt/er2@host/x",
        "postgres://hp:hunt#er2@host/x",
        "postgres://hp:hunt?er2@host/x",
        "postgres://hp:hunt er2@host/x",
        "postgres://hp:12/hunt@er2/x?y",
        "postgres://hp@localhost:hunter2/x",
        "postgres://hp@localhost/x?hunter2",
        "postgres://hp@localhost/x?sslmode=hunter2",
        "postgres://hp@localhost/x?connect_timeout=hunter2",
        "postgres://hp@localhost/x?password=hunter2&passwordd=hunter2",
        "postgres://hp:hunter2%@localhost/x",
    ] {
        let setup = Setup::on_sqlite().with("DATABASE_URL", url);
        let ours = Setup::on_sqlite();
        let target = ours.database_url();
        for finished in [
            setup.run(&["serve"]),
            setup.run(&["doctor"]),
            ours.run(&["import-django", "--from", url]),
            ours.run(&["copy-database", "--from", url, "--to", &target]),
        ] {
            assert!(!finished.success, "{url}");
            let told = format!("{}{}", finished.stdout, finished.stderr);
            assert!(!told.contains("hunt") && !told.contains("er2"), "{url}: {told}");
        }
    }
    let escaped = Setup::on_sqlite().with("DATABASE_URL", "postgres://hp:hunt@er2@host/x");
    let told = escaped.run(&["serve"]).stderr;
    for escape in ["%40 for @", "%2F for /", "%23 for #"] {
        assert!(told.contains(escape), "{told}");
    }
}
