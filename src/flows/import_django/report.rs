//! What an import is asked to do, and what it finds.

use crate::domain::UserId;

/// What the operator wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportChoices {
    /// Only look.
    pub dry_run: bool,
    /// Leave out what collides, instead of everything.
    pub skip_conflicts: bool,
    /// Let accounts come without the address that another one has too.
    pub drop_shared_emails: bool,
    /// Import accounts with a second factor, which then log in with the password alone.
    pub without_mfa: bool,
}

/// What belongs to accounts that are imported and has no place in Hallpass.
#[derive(Clone, Debug, Default)]
pub struct LeftBehind {
    /// The users with a second factor: they could log in with the password alone.
    pub second_factors: Vec<UserId>,
    /// The tables of the site that hold second factors.
    pub second_factor_tables: Vec<String>,
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

/// An account that cannot be here as it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its number in Django.
    pub id: UserId,
    /// Its name in Django.
    pub username: String,
    /// All that it has in common with others.
    pub collisions: Vec<Collision>,
}

/// Something that only one account can have.
#[derive(Debug, PartialEq, Eq)]
pub struct Collision {
    /// What it is.
    pub shared: Shared,
    /// Where the others are.
    pub place: Place,
    /// Who has it too.
    pub others: Vec<UserId>,
}

/// What two accounts have in common.
#[derive(Debug, PartialEq, Eq)]
pub enum Shared {
    /// The number.
    Number,
    /// The number, of two rows in Django.
    Id {
        /// The row of this account, in the order of the table.
        row: usize,
        /// Another row with the number.
        other: usize,
    },
    /// The name, without regard to case.
    Name,
    /// The address, without regard to case.
    Address(String),
}

/// Where an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the Django database.
    Django,
    /// In that of Hallpass.
    Hallpass,
}
