//! Accounts of a Django site, and what belongs to them.

use crate::domain::UtcTime;

/// An account as Django has it.
#[derive(Clone, Debug)]
pub struct DjangoUser {
    /// The position of its row in the order of the table, from 1.
    pub row: usize,
    /// Its number.
    pub id: i64,
    /// The name to log in with, unique in Django with regard to case.
    pub username: String,
    /// The address, not unique, empty where there is none.
    pub email: String,
    /// The stored password.
    pub password: String,
    /// True if it may log in.
    pub is_active: bool,
    /// True if it may use the site of administration.
    pub is_staff: bool,
    /// True if it has every right.
    pub is_superuser: bool,
    /// Time of registration.
    pub date_joined: UtcTime,
    /// Time of the last log-in.
    pub last_login: Option<UtcTime>,
}

/// An address as django-allauth has it.
#[derive(Clone, Debug)]
pub struct DjangoAddress {
    /// Number of the account.
    pub user_id: i64,
    /// The address.
    pub email: String,
    /// True if it was proven.
    pub verified: bool,
    /// True if mail goes there, which is so for one address a person.
    pub is_primary: bool,
}

/// An account at another service as django-allauth has it.
#[derive(Clone, Debug)]
pub struct DjangoSocialAccount {
    /// The user.
    pub user_id: i64,
    /// The name of the provider in django-allauth.
    pub provider: String,
    /// The user id there.
    pub uid: String,
}

/// The accounts to import.
#[derive(Debug)]
pub struct DjangoAccounts {
    /// The table they are in, with the columns that are named otherwise than in `auth_user`.
    pub table: String,
    /// By number.
    pub users: Vec<DjangoUser>,
    /// By number of the person; `None` where the site has no such table.
    pub addresses: Option<Vec<DjangoAddress>>,
    /// Data of the accounts that is not imported.
    pub extras: DjangoExtras,
}

/// Data of the accounts of a site that has no place in Hallpass.
#[derive(Clone, Debug, Default)]
pub struct DjangoExtras {
    /// The users with a second factor, of django-allauth, django-otp and others.
    pub second_factors: Vec<i64>,
    /// The tables that hold these second factors.
    pub second_factor_tables: Vec<String>,
    /// Accounts of social log-ins.
    pub social: Vec<DjangoSocialAccount>,
    /// The users in groups.
    pub in_groups: Vec<i64>,
    /// The users with permissions of their own.
    pub with_permissions: Vec<i64>,
    /// The users with a first or last name.
    pub with_names: Vec<i64>,
}
