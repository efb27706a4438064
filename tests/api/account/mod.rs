//! Accounts: registration, the address, the profile, what the owner changes and deletes, and
//! notices.

mod account_pages;
mod account_races;
mod address_names;
mod change_email;
mod delete_account;
mod deleted_data;
mod export;
mod former_names;
mod identities;
mod notices;
mod numbers;
mod page;
mod policies;
mod profile;
mod register;
mod typed_input;
mod undo;
mod unverified_addresses;
