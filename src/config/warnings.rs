//! Warnings about settings that are permitted, but are hardly what was meant or are unsafe.

use std::path::Path;

use super::file_access::{Content, warnings_about};
use super::readers::{MIN_SECRET_LENGTH, is_weak};
use super::{Config, names};
use crate::domain::SecretText;
use crate::mail::overrides;
use crate::mail::smtp::settings::SmtpSettings;
use crate::store::DatabaseUrl;

impl Config {
    /// Returns the warnings about names that are no settings, about files and about values.
    pub(super) fn warnings(
        &self,
        unknown: Vec<String>,
        mut weak_files: Vec<String>,
    ) -> Vec<String> {
        let is_ignored =
            |name: String| format!("{name} {}; it is ignored", names::no_setting(&name));
        self.add_weak_files(&mut weak_files);
        let unknown = unknown.into_iter().map(is_ignored);
        unknown.chain(weak_files).chain(self.unsafe_values()).collect()
    }

    /// Adds warnings about files that others can read or replace.
    fn add_weak_files(&self, weak_files: &mut Vec<String>) {
        let own = self.data_dir.join("secret");
        let shown = |path: &Path| path.display().to_string();
        if self.secret.is_none() {
            weak_files.extend(warnings_about(&shown(&own), &own, Content::Secret));
        }
        if let DatabaseUrl::Sqlite(file) = &self.database {
            weak_files.extend(warnings_about(&shown(file), file, Content::Database));
        }
        if let Some(file) = self.smtp.as_ref().and_then(SmtpSettings::ca) {
            let name = format!("{} (ca= of HALLPASS_SMTP_URL)", shown(file));
            weak_files.extend(warnings_about(&name, file, Content::Public));
        }
        if let Some(folder) = &self.mail_templates {
            // The start reports a folder that cannot be read.
            let files = overrides::files(folder).unwrap_or_default();
            let mut weak = files
                .into_iter()
                .flat_map(|(_, file)| warnings_about(&shown(&file), &file, Content::Public));
            // The others are in the same folders.
            weak_files.extend(weak.next());
        }
    }

    fn unsafe_values(&self) -> Vec<String> {
        if self.development { self.unsafe_in_development() } else { self.unsafe_in_production() }
    }

    fn unsafe_in_development(&self) -> Vec<String> {
        let is_reachable = (!self.bind.ip().is_loopback()).then(|| {
            format!(
                "this is development on {}, which others may reach, and unsafe settings are let \
                 through: set HALLPASS_ENV=production",
                self.bind
            )
        });
        let has_tls = self.public_url.starts_with("https:").then(|| {
            "the public URL is https, but this is development: set HALLPASS_ENV=production"
                .to_owned()
        });
        [is_reachable, has_tls].into_iter().flatten().collect()
    }

    fn unsafe_in_production(&self) -> Vec<String> {
        let weak_previous_secret = self.secret_previous.as_ref().is_some_and(is_weak).then(|| {
            "HALLPASS_SECRET_PREVIOUS is short or can be guessed, and counts like HALLPASS_SECRET: remove \
             it as soon as `hallpass doctor` says that no key needs it"
                .to_owned()
        });
        let is_shared = self.jwt_secret.is_some() && self.jwt_secret == self.secret;
        let shared_secret = is_shared.then(|| {
            "HALLPASS_JWT_SECRET is the same as HALLPASS_SECRET: services that check tokens with it \
             could open the signing keys and derive links and refresh tokens; set a new HALLPASS_SECRET"
                .to_owned()
        });
        let is_short = |secret: &SecretText| secret.expose().len() < MIN_SECRET_LENGTH;
        let has_short_key =
            self.drf_jwt.is_some() && self.jwt_secret.as_ref().is_some_and(is_short);
        let short_key = has_short_key.then(|| {
            format!(
                "HALLPASS_JWT_SECRET has fewer than {MIN_SECRET_LENGTH} bytes: an attacker who guesses it \
                 issues tokens of the Django REST adapter for any user"
            )
        });
        let database_file = matches!(self.database, DatabaseUrl::Sqlite(_)).then(|| {
            format!(
                "the database is a file ({}), for one instance on this machine: set DATABASE_URL for \
                 Postgres",
                self.database.redacted()
            )
        });
        let no_mail_server = self.smtp.is_none().then(|| {
            "HALLPASS_SMTP_URL is not set: mail is written to files and not delivered".to_owned()
        });
        [weak_previous_secret, shared_secret, short_key, database_file, no_mail_server]
            .into_iter()
            .flatten()
            .collect()
    }
}
