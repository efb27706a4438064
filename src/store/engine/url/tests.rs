//! Tests of database URLs.

use super::*;

fn is_good(text: &str) -> bool {
    DatabaseUrl::parse(text).is_ok()
}

#[test]
fn the_scheme_chooses_the_database_and_what_cannot_be_read_is_refused() {
    for good in [
        "sqlite://data/a.db",
        "sqlite:/tmp/a.db",
        "postgres://u:p@h/d",
        "postgresql:///d?host=/run",
        "postgres://u:50%25@h/d",
        "postgres://%2Frun%2Fpostgresql/d",
        "postgres://u:p@[::1]:5432/d?connect_timeout=3&sslmode=verify-full",
        "postgres://u:p:q@a.example:5432,b.example/d?target_session_attrs=read-write",
        "postgres://",
        "postgres://u:пароль!$&'()*+,;=@h/d?options=-csearch_path%3Dx",
    ] {
        assert!(is_good(good), "{good}");
    }
    for bad in ["postgers://u:p@h/d", "POSTGRES://h/d", "data/a.db", "", "sqlite3://a.db"] {
        assert!(!is_good(bad), "{bad}");
    }
}

#[test]
fn what_libpq_would_show_of_a_password_is_refused() {
    for bad in [
        "postgres://hp:hunt@er2@host/x",
        "postgres://hp:hunt/er2@host/x",
        "postgres://hp:12/34@host/x",
        "postgres://hp:12/3?4@host/x",
        "postgres://hp:12/3?dbname4@host/x",
        "postgres://hp:12/3?hunter=4@host/x",
        "postgres://hp:hunt#er2@host/x",
        "postgres://hp:hunt?er2@host/x",
        "postgres://hp:hunt er2@host/x",
        "postgres://hp:hunter2:host/x",
        "postgres://hp:hunter2@[host/x",
        "postgres://hp:hunter2@[::1]x/x",
        "postgres://hp:hunter2@host:port/x",
        "postgres://hp:hunter2@host:99999/x",
        "postgres://hp@host/x?connect_timeout=hunter2",
        "postgres://hp@host/x?sslmode=hunter2",
        "postgres://u:50%@h/d",
        "postgres://u:%zz@h/d",
        "postgres://u:%00@h/d",
    ] {
        let advice = DatabaseUrl::parse(bad).unwrap_err();
        assert!(!advice.contains("hunt") && !advice.contains("er2"), "{advice}");
    }
    for host in ["localhost:65x43/x", "u:word@[::1/x", "u:word@h:99999/x", "u:word@a,b:x/x"] {
        assert_eq!(DatabaseUrl::parse(&format!("postgres://{host}")), Err(HOSTS), "{host}");
    }
    for text in ["hp:hu?nter2@host/x", "hp:hu?nt=er2@host"] {
        assert_eq!(DatabaseUrl::parse(&format!("postgres://{text}")), Err(ESCAPES), "{text}");
    }
    for escaped in ["%40", "%2F", "%23", "%25"] {
        assert!(ESCAPES.contains(escaped));
        assert!(is_good(&format!("postgres://hp:hunt{escaped}er2@host/x")), "{escaped}");
    }
}

#[test]
fn the_path_of_a_file_is_what_was_meant_or_is_refused() {
    for (text, path) in [
        ("sqlite://a.db?mode=rwc", "a.db"),
        ("sqlite:///srv/my%20data/a.db", "/srv/my data/a.db"),
        ("sqlite://100%25.db", "100%.db"),
        ("sqlite://./a.db", "./a.db"),
        ("sqlite://what?.db", "what?.db"),
        ("sqlite://what%3F.db?mode=rwc", "what?.db"),
        ("sqlite:////srv/a.db", "//srv/a.db"),
    ] {
        assert!(DatabaseUrl::parse(text) == Ok(DatabaseUrl::Sqlite(path.into())), "{text}");
    }
    for bad in [
        "sqlite://~/a.db",
        "sqlite://${HOME}/a.db",
        "sqlite://{{db}}/a.db",
        "sqlite:///srv/<site>/a.db",
        "sqlite:///srv/$HOME/a.db",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite:///:memory:",
        "sqlite:///%3Amemory%3A",
        "sqlite://file::memory:?cache=shared",
        "sqlite:file:a.db",
        "sqlite://localhost/srv/a.db",
        "sqlite://LOCALHOST/a.db",
        "sqlite://LocalHost./a.db",
        "sqlite:LOCALHOST/a.db",
        "sqlite://127.0.0.1/srv/a.db",
        "sqlite://user:word@host/a.db",
        "sqlite://a.db?mode=memory",
        "sqlite://a.db?mode=ro",
        "sqlite://a.db?",
        "sqlite://a.db#b",
        "sqlite://100%.db",
        "sqlite:///srv/",
        "sqlite:///srv/..",
        "sqlite:// a.db",
        "sqlite://a.db ?mode=rwc",
        "sqlite://\ta.db",
        "sqlite:///srv/a%0A.db",
        "sqlite:///srv/a\u{a0}.db\u{a0}",
        "sqlite://",
        "sqlite:///",
    ] {
        assert!(!is_good(bad), "{bad}");
    }
}

#[test]
fn an_empty_query_is_left_out() {
    for (text, url) in [
        ("postgres://u:p@h/d?", "postgres://u:p@h/d"),
        ("postgres://?", "postgres://"),
        ("postgresql://h?", "postgresql://h"),
        ("postgres://h/d?application_name=a?", "postgres://h/d?application_name=a?"),
    ] {
        assert!(DatabaseUrl::parse(text) == Ok(DatabaseUrl::Postgres(url.into())), "{text}");
    }
}

#[test]
fn a_file_that_an_older_version_made_stays_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a%20b.db");
    std::fs::write(&path, "").unwrap();
    let url = DatabaseUrl::parse(&format!("sqlite://{}", path.display()));
    assert!(url == Ok(DatabaseUrl::Sqlite(path)));
}

#[test]
fn a_password_in_the_url_is_not_shown() {
    let url = DatabaseUrl::parse("postgres://user:secret@db.example/app").unwrap();
    assert_eq!(format!("{url:?}"), "Postgres, db.example/app");
    for (text, shown) in [
        ("postgres://u:word@a.example:6543,[::1]:6545/app?x=1", "a.example:6543,[::1]:6545/app"),
        ("postgresql:///app?host=/run", "local socket/app"),
        ("postgres://u:word@h", "h/"),
    ] {
        let url = DatabaseUrl::Postgres(text.to_owned());
        assert_eq!(url.redacted(), format!("Postgres, {shown}"));
    }
}
