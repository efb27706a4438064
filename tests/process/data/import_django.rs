//! `hallpass import-django`, from databases that a real Django made.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::both::on_both;
use crate::django_site::{Site, Tables, accounts};
use crate::service::{Finished, Setup};
use crate::sql;

/// 2019-03-01 12:00:00.654321 UTC, when account 0 would have joined; the others a day later each.
const FIRST_JOINED: i64 = 1_551_441_600_654_321;
const DAY: i64 = 86_400_000_000;

/// A Hallpass that accounts come to.
pub struct Target {
    setup: Setup,
}

/// An account as Hallpass has it.
#[derive(Debug, QueryableByName)]
pub struct Stored {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = Text)]
    pub username: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub email: Option<String>,
    #[diesel(sql_type = Bool)]
    pub email_verified: bool,
    #[diesel(sql_type = Text)]
    pub password_hash: String,
    #[diesel(sql_type = Bool)]
    pub is_active: bool,
    #[diesel(sql_type = Bool)]
    pub is_staff: bool,
    #[diesel(sql_type = Bool)]
    pub is_superuser: bool,
    #[diesel(sql_type = BigInt)]
    pub created_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_login_at: Option<i64>,
}

#[derive(QueryableByName)]
struct StoredIdentity {
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = Text)]
    subject: String,
}

impl From<Setup> for Target {
    fn from(setup: Setup) -> Self {
        Self { setup }
    }
}

impl Target {
    pub fn on_sqlite() -> Self {
        Setup::on_sqlite().into()
    }

    pub fn on_postgres() -> Option<Self> {
        Setup::with_tables_on_postgres().map(Self::from)
    }

    /// A site on the same kind of database.
    pub fn site(&self, tables: Tables) -> Site {
        if self.is_on_sqlite() {
            Site::on_sqlite(tables)
        } else {
            Site::on_postgres(tables).unwrap()
        }
    }

    fn is_on_sqlite(&self) -> bool {
        !self.setup.has("DATABASE_URL")
    }

    pub fn import(&self, site: &Site, options: &[&str]) -> Finished {
        self.setup.run(&[&["import-django", "--from", &site.url], options].concat())
    }

    /// The same where nothing hinders it: what it says.
    pub fn import_all(&self, site: &Site, options: &[&str]) -> String {
        let finished = self.import(site, options);
        assert!(finished.success, "{}{}", finished.stdout, finished.stderr);
        // On an outside server, all schemas of the tests share the lock of the migrations.
        let waits = |line: &&str| line.contains("waits for another instance");
        let told: Vec<&str> = finished.stderr.lines().filter(|line| !waits(line)).collect();
        assert!(told.is_empty(), "{told:?}");
        finished.stdout
    }

    pub fn stored(&self) -> Vec<Stored> {
        sql::load(&self.setup, "SELECT * FROM users ORDER BY id")
    }

    /// The users of identities, and issuer and subject with a space between them.
    pub fn identities(&self) -> Vec<(i64, String)> {
        let query =
            "SELECT user_id, issuer || ' ' || subject AS subject FROM identities ORDER BY user_id";
        let rows: Vec<StoredIdentity> = sql::load(&self.setup, query);
        rows.into_iter().map(|it| (it.user_id, it.subject)).collect()
    }

    pub fn one(&self, id: i64) -> Stored {
        self.stored().into_iter().find(|user| user.id == id).unwrap()
    }

    /// Writes its settings into `.env`.
    pub fn configure(&self, settings: &str) {
        self.setup.write(".env", settings);
    }

    /// Changes its database.
    pub fn execute(&self, sql: &str) {
        sql::change(&self.setup, sql);
    }

    pub fn make_superuser(&self, username: &str, email: Option<&str>) -> String {
        let mut arguments =
            vec!["create-superuser", "--username", username, "--password", "plum tree at dusk"];
        arguments.extend(email.iter().flat_map(|email| ["--email", email]));
        let made = self.setup.run(&arguments);
        assert!(made.success, "{}", made.stderr);
        made.stdout
    }
}

