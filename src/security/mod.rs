//! Passwords, tokens and keys: the security-critical parts. No database, and HTTP only for breached
//! passwords.

pub mod access_token;
pub mod breached;
pub mod hash_queue;
pub mod hasher;
mod imported_hashes;
pub mod key_schedule;
pub mod key_set;
pub mod keys;
mod password_format;
pub mod revocations;
pub mod sealing;
pub mod token_times;
