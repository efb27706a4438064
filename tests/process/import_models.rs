//! `hallpass import-django` from sites with a user model of their own, or with rows that Django would not
//! have written.

use super::import_django::Target;
use crate::django_site::{Site, Tables, accounts};

/// The content types as Django's own app makes them, for the models of a site.
const CONTENT_TYPES: &str = "
    CREATE TABLE django_content_type (id integer PRIMARY KEY, app_label varchar(100) NOT NULL, model varchar(100) NOT NULL);
    INSERT INTO django_content_type VALUES (1, 'admin', 'logentry'), (2, 'accounts', 'member');
";

fn on_both(story: impl Fn(&Site, &Target)) {
    story(&Site::on_sqlite(Tables::Plain), &Target::on_sqlite());
    if let Some(site) = Site::on_postgres(Tables::Plain) {
        story(&site, &Target::on_postgres().unwrap());
    }
}

/// The refusal of an import that wrote nothing.
fn refused(target: &Target, site: &Site, options: &[&str]) -> String {
    let finished = target.import(site, options);
    assert!(!finished.success, "{}", finished.stdout);
    assert!(finished.took.as_secs() < 10, "it took {:?}", finished.took);
    assert!(!finished.stderr.contains("not available"), "{}", finished.stderr);
    finished.stderr
}

fn without_related_tables(site: &Site) {
    site.execute("DROP TABLE IF EXISTS auth_user_groups");
    site.execute("DROP TABLE IF EXISTS auth_user_user_permissions");
}

#[test]
fn the_table_of_a_user_model_is_found_by_its_columns_and_content_type() {
    on_both(|site, target| {
        without_related_tables(site);
        site.execute("ALTER TABLE auth_user RENAME TO accounts_member");
        site.execute(
            "CREATE TABLE accounts_member_groups (id bigint PRIMARY KEY, member_id bigint NOT NULL, \
             group_id integer NOT NULL)",
        );
        site.execute("INSERT INTO accounts_member_groups VALUES (1, 3, 1), (2, 4, 1)");
        // Neither is that of the accounts: old states, and something else with a password.
        site.execute(
            "CREATE TABLE accounts_historicalmember (history_id integer PRIMARY KEY, id integer, \
             username text, password text, last_login text)",
        );
        site.execute(
            "CREATE TABLE wifi_guest (id integer PRIMARY KEY, username text, \
                      password text, last_login text)",
        );
        let several = refused(target, site, &["--dry-run"]);
        assert!(several.contains("accounts_member, wifi_guest"), "{several}");
        assert!(several.contains("--table"), "{several}");
        site.execute(CONTENT_TYPES);
        let told = target.import_all(site, &[]);
        assert!(
            told.starts_with("accounts of accounts_member\nin groups, left behind: 2\n"),
            "{told}"
        );
        assert_eq!(target.stored().len(), accounts().len());
    });
}

#[test]
fn a_table_and_columns_can_be_named() {
    on_both(|site, target| {
        without_related_tables(site);
        for statement in [
            "ALTER TABLE auth_user RENAME TO \"Members\"",
            "ALTER TABLE \"Members\" RENAME COLUMN username TO \"logIn\"",
            "ALTER TABLE \"Members\" RENAME COLUMN date_joined TO created",
            "ALTER TABLE \"Members\" RENAME COLUMN is_active TO enabled",
            "ALTER TABLE \"Members\" DROP COLUMN is_staff",
        ] {
            site.execute(statement);
        }
        let options = ["--table", "Members", "--column", "username=logIn"];
        let all =
            [&options[..], &["--column", "date_joined=created", "--column", "is_active=enabled"]];
        let told = target.import_all(site, &all.concat());
        let table =
            "accounts of Members (date_joined=created, is_active=enabled, username=logIn)\n";
        assert!(told.starts_with(table), "{told}");
        let stored = target.stored();
        assert_eq!(stored.len(), accounts().len());
        for (user, account) in stored.iter().zip(accounts()) {
            assert_eq!((user.id, &user.username), (account.id, &account.username));
            assert_eq!((user.is_active, user.is_staff), (account.is_active, false));
        }
        for (options, cause) in [
            (&["--table", "nowhere"][..], "no table nowhere"),
            (&["--table", "Members", "--column", "email=nowhere"], "no column nowhere"),
            (
                &["--table", "Members", "--column", "phone=created"],
                "a field is one of id, username",
            ),
            (&["--column", "username"], "FIELD=NAME"),
        ] {
            let told = refused(target, site, options);
            assert!(told.contains(cause), "{told}");
        }
    });
}

#[test]
fn a_model_without_user_names_has_addresses_as_such() {
    on_both(|site, target| {
        site.execute("DELETE FROM auth_user WHERE email = ''");
        if site.is_on_sqlite() {
            site.execute("DROP INDEX IF EXISTS auth_user_username");
        }
        site.execute("ALTER TABLE auth_user RENAME TO accounts_user");
        site.execute("ALTER TABLE accounts_user RENAME COLUMN username TO nickname");
        let told = target.import_all(site, &[]);
        assert!(told.starts_with("accounts of accounts_user (username=email)\n"), "{told}");
        assert!(target.stored().iter().all(|user| Some(&user.username) == user.email.as_ref()));
    });
}