fn everything_is_kept(target: &Target) {
    let stored = target.stored();
    let expected = accounts();
    assert_eq!(stored.len(), expected.len());
    for (user, account) in stored.iter().zip(&expected) {
        assert_eq!(user.id, account.id);
        assert_eq!(user.username, account.username);
        let email = account.primary.as_ref().or(Some(&account.email)).filter(|it| !it.is_empty());
        assert_eq!(user.email.as_ref(), email);
        assert_eq!(user.email_verified, account.verified || account.primary.is_some(), "{user:?}");
        assert_eq!(
            (user.is_active, user.is_staff, user.is_superuser),
            (account.is_active, account.is_staff, account.is_superuser)
        );
        assert_eq!(user.created_at, FIRST_JOINED + account.id * DAY);
        let last_login = (account.id == 3).then_some(1_764_547_199_123_456);
        assert_eq!(user.last_login_at, last_login, "{user:?}");
    }
}

fn all_users_log_in_with_the_old_password(site: &Site, target: &Target) {
    let service = target.setup.start();
    let api = service.api();
    for account in accounts() {
        let before = target.one(account.id).password_hash;
        let password = account.password.as_deref().unwrap_or("unusable");
        let expected = match (&account.password, account.is_active) {
            (None, _) => (401, "invalid_credentials"),
            (_, false) => (403, "account_disabled"),
            _ => (200, ""),
        };
        // Each of these hashes takes a while, and four runs would repeat them.
        if site.is_on_sqlite() && target.is_on_sqlite() {
            let wrong = api.log_in(&account.username, &format!("{password}x"));
            assert_eq!(wrong.status, 401, "{}", account.username);
        }
        let first = api.log_in(&account.username, password);
        assert_eq!(
            (first.status, first.body["code"].as_str().unwrap_or_default()),
            expected,
            "{}",
            account.username
        );
        let after = target.one(account.id).password_hash;
        if first.status != 200 {
            assert_eq!(after, before);
            continue;
        }
        let verified = api.verify_token(&first.text("access_token"));
        assert_eq!(verified.body["sub"], account.id.to_string(), "{verified:?}");
        assert!(after.starts_with("$bcrypt-sha256$"), "{}: {after}", account.username);
        assert_eq!(api.log_in(&account.username, password).status, 200, "{}", account.username);
    }
    // By address too, the primary one.
    assert_eq!(api.log_in("bcrypt@example.com", "plum tree at dusk").status, 200);
    assert_eq!(api.log_in("new@example.com", "double river stone").status, 200);
    assert_eq!(api.log_in("old@example.com", "double river stone").status, 401);
}

fn a_whole_site_comes_over(site: &Site, target: &Target) {
    let before = site.bytes();
    let summary = "further addresses, left behind: 1\nwithout a password: 1\n";
    let dry = target.import_all(site, &["--dry-run"]);
    assert_eq!(dry, format!("{summary}would be imported: 12\n"));
    assert!(target.stored().is_empty());
    assert_eq!(target.import_all(site, &[]), format!("{summary}imported: 12\n"));
    everything_is_kept(target);
    // Who comes next gets the next number.
    assert_eq!(target.make_superuser("next", None), "superuser next has id 21\n");
    all_users_log_in_with_the_old_password(site, target);
    assert!(site.bytes() == before, "the site's database was touched");
}

#[test]
fn a_site_on_sqlite_comes_over_to_sqlite() {
    a_whole_site_comes_over(&Site::on_sqlite(Tables::WithAllauth), &Target::on_sqlite());
}

#[test]
fn a_site_on_sqlite_comes_over_to_postgres() {
    let Some(target) = Target::on_postgres() else { return };
    a_whole_site_comes_over(&Site::on_sqlite(Tables::WithAllauth), &target);
}

#[test]
fn a_site_on_postgres_comes_over_to_sqlite() {
    let Some(site) = Site::on_postgres(Tables::WithAllauth) else { return };
    a_whole_site_comes_over(&site, &Target::on_sqlite());
}

#[test]
fn a_site_on_postgres_comes_over_to_postgres() {
    let Some(site) = Site::on_postgres(Tables::WithAllauth) else { return };
    a_whole_site_comes_over(&site, &Target::on_postgres().unwrap());
}

