//! Rules for new passwords, and the cost of their hashes.

use super::mode::Mode;
use crate::config::source::Source;
use crate::domain::PasswordPolicy;

/// Reads the rules for new passwords.
pub fn read_password_policy(
    s: &mut Source,
    service_name: &str,
    refuses_breached: bool,
) -> PasswordPolicy {
    PasswordPolicy {
        min_length: s.number("HALLPASS_PASSWORD_MIN_LENGTH", 8, 8, 64),
        max_length: s.number("HALLPASS_PASSWORD_MAX_LENGTH", 256, 64, 256),
        refuses_breached,
        service_name: service_name.into(),
    }
}

/// Reads the cost of password hashes.
pub fn read_bcrypt_cost(s: &mut Source, mode: Mode) -> u32 {
    let least = if mode == Mode::Production { 10 } else { 4 };
    s.number("HALLPASS_BCRYPT_COST", 12, least, 16)
}