#[test]
fn a_model_without_user_names_whose_addresses_are_in_another_column() {
    on_both(|site, target| {
        without_related_tables(site);
        site.execute("DELETE FROM auth_user WHERE email = ''");
        for statement in [
            "DROP TABLE IF EXISTS m2",
            "CREATE TABLE m2 AS SELECT id, email AS mail, password, last_login FROM auth_user",
        ] {
            site.execute(statement);
        }
        let told = target.import_all(site, &["--table", "m2", "--column", "email=mail"]);
        assert!(told.starts_with("accounts of m2 (email=mail, username=mail)\n"), "{told}");
        let stored = target.stored();
        assert!(!stored.is_empty());
        assert!(stored.iter().all(|user| Some(&user.username) == user.email.as_ref()));
    });
}

/// Accounts whose key is a UUID, more than are read at a time.
const WITH_UUIDS: &str = "
    CREATE TABLE auth_user (id {key} PRIMARY KEY, password varchar(128) NOT NULL, last_login {time} NULL,
        is_superuser boolean NOT NULL, username varchar(150) NOT NULL, email varchar(254) NOT NULL,
        is_staff boolean NOT NULL, is_active boolean NOT NULL, date_joined {time} NOT NULL);
    {rows}
";

#[test]
fn keys_that_are_no_numbers_are_refused_with_the_cause() {
    on_both(|site, target| {
        let is_on_sqlite = site.is_on_sqlite();
        site.execute("DROP TABLE IF EXISTS auth_user_groups");
        site.execute("DROP TABLE IF EXISTS auth_user_user_permissions");
        let kinds: &[(&str, &str)] = if is_on_sqlite {
            &[
                ("char(32)", "lower(hex(randomblob(16)))"),
                ("text", "'user-' || n"),
                ("text", "'9' || n || 'e1'"),
            ]
        } else {
            &[
                ("uuid", "gen_random_uuid()"),
                ("text", "'user-' || n"),
                ("varchar(40)", "'9' || n || 'e1'"),
            ]
        };
        for (key, value) in kinds {
            site.execute(
                "DROP TABLE IF EXISTS auth_user CASCADE".trim_end_matches(if is_on_sqlite {
                    " CASCADE"
                } else {
                    ""
                }),
            );
            let (time, numbers) = if is_on_sqlite {
                (
                    "datetime",
                    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 25000)",
                )
            } else {
                ("timestamptz", "WITH numbers AS (SELECT generate_series(1, 25000) AS n)")
            };
            let rows = format!(
                "INSERT INTO auth_user {numbers} SELECT {value}, '!', NULL, FALSE, 'user' || n, '', FALSE, TRUE, \
                 '2020-01-01 00:00:00' {} FROM numbers",
                if is_on_sqlite { "" } else { "::timestamptz" }
            );
            let sql =
                WITH_UUIDS.replace("{key}", key).replace("{time}", time).replace("{rows}", &rows);
            site.execute(&sql);
            let told = refused(target, site, &[]);
            assert!(told.contains("auth_user: row 1, key "), "{told}");
            assert!(told.contains("is no number") && told.contains("--column id="), "{told}");
        }
    });
}

#[test]
fn what_is_null_is_empty_or_named_with_its_row() {
    on_both(|site, target| {
        if site.is_on_sqlite() {
            site.execute(
                "CREATE TABLE copied AS SELECT * FROM auth_user; DROP TABLE auth_user; \
                 ALTER TABLE copied RENAME TO auth_user",
            );
        } else {
            for column in ["email", "username", "is_staff", "date_joined", "password"] {
                site.execute(&format!("ALTER TABLE auth_user ALTER COLUMN {column} DROP NOT NULL"));
            }
        }
        site.execute("UPDATE auth_user SET email = NULL WHERE id IN (3, 8)");
        for (column, was) in [("username", "'pbkdf2-sha1'"), ("is_staff", "FALSE")] {
            site.execute(&format!("UPDATE auth_user SET {column} = NULL WHERE id = 4"));
            let told = refused(target, site, &[]);
            assert!(told.contains(&format!("auth_user: row 4 has no {column} (NULL)")), "{told}");
            site.execute(&format!("UPDATE auth_user SET {column} = {was} WHERE id = 4"));
        }
        site.execute("UPDATE auth_user SET date_joined = NULL WHERE id = 9");
        let told = refused(target, site, &[]);
        assert!(told.contains("auth_user: row 9 has no date_joined that is a date"), "{told}");
        site.execute("UPDATE auth_user SET date_joined = '2019-03-10 12:00:00' WHERE id = 9");
        site.execute("UPDATE auth_user SET password = NULL WHERE id = 5");
        target.import_all(site, &[]);
        assert_eq!(target.one(3).email, None);
        assert_eq!(target.one(8).email, None);
        assert_eq!(target.stored().len(), accounts().len());
    });
}