on_both! {
    /// Without django-allauth, the site does not store whether an address is verified.
    fn no_address_of_a_site_without_allauth_counts_as_verified(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::Plain);
        assert_eq!(target.import_all(site, &[]), "without a password: 1\nimported: 12\n");
        for (user, account) in target.stored().iter().zip(&accounts()) {
            assert_eq!(user.email.as_deref().unwrap_or_default(), account.email);
            assert!(!user.email_verified, "{user:?}");
        }
    }
}

on_both! {
    fn a_second_run_adds_only_what_is_new(setup) {
        let target = &Target::from(setup);
        let site = Site::on_sqlite(Tables::WithAllauth);
        target.import_all(&site, &[]);
        let service = target.setup.start();
        assert_eq!(service.api().log_in("pbkdf2", "quiet river stone").status, 200);
        service.stop();
        let renewed = target.one(3);
        // What has changed on the site since does not come over, not even a name.
        site.execute("UPDATE auth_user SET email = 'else@example.com', password = '!' WHERE id = 3");
        site.execute("UPDATE auth_user SET username = 'renamed' WHERE id = 4");
        site.add(40, "new", "new.one@example.com", "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99");
        let second = target.import_all(&site, &[]);
        let unknown = "with a password that cannot be checked here: 1 (numbers 40)";
        let here = "here already, left as they are";
        assert_eq!(second, format!("{here}: 12\n{unknown}\nimported: 1\n"));
        let kept = target.one(3);
        assert_eq!(kept.email, renewed.email);
        assert_eq!(kept.password_hash, renewed.password_hash);
        assert_eq!(target.one(4).username, "pbkdf2-sha1");
        assert_eq!(target.one(40).created_at, 1_582_938_123_000_000);
        let third = target.import_all(&site, &[]);
        assert_eq!(third, format!("{here}: 13\nimported: 0\n"));
        assert_eq!(target.make_superuser("next", None), "superuser next has id 41\n");
        // An account that was deleted, and whose rows are not yet, is imported again.
        target.execute(
            "UPDATE users SET deleted_at = 1, username = 'deleted 40', username_norm = 'deleted 40', \
             email_norm = NULL, is_active = '0' WHERE id = 40",
        );
        target.execute("INSERT INTO erasures (user_id, requested_at) VALUES (40, 1)");
        target.execute(
            "INSERT INTO events (id, user_id, kind, device, network, detail, at) \
             VALUES ('e', 40, 'logged_in', 'Netscape', '203.0.113.0/24', 'x', 1)",
        );
        let summary = target.import_all(&site, &["--dry-run"]);
        assert_eq!(summary, format!("{here}: 12\n{unknown}\nwould be imported: 1\n"));
        let fourth = target.import_all(&site, &[]);
        assert_eq!(fourth, format!("{here}: 12\n{unknown}\nimported: 1\n"));
        assert_eq!(target.one(40).username, "new");
        let left = "SELECT user_id, kind || detail AS subject FROM events WHERE device = 'Netscape'";
        let left: Vec<StoredIdentity> = sql::load(&target.setup, left);
        assert_eq!(left.len(), 0, "events of the deleted account");
        let left = "SELECT user_id, '' AS subject FROM erasures";
        assert_eq!(sql::load::<StoredIdentity>(&target.setup, left).len(), 0);
    }
}

const CONFLICTS: &str = "\
3 pbkdf2: the number is that of 3 in Hallpass
3 pbkdf2: the name is that of 30 in Django
5 bcrypt: the address B***@Example.com is that of 2 in Hallpass
8 argon2: the name is that of 3 in Hallpass
9 scrypt: the address s***@example.com is that of 31 in Django
30 PBKDF2: the name is that of 3 in Django
31 s***@else.example: the address S***@Example.com is that of 9 in Django
";

