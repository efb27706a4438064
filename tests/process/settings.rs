//! Settings as a process gets them: environment, `.env`, files.

use std::fs;

use crate::service::Setup;

#[test]
fn all_faults_of_the_settings_are_told_at_once_and_no_secret_is() {
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
fn a_name_that_is_no_setting_is_told_and_ignored() {
    let setup = Setup::on_sqlite().with("HALLPASS_BCRYPT_COTS", "hunter2");
    let service = setup.start();
    let log = service.log();
    assert!(log.contains("HALLPASS_BCRYPT_COTS is not a setting"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
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
fn a_secret_file_that_is_not_there_is_told_by_name() {
    let finished = Setup::on_sqlite().with("HALLPASS_SECRET_FILE", "nowhere.txt").run(&["serve"]);
    assert!(!finished.success);
    assert!(finished.stderr.contains("HALLPASS_SECRET_FILE: "), "{}", finished.stderr);
}
