//! Options and findings of an import.

use std::collections::HashMap;

use crate::domain::{IdentityKey, UserId};
use crate::social::Preset;
use crate::store::django_source::DjangoSocialAccount;

/// Options of the operator.
#[derive(Clone, Debug, Default)]
pub struct ImportChoices {
    /// Write nothing.
    pub dry_run: bool,
    /// Skip accounts with conflicts instead of refusing the import.
    pub skip_conflicts: bool,
    /// Import accounts without an e-mail address that another account has, too.
    pub drop_shared_emails: bool,
    /// Import accounts with a second factor, which then log in with the password alone.
    pub without_mfa: bool,
    /// Issuers of the configured providers without a preset, by the names of the providers.
    pub issuers: HashMap<String, String>,
}

impl ImportChoices {
    /// Providers of django-allauth whose `uid` has been a changeable user name instead of the
    /// subject.
    const BY_USER_NAME: [&str; 2] = ["okta", "netiq"];

    /// Returns the issuer of the identities that django-allauth stores under the name of a
    /// provider: that of a preset, or of the provider that is configured under the same name.
    /// `None` if there is none, or if the `uid` is not the subject.
    fn issuer_of(&self, provider: &str) -> Option<&str> {
        let configured = || {
            let name = provider.to_ascii_lowercase().replace('_', "-");
            let issuer = self.issuers.get(&name).map(String::as_str);
            issuer.filter(|_| !Self::BY_USER_NAME.contains(&name.as_str()))
        };
        Preset::issuer_of_allauth(provider).or_else(configured)
    }

    /// Returns issuer and subject of an account of django-allauth; `None` if it is not imported.
    pub(super) fn key_of(&self, account: &DjangoSocialAccount) -> Option<IdentityKey> {
        IdentityKey::new(self.issuer_of(&account.provider)?, &account.uid)
    }
}

/// Data of imported accounts that has no place in Hallpass.
#[derive(Clone, Debug, Default)]
pub struct LeftBehind {
    /// The users with a second factor: they could log in with the password alone.
    pub second_factors: Vec<UserId>,
    /// The tables of the site that hold second factors.
    pub second_factor_tables: Vec<String>,
    /// The tables with the name of second factors and rows of unknown users.
    pub second_factors_of_unknown_users: Vec<String>,
    /// The users who can log in only by a social account that is not imported.
    pub social_only: Vec<UserId>,
    /// The number of users with a social account that is not imported.
    pub other_providers: usize,
    /// The number of users in groups.
    pub in_groups: usize,
    /// The number of users with permissions of their own.
    pub with_permissions: usize,
    /// The number of users with a first or last name.
    pub with_names: usize,
}

/// An account that conflicts with others.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its user id in Django.
    pub id: UserId,
    /// Its user name in Django.
    pub username: String,
    /// Its conflicts.
    pub collisions: Vec<Collision>,
}

/// A value that must be unique and is not, or that no account may have.
#[derive(Debug, PartialEq, Eq)]
pub struct Collision {
    /// The value.
    pub shared: Shared,
    /// The database that the other accounts are in.
    pub place: Place,
    /// The other accounts.
    pub others: Vec<UserId>,
}

/// A value that two accounts share.
#[derive(Debug, PartialEq, Eq)]
pub enum Shared {
    /// The user id.
    Number,
    /// The user id, in two rows of the Django table.
    Id {
        /// The row of this account, in the order of the table.
        row: usize,
        /// Another row with the user id.
        other: usize,
    },
    /// A user id that no account has in Hallpass: 0 or less.
    Reserved,
    /// The user name, without regard to case.
    Name,
    /// The e-mail address, without regard to case.
    Address(String),
    /// An identity at another service.
    Identity {
        /// The name of the provider in django-allauth.
        provider: String,
        /// True if the account has no password, and no other identity that is imported.
        is_only_login: bool,
    },
}

/// The database of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The Django database.
    Django,
    /// The Hallpass database.
    Hallpass,
}