on_both! {
    fn conflicts_are_listed_and_nothing_is_half_done(setup) {
        let target = &Target::from(setup);
        let site = Site::on_sqlite(Tables::WithAllauth);
        site.add(30, "PBKDF2", "", "!");
        site.add(31, "second@else.example", "Scrypt@Example.com", "!");
        target.make_superuser("keeper", None);
        target.make_superuser("other", Some("bcrypt@example.com"));
        target.make_superuser("ARGON2", None);

        for (options, was, imported) in
            [(&["--dry-run"][..], "would be", "would be imported"), (&[][..], "was", "imported")]
        {
            let refused = target.import(&site, options);
            assert!(!refused.success);
            let summary = "collide: 6\n\
                with another e-mail address than their own as user name: 1 (numbers 31)\n\
                further addresses, left behind: 1\nwithout a password: 1\n";
            assert_eq!(refused.stdout, format!("{CONFLICTS}{summary}{imported}: 0\n"));
            let told = format!("6 accounts collide, so nothing {was} imported");
            assert!(refused.stderr.contains(&told), "{}", refused.stderr);
            assert_eq!(target.stored().len(), 3);
        }

        let drop = ["--skip-conflicts", "--drop-shared-emails", "--dry-run"];
        let without = target.import_all(&site, &drop);
        let dropped = "without the address that another has too: 2 (numbers 5, 31)";
        assert!(without.contains(&format!("\ncollide: 3\n{dropped}\n")), "{without}");
        assert!(without.ends_with("\nwould be imported: 11\n"), "{without}");

        let skipped = target.import_all(&site, &["--skip-conflicts"]);
        assert!(skipped.starts_with(CONFLICTS), "{skipped}");
        assert!(skipped.ends_with("\nimported: 8\n"), "{skipped}");
        let ids: Vec<i64> = target.stored().iter().map(|user| user.id).collect();
        assert_eq!(ids, [1, 2, 3, 4, 6, 10, 11, 12, 13, 14, 20]);

        // What is mended on the site comes over next time.
        site.execute("DELETE FROM auth_user WHERE id IN (30, 31)");
        let mended = target.import_all(&site, &["--skip-conflicts", "--drop-shared-emails"]);
        assert!(mended.ends_with("\nimported: 2\n"), "{mended}");
        assert_eq!(target.one(5).email, None);
        assert!(!target.one(5).email_verified);
        assert!(target.one(9).email_verified);
    }
}

#[test]
fn a_database_of_something_else_is_refused_and_none_is_made() {
    let target = Target::on_sqlite();
    let file = target.setup.folder().join("nothing.sqlite3");
    let from = format!("sqlite://{}", file.display());
    let missing = target.setup.run(&["import-django", "--from", &from]);
    assert!(!missing.success);
    assert!(missing.stderr.contains("No such file"), "{}", missing.stderr);
    assert!(!file.exists());

    std::fs::write(&file, "").unwrap();
    let empty = target.setup.run(&["import-django", "--from", &from]);
    assert!(!empty.success);
    assert!(empty.stderr.contains("no table auth_user"), "{}", empty.stderr);

    let secret = ["import-django", "--from", "postgres://u:secret@db.example/site"];
    let remote = target.setup.run(&secret);
    assert!(!remote.success && !remote.stderr.contains("secret"), "{}", remote.stderr);
}

