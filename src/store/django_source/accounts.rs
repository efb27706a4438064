//! Accounts of a Django site, and their data in other tables.

use crate::domain::UtcTime;

/// An account in Django.
#[derive(Clone, Debug)]
pub struct DjangoUser {
    /// The position of its row in the order of the table, from 1.
    pub row: usize,
    /// Its user id.
    pub id: i64,
    /// The user name, unique in Django with regard to case.
    pub username: String,
    /// The e-mail address, not unique, possibly empty.
    pub email: String,
    /// The stored password hash.
    pub password: String,
    /// True if it may log in.
    pub is_active: bool,
    /// True if it may use the admin site.
    pub is_staff: bool,
    /// True if it has all rights.
    pub is_superuser: bool,
    /// Time of registration.
    pub date_joined: UtcTime,
    /// Time of the last log-in.
    pub last_login: Option<UtcTime>,
}

/// An e-mail address in django-allauth.
#[derive(Clone, Debug)]
pub struct DjangoAddress {
    /// The user id.
    pub user_id: i64,
    /// The e-mail address.
    pub email: String,
    /// True if it is verified.
    pub verified: bool,
    /// True for the one address of a user that receives mail.
    pub is_primary: bool,
}

/// An identity at another service in django-allauth.
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
    /// Their table, with the columns whose names differ from `auth_user`.
    pub table: String,
    /// The accounts by user id.
    pub users: Vec<DjangoUser>,
    /// The e-mail addresses by user id; `None` if the site has no such table.
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
    /// The tables with the name of second factors and rows of unknown users.
    pub second_factors_of_unknown_users: Vec<String>,
    /// Accounts of social log-ins.
    pub social: Vec<DjangoSocialAccount>,
    /// The users in groups.
    pub in_groups: Vec<i64>,
    /// The users with permissions of their own.
    pub with_permissions: Vec<i64>,
    /// The users with a first or last name.
    pub with_names: Vec<i64>,
}
