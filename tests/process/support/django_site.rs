//! Databases of Django sites: recorded ones, or made on the spot by the Django of
//! `HALLPASS_TEST_DJANGO_PYTHON`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;

use crate::sql::{change_postgres, change_sqlite};
use crate::{postgres, scratch};

/// Files of the sites: the accounts, the scripts, the recordings.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/django_users")
}

/// An account as it was made.
#[derive(Deserialize)]
pub struct Account {
    pub id: i64,
    pub username: String,
    pub password: Option<String>,
    pub email: String,
    #[serde(default)]
    pub verified: bool,
    #[serde(default)]
    pub primary: Option<String>,
    #[serde(default = "yes")]
    pub is_active: bool,
    #[serde(default)]
    pub is_staff: bool,
    #[serde(default)]
    pub is_superuser: bool,
}

fn yes() -> bool {
    true
}

/// Returns all accounts of the sites.
pub fn accounts() -> Vec<Account> {
    let text = fs::read_to_string(folder().join("users.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The database of a site.
#[derive(Clone, Copy)]
pub enum Tables {
    /// Addresses in Django's own table only.
    Plain,
    /// Addresses in the table of django-allauth too.
    WithAllauth,
}

/// The database of a site.
pub struct Site {
    pub url: String,
    file: Option<(TempDir, PathBuf)>,
}

impl Site {
    pub fn on_sqlite(tables: Tables) -> Self {
        let folder = scratch::folder();
        // A name that means something else where it is taken for a URI.
        let file = folder.path().join("site 100%25.sqlite3");
        let url = format!("sqlite://{}", file.display());
        let site = Self { url, file: Some((folder, file)) };
        site.fill("sqlite", tables);
        site
    }

    /// `None` (said aloud) where there is no Postgres.
    pub fn on_postgres(tables: Tables) -> Option<Self> {
        let site = Self { url: postgres::fresh_schema()?, file: None };
        site.fill("postgres", tables);
        Some(site)
    }

    fn fill(&self, database: &str, tables: Tables) {
        let (name, options) = match tables {
            Tables::Plain => ("plain", &[][..]),
            Tables::WithAllauth => ("with_allauth", &["--with-allauth"][..]),
        };
        if let Some(python) = std::env::var_os("HALLPASS_TEST_DJANGO_PYTHON") {
            let script = folder().join("make_users.py");
            let made = Command::new(python).arg(script).arg(&self.url).args(options).status();
            assert!(made.unwrap().success(), "Django does not make its accounts");
        } else {
            let record = folder().join(format!("recorded/{database}_{name}.sql"));
            self.execute(&fs::read_to_string(record).unwrap());
        }
    }

    /// The kind of its database.
    pub fn is_on_sqlite(&self) -> bool {
        self.file.is_some()
    }

    /// Changes something on the site.
    pub fn execute(&self, sql: &str) {
        match &self.file {
            Some((_, file)) => change_sqlite(file, sql),
            None => change_postgres(&self.url, sql),
        }
    }

    /// Makes another account, whose password is "quiet river stone".
    pub fn add(&self, id: i64, username: &str, email: &str, password: &str) {
        self.execute(&format!(
            "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, \
             email, is_staff, is_active, date_joined) VALUES ({id}, '{password}', '0', \
             '{username}', '', '', '{email}', '0', '1', '2020-02-29 01:02:03+00:00')"
        ));
    }

    /// The file as it is, with what SQLite has beside it; nothing where the site is on Postgres.
    pub fn bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let Some((folder, _)) = &self.file else { return Vec::new() };
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
    }
}