/// Tables as the migrations of django-allauth's `mfa` and `socialaccount`, of django-otp, and of
/// Django itself make them, with what some of the accounts have there.
const EXTRAS: &str = "
    CREATE TABLE mfa_authenticator (id bigint PRIMARY KEY, type varchar(20) NOT NULL, data text NOT NULL, user_id bigint NOT NULL);
    INSERT INTO mfa_authenticator VALUES (1, 'totp', '{}', 5), (2, 'recovery_codes', '{}', 5), (3, 'webauthn', '{}', 6);
    CREATE TABLE otp_totp_totpdevice (id integer PRIMARY KEY, name varchar(64) NOT NULL, confirmed BOOL NOT NULL, user_id bigint NOT NULL);
    INSERT INTO otp_totp_totpdevice VALUES (1, 'phone', FALSE, 3), (2, 'phone', TRUE, 4);
    CREATE TABLE otp_yubikey_remoteyubikeydevice (id integer PRIMARY KEY, confirmed BOOL NOT NULL, user_id bigint NOT NULL);
    INSERT INTO otp_yubikey_remoteyubikeydevice VALUES (1, TRUE, 5), (2, FALSE, 3);
    CREATE TABLE otp_of_a_site_of_its_own (id integer PRIMARY KEY, user_id bigint NOT NULL);
    INSERT INTO otp_of_a_site_of_its_own VALUES (1, 6);
    CREATE TABLE trench_mfamethod (id integer PRIMARY KEY, is_active BOOL NOT NULL, user_id bigint NOT NULL);
    INSERT INTO trench_mfamethod VALUES (1, TRUE, 8), (2, FALSE, 3);
    CREATE TABLE mfa_user_keys (id integer PRIMARY KEY, username varchar(50) NOT NULL);
    INSERT INTO mfa_user_keys VALUES (1, 'social');
    CREATE TABLE socialaccount_socialaccount (id integer PRIMARY KEY, provider varchar(200) NOT NULL, uid varchar(191) NOT NULL, user_id bigint NOT NULL);
    INSERT INTO socialaccount_socialaccount VALUES (1, 'google', '1', 5), (2, 'keycloak', '2', 40), (3, 'kakao', '3', 41), (4, 'microsoft', '4', 41);
    CREATE TABLE auth_user_groups (id bigint PRIMARY KEY, user_id bigint NOT NULL, group_id integer NOT NULL);
    INSERT INTO auth_user_groups VALUES (1, 3, 1), (2, 3, 2), (3, 8, 1);
    CREATE TABLE auth_user_user_permissions (id bigint PRIMARY KEY, user_id bigint NOT NULL, permission_id integer NOT NULL);
    INSERT INTO auth_user_user_permissions VALUES (1, 4, 9);
    UPDATE auth_user SET first_name = 'Ada' WHERE id IN (6, 8);
";

on_both! {
    /// Second factors stop the import. With the option for it, it lists what is lost.
    fn second_factors_stop_an_import(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::WithAllauth);
        site.execute("DROP TABLE IF EXISTS auth_user_groups");
        site.execute("DROP TABLE IF EXISTS auth_user_user_permissions");
        site.add(40, "social", "social@example.com", "!unusable");
        site.add(41, "kakao", "kakao@example.com", "!unusable");
        for statement in EXTRAS.split(';').filter(|it| !it.trim().is_empty()) {
            site.execute(statement);
        }
        let told = "with a second factor, left behind: 5 (numbers 4, 5, 6, 8, 40)\n\
            IDENTITIES\
            with a social account of another provider, left behind: 2\n\
            with such an account and no password: 1 (numbers 40)\n\
            in groups, left behind: 2\n\
            with permissions of their own, left behind: 1\n\
            with a first or last name, left behind: 2\n";
        for options in [&["--dry-run"][..], &[], &["--skip-conflicts"]] {
            let refused = target.import(site, options);
            assert!(!refused.success);
            assert!(refused.stdout.contains(&told.replace("IDENTITIES", "")), "{}", refused.stdout);
            assert!(refused.stdout.ends_with("imported: 0\n"), "{}", refused.stdout);
            let tables = "5 accounts have a second factor (in mfa_authenticator, mfa_user_keys, otp_";
            assert!(refused.stderr.contains(tables), "{}", refused.stderr);
            assert!(refused.stderr.contains("--without-mfa"), "{}", refused.stderr);
            assert!(target.stored().is_empty());
        }
        let told_all = target.import_all(site, &["--without-mfa"]);
        let identities = "social accounts, imported as identities: 2\n";
        assert!(told_all.contains(&told.replace("IDENTITIES", identities)), "{told_all}");
        assert_eq!(target.stored().len(), accounts().len() + 2);
        // What came before stops nothing again.
        target.import_all(site, &[]);
    }
}

on_both! {
    /// A table with the name of second factors stops the import even if its users cannot be read.
    fn second_factors_of_unknown_users_stop_an_import(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::Plain);
        for statement in [
            "CREATE TABLE site_profile (id integer PRIMARY KEY, user_id bigint NOT NULL)",
            "CREATE TABLE accounts_totp (id integer PRIMARY KEY, profile_id integer, enabled boolean)",
            "INSERT INTO accounts_totp VALUES (1, 7, '0')",
        ] {
            site.execute(statement);
        }
        assert!(target.import(site, &["--dry-run"]).success, "none is in use");
        site.execute("UPDATE accounts_totp SET enabled = '1'");
        for options in [&["--dry-run"][..], &[]] {
            let refused = target.import(site, options);
            assert!(!refused.success);
            let found = "accounts may have a second factor (in accounts_totp, whose users are unknown)";
            assert!(refused.stderr.contains(found), "{}", refused.stderr);
            assert!(target.stored().is_empty());
        }
        let told = target.import_all(site, &["--without-mfa"]);
        assert!(told.contains("tables that may hold second factors"), "{told}");
        // Without new accounts it stops nothing.
        target.import_all(site, &[]);
    }
}

