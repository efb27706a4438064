//! `hallpass import-django` from sites with a user model of their own, or with rows that Django
//! would not have written.

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
fn rows_with_the_same_id_are_named_before_anything_is_imported() {
    on_both(|site, target| {
        without_related_tables(site);
        site.execute("ALTER TABLE auth_user ADD COLUMN no TEXT");
        // One number, and one that is written in two ways.
        site.execute(
            "UPDATE auth_user SET no = CASE WHEN id = 3 THEN '007' ELSE CAST(id + 100 AS TEXT) END",
        );
        site.execute("UPDATE auth_user SET no = '7' WHERE id = 5");
        for option in [&["--column", "id=no", "--dry-run"][..], &["--column", "id=no"]] {
            let told = target.import(site, option);
            assert!(!told.success, "{}", told.stdout);
            let lines: Vec<&str> =
                told.stdout.lines().filter(|line| line.ends_with("have the id 7")).collect();
            assert_eq!(lines.len(), 2, "{} {}", told.stdout, told.stderr);
            assert!(lines.iter().all(|line| line.contains(": row ")), "{lines:?}");
            assert!(told.stderr.contains("2 accounts collide"), "{}", told.stderr);
        }
        assert!(target.stored().is_empty());
        target.import_all(site, &["--column", "id=no", "--skip-conflicts"]);
        assert_eq!(target.stored().len(), accounts().len() - 2);
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
fn null_is_read_as_empty_or_reported_with_its_row() {
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

/// Two accounts whose key is a UUID, with a column of numbers. The UUIDs begin with numbers of
/// other accounts.
const KEYS_AND_NUMBERS: &str = "
    DROP TABLE auth_user;
    CREATE TABLE accounts_user (id {key} PRIMARY KEY, number bigint NOT NULL, password varchar(128) NOT NULL,
        last_login {time} NULL, is_superuser boolean NOT NULL, username varchar(150) NOT NULL,
        email varchar(254) NOT NULL, is_staff boolean NOT NULL, is_active boolean NOT NULL,
        date_joined {time} NOT NULL);
    INSERT INTO accounts_user VALUES
        ('5b0e0000-aaaa-4bbb-8ccc-dddddddddddd', 1, '!', NULL, FALSE, 'ada', '', FALSE, TRUE, '2020-01-01 00:00:00'),
        ('7c0e0000-aaaa-4bbb-8ccc-dddddddddddd', 5, '!', NULL, FALSE, 'bob', '', FALSE, TRUE, '2020-01-02 00:00:00');
    CREATE TABLE account_emailaddress (id integer PRIMARY KEY, email varchar(254) NOT NULL,
        verified boolean NOT NULL, \"primary\" boolean NOT NULL, user_id {key} NOT NULL);
    INSERT INTO account_emailaddress VALUES
        (1, 'ada@example.com', TRUE, TRUE, '5b0e0000-aaaa-4bbb-8ccc-dddddddddddd');
    CREATE TABLE mfa_authenticator (id integer PRIMARY KEY, user_id {key} NOT NULL);
    INSERT INTO mfa_authenticator VALUES (1, '7c0e0000-aaaa-4bbb-8ccc-dddddddddddd');
    CREATE TABLE socialaccount_socialaccount (id integer PRIMARY KEY, provider varchar(200) NOT NULL,
        uid varchar(191) NOT NULL, user_id {key} NOT NULL);
    INSERT INTO socialaccount_socialaccount VALUES
        (1, 'google', 'of-ada', '5b0e0000-aaaa-4bbb-8ccc-dddddddddddd')
";

#[test]
fn other_tables_are_joined_by_the_primary_key_where_ids_are_in_another_column() {
    on_both(|site, target| {
        without_related_tables(site);
        let (key, time) =
            if site.is_on_sqlite() { ("char(36)", "datetime") } else { ("uuid", "timestamptz") };
        let statements = KEYS_AND_NUMBERS.replace("{key}", key).replace("{time}", time);
        for statement in statements.split(';') {
            site.execute(statement);
        }
        let told = target.import(site, &["--column", "id=number"]);
        assert!(
            told.stdout.contains("second factor, left behind: 1 (numbers 5)"),
            "{}",
            told.stdout
        );
        assert!(!told.success);
        let told = target.import_all(site, &["--column", "id=number", "--without-mfa"]);
        assert!(told.contains("social accounts, imported as identities: 1\n"), "{told}");
        let (ada, bob) = (target.one(1), target.one(5));
        assert_eq!((ada.email.as_deref(), ada.email_verified), (Some("ada@example.com"), true));
        assert_eq!(bob.email, None);
        assert_eq!(target.identities(), [(1, "https://accounts.google.com of-ada".to_owned())]);
    });
}

/// Social accounts at OpenID Connect providers, which django-allauth stores under names of the
/// site.
const SOCIAL_ACCOUNTS: &str = "
    CREATE TABLE socialaccount_socialaccount (id integer PRIMARY KEY, provider varchar(200) NOT NULL,
        uid varchar(191) NOT NULL, user_id integer NOT NULL);
    INSERT INTO socialaccount_socialaccount VALUES
        (1, 'big_co', 'sub-3', 3), (2, 'okta', 'ada@example.com', 4), (3, 'unknown', '5', 5)
";

#[test]
fn social_accounts_at_a_configured_provider_are_its_identities() {
    on_both(|site, target| {
        for statement in SOCIAL_ACCOUNTS.split(';') {
            site.execute(statement);
        }
        let settings = ["BIG_CO", "OKTA"].map(|name| {
            let prefix = format!("HALLPASS_SOCIAL_OIDC_{name}");
            let issuer = name.to_lowercase().replace('_', "-");
            format!("{prefix}_ISSUER=https://{issuer}.example\n{prefix}_CLIENT_ID=x\n")
        });
        let pages = "HALLPASS_SOCIAL_RETURN_URLS=https://app.example.com/in\n";
        target.configure(&(settings.concat() + pages));
        let told = target.import_all(site, &[]);
        let lines = "social accounts, imported as identities: 1\n\
            with a social account of another provider, left behind: 2\n";
        assert!(told.contains(lines), "{told}");
        // The uid at Okta was the user name, which another user can get.
        assert_eq!(target.identities(), [(3, "https://big-co.example sub-3".to_owned())]);
    });
}

#[test]
fn references_of_another_kind_than_the_keys_are_refused() {
    on_both(|site, target| {
        without_related_tables(site);
        site.execute(
            "CREATE TABLE mfa_authenticator (id integer PRIMARY KEY, user_id varchar(32))",
        );
        site.execute(
            "INSERT INTO mfa_authenticator VALUES (1, '5b0e0000aaaa4bbb8cccdddddddddddd')",
        );
        let told = refused(target, site, &[]);
        assert!(told.contains("mfa_authenticator refers to the user \"5b0e"), "{told}");
    });
}

/// Second factors in tables of several packages, each of one user, and what is none of user 8.
const SECOND_FACTORS: &str = "
    CREATE TABLE mfa_mfakey (id integer PRIMARY KEY, user_id bigint, method text, secret text);
    INSERT INTO mfa_mfakey VALUES (1, 9, 'TOTP', 'x');
    CREATE TABLE django_fido_authenticator (id integer PRIMARY KEY, user_id bigint);
    INSERT INTO django_fido_authenticator VALUES (1, 3);
    CREATE TABLE passkeys_userpasskey (id integer PRIMARY KEY, user_id bigint, enabled boolean);
    INSERT INTO passkeys_userpasskey VALUES (1, 4, TRUE), (2, 8, FALSE);
    CREATE TABLE tickets_gate (id integer PRIMARY KEY, name text, confirmed boolean, user_id bigint);
    INSERT INTO tickets_gate VALUES (1, 'phone', TRUE, 5), (2, 'phone', FALSE, 8);
    CREATE TABLE auth_authenticator (id integer PRIMARY KEY, owner bigint REFERENCES auth_user (id));
    INSERT INTO auth_authenticator VALUES (1, 6);
    CREATE TABLE fcm_django_fcmdevice (id integer PRIMARY KEY, user_id bigint, name text, active boolean);
    INSERT INTO fcm_django_fcmdevice VALUES (1, 8, 'phone', TRUE)
";

#[test]
fn second_factors_of_any_package_stop_the_import() {
    on_both(|site, target| {
        for statement in SECOND_FACTORS.split(';') {
            site.execute(statement);
        }
        let told = target.import(site, &["--dry-run"]);
        let listed = "with a second factor, left behind: 5 (numbers 3, 4, 5, 6, 9)";
        assert!(told.stdout.contains(listed), "{}", told.stdout);
        let tables = "auth_authenticator, django_fido_authenticator, mfa_mfakey, passkeys_userpasskey, \
                      tickets_gate";
        assert!(told.stderr.contains(tables), "{}", told.stderr);
        assert!(!told.success);
    });
}
