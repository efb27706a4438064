//! Passwords: the rules for them, changes and resets.

mod breached;
mod password_change;
mod password_reset;
mod passwords;
mod reset_codes;