on_both! {
    /// A user name that is the address of another account gives way; one that is an address of no
    /// account stays until its owner verifies it.
    fn a_user_name_that_is_another_accounts_address_is_changed(setup) {
        let target = &Target::from(setup);
        let site = Site::on_sqlite(Tables::WithAllauth);
        target.make_superuser("other", Some("Taken@example.com"));
        site.execute("DELETE FROM auth_user WHERE id = 1");
        site.add(40, "taken@EXAMPLE.com", "forty@example.com", "!");
        site.add(41, "free@example.com", "forty-one@example.com", "!");
        let listed = "with another e-mail address than their own as user name: 2 (numbers 40, 41)";
        let dry = target.import_all(&site, &["--dry-run"]);
        assert!(dry.contains(listed), "{dry}");
        target.import_all(&site, &[]);
        assert_eq!(target.one(40).username, "user-40");
        assert_eq!(target.one(40).email.as_deref(), Some("forty@example.com"));
        assert_eq!(target.one(41).username, "free@example.com");
    }
}

on_both! {
    /// Above 2^53 - 1 an id is no exact JSON number, and the ids of new users would soon be used
    /// up.
    fn an_id_that_leaves_none_for_new_users_is_refused(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::Plain);
        if !site.is_on_sqlite() {
            site.execute("ALTER TABLE auth_user ALTER COLUMN id TYPE bigint");
        }
        for id in [i64::MAX, 1 << 53] {
            site.execute("DELETE FROM auth_user WHERE username = 'last'");
            site.add(id, "last", "last@example.com", "!");
            let refused = target.import(site, &[]);
            assert!(!refused.success);
            assert!(
                refused.stderr.contains(&format!("row {id} has an id above")),
                "{}",
                refused.stderr
            );
        }
        site.execute("DELETE FROM auth_user WHERE username = 'last'");
        site.add((1 << 53) - 1, "last", "last@example.com", "!");
        target.import_all(site, &[]);
        assert!(target.make_superuser("next", None).contains("9007199254740992"));
    }
}

on_both! {
    fn an_id_below_one_is_a_conflict(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::Plain);
        for (id, name) in [(0, "zero"), (-1, "AnonymousUser"), (77, "after")] {
            site.add(id, name, &format!("{name}@example.com"), "!");
        }
        for options in [&["--dry-run"][..], &[]] {
            let refused = target.import(site, options);
            assert!(!refused.success);
            for line in ["0 zero: user ids begin with 1", "-1 AnonymousUser: user ids begin with 1"] {
                assert!(refused.stdout.contains(line), "{}", refused.stdout);
            }
        }
        target.import_all(site, &["--skip-conflicts"]);
        assert_eq!(target.one(77).username, "after");
    }
}

const SOCIAL_CONFLICTS: &str = "\
41 moved: the google account is that of 40 in Hallpass, and the only way to log in
42 twin: the kakao account is that of 43 in Django
43 other-twin: the kakao account is that of 42 in Django, and the only way to log in
45 double: the google account is that of 40 in Django
here already, left as they are: 13
collide: 4
";

on_both! {
    /// An identity that another account has is no way to log in, so its account is not imported
    /// without it.
    fn an_identity_of_another_account_is_a_conflict(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::WithAllauth);
        site.execute(
            "CREATE TABLE socialaccount_socialaccount (id integer PRIMARY KEY, provider varchar(200) \
             NOT NULL, uid varchar(191) NOT NULL, user_id bigint NOT NULL)",
        );
        let add = |id, name: &str, identities: &[(i64, &str, &str)]| {
            site.add(id, name, &format!("{name}@example.com"), "!");
            for (row, provider, uid) in identities {
                site.execute(&format!(
                    "INSERT INTO socialaccount_socialaccount VALUES ({row}, '{provider}', '{uid}', {id})"
                ));
            }
        };
        let google = |user, subject: &str| (user, format!("https://accounts.google.com {subject}"));
        add(40, "first", &[(1, "google", "g1")]);
        target.import_all(site, &[]);
        assert_eq!(target.identities(), [google(40, "g1")]);

        site.execute("UPDATE socialaccount_socialaccount SET user_id = 41 WHERE id = 1");
        add(41, "moved", &[]);
        add(42, "twin", &[(2, "kakao", "k1"), (3, "google", "g2")]);
        add(43, "other-twin", &[(4, "kakao", "k1")]);
        // Two rows of one account are one identity.
        add(44, "fine", &[(5, "google", "g4"), (6, "google", "g4")]);
        // Another identity of an account that an earlier import created.
        site.execute("INSERT INTO socialaccount_socialaccount VALUES (7, 'google', 'g5', 40)");
        add(45, "double", &[(8, "google", "g5"), (9, "google", "g6")]);
        for options in [&["--dry-run"][..], &[]] {
            let refused = target.import(site, options);
            assert!(!refused.success);
            assert!(refused.stdout.starts_with(SOCIAL_CONFLICTS), "{}", refused.stdout);
            assert!(refused.stdout.ends_with("imported: 0\n"), "{}", refused.stdout);
            assert_eq!((target.stored().len(), target.identities().len()), (13, 1));
        }
        let counted = "social accounts, imported as identities: 1\n";
        for options in [&["--skip-conflicts", "--dry-run"][..], &["--skip-conflicts"]] {
            let told = target.import_all(site, options);
            assert!(told.starts_with(SOCIAL_CONFLICTS) && told.contains(counted), "{told}");
            assert!(told.ends_with("imported: 1\n"), "{told}");
        }
        assert_eq!(target.identities(), [google(40, "g1"), google(44, "g4")]);
    }
}

on_both! {
    fn a_null_in_a_table_of_allauth_is_refused_with_its_row_and_column(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::Plain);
        for table in [
            "account_emailaddress (id integer PRIMARY KEY, email varchar(254), verified bool, \
             \"primary\" bool, user_id bigint)",
            "socialaccount_socialaccount (id integer PRIMARY KEY, provider varchar(200), \
             uid varchar(191), user_id bigint)",
        ] {
            site.execute(&format!("CREATE TABLE {table}"));
        }
        for (table, values, column) in [
            ("account_emailaddress", "'a@example.com', NULL, TRUE", "verified"),
            ("account_emailaddress", "'a@example.com', TRUE, NULL", "primary"),
            ("socialaccount_socialaccount", "NULL, 'g1'", "provider"),
            ("socialaccount_socialaccount", "'google', NULL", "uid"),
        ] {
            // Rows of users that the site does not have any more are left out.
            site.execute(&format!("INSERT INTO {table} VALUES (6, {values}, 999)"));
            assert!(target.import(site, &["--dry-run"]).success, "{table} {column}");
            site.execute(&format!("INSERT INTO {table} VALUES (7, {values}, 3)"));
            let refused = target.import(site, &[]);
            let told = format!("{table}: row 7 has no {column} (NULL)");
            assert!(refused.stderr.contains(&told), "{}", refused.stderr);
            site.execute(&format!("DELETE FROM {table}"));
        }
        if site.is_on_sqlite() {
            site.execute(
                "INSERT INTO socialaccount_socialaccount VALUES (8, 'google', CAST(x'62ff72' AS TEXT), 3)",
            );
            let refused = target.import(site, &[]);
            let told = "socialaccount_socialaccount: row 8 has a uid that is no text";
            assert!(refused.stderr.contains(told), "{}", refused.stderr);
        }
    }
}

on_both! {
    fn the_first_of_two_primary_addresses_is_the_one_that_was_added_first(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::Plain);
        site.execute(
            "CREATE TABLE account_emailaddress (id integer PRIMARY KEY, email varchar(254), \
             verified bool, \"primary\" bool, user_id bigint)",
        );
        for (id, email) in [(10, "later@example.com"), (9, "first@example.com")] {
            site.execute(&format!(
                "INSERT INTO account_emailaddress VALUES ({id}, '{email}', TRUE, TRUE, 3)"
            ));
        }
        target.import_all(site, &[]);
        assert_eq!(target.one(3).email.as_deref(), Some("first@example.com"));
    }
}

on_both! {
    fn a_time_that_is_no_date_of_python_is_refused_with_its_row_and_column(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::Plain);
        let times = ["infinity", "-infinity", "294276-12-31 00:00:00", "10000-01-01 00:00:00"];
        for column in ["date_joined", "last_login"] {
            for time in times {
                site.execute(&format!("UPDATE auth_user SET {column} = '{time}' WHERE id = 3"));
                let refused = target.import(site, &[]);
                let told = format!("auth_user: row 3 has no {column} that is a date");
                assert!(refused.stderr.contains(&told), "{time}: {}", refused.stderr);
            }
            let last = "9999-12-31 23:59:59.999999+00:00";
            site.execute(&format!("UPDATE auth_user SET {column} = '{last}' WHERE id = 3"));
        }
        target.import_all(site, &[]);
        assert_eq!(target.one(3).created_at, 253_402_300_799_999_999);
        assert_eq!(target.one(3).last_login_at, Some(253_402_300_799_999_999));
    }
}

on_both! {
    fn unusual_data_of_a_site_is_listed(setup) {
        let target = &Target::from(setup);
        let site = &target.site(Tables::Plain);
        site.add(40, "no-address", "not an address", "!");
        site.add(41, "international", "한글@예시.한국", "!");
        site.add(42, "early", "early@example.com", "!");
        site.execute("UPDATE auth_user SET date_joined = '0001-01-01 00:00:00+00:00' WHERE id = 42");
        for id in 100..150 {
            site.add(id, &format!("user-{id}"), "", "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99");
        }
        let told = target.import_all(site, &[]);
        for line in [
            "with an e-mail address that no mail can be sent to: 2 (numbers 40, 41)\n",
            "joined or logged in before 1970, shown as 1970: 1 (numbers 42)\n",
            "with a password that cannot be checked here: 50 (numbers 100, 101, ",
            ", 118, 119 and 30 more)\n",
        ] {
            assert!(told.contains(line), "no {line} in:\n{told}");
        }
    }
}

#[test]
fn times_in_a_sqlite_site_may_have_a_time_zone() {
    let (target, site) = (Target::on_sqlite(), Site::on_sqlite(Tables::Plain));
    let in_utc = 1_577_934_245_000_000;
    for (id, text, micros) in [
        (40, "2020-01-02 03:04:05+09:00", in_utc - 9 * 3_600_000_000),
        (41, "2020-01-02 03:04:05.25+09:00", in_utc - 9 * 3_600_000_000 + 250_000),
        (42, "2020-01-02T03:04:05.123456Z", in_utc + 123_456),
        (43, "2020-01-02 03:04:05.654321", in_utc + 654_321),
        (44, "2020-01-02 03:04:05", in_utc),
    ] {
        site.add(id, &format!("user-{id}"), "", "!");
        site.execute(&format!("UPDATE auth_user SET date_joined = '{text}' WHERE id = {id}"));
        target.import_all(&site, &[]);
        assert_eq!(target.one(id).created_at, micros, "{text}");
    }
    site.add(45, "user-45", "", "!");
    site.execute("UPDATE auth_user SET date_joined = '2020-01-02 03:04:05+0900' WHERE id = 45");
    let refused = target.import(&site, &[]);
    assert!(refused.stderr.contains("row 45 has no date_joined"), "{}", refused.stderr);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_row_and_column() {
    let (target, site) = (Target::on_sqlite(), Site::on_sqlite(Tables::Plain));
    site.add(40, "broken", "", "!");
    site.execute("UPDATE auth_user SET username = CAST(x'62ff72' AS TEXT) WHERE id = 40");
    let refused = target.import(&site, &[]);
    let told = "row 40 has a username that is no text";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let schema = target.import(&site, &["--table", "shop.crm_member"]);
    assert!(schema.stderr.contains("search_path%3Dshop"), "{}", schema.stderr);
    assert!(schema.stderr.contains("--table crm_member"), "{}", schema.stderr);
}
