//! Texts of the pages: one file for each language.

mod english;
mod korean;

use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::domain::Language;

/// The texts of all pages in one language.
#[derive(Serialize)]
pub(super) struct Texts {
    invalid_link: &'static str,
    try_again: &'static str,
    verify_email: VerifyEmail,
    password_reset: PasswordReset,
    not_me: NotMe,
}

#[derive(Serialize)]
struct VerifyEmail {
    done: &'static str,
    expired: &'static str,
    wrong_password: &'static str,
    password: &'static str,
    submit: &'static str,
}

#[derive(Serialize)]
struct PasswordReset {
    done: &'static str,
    expired: &'static str,
    /// `{min_length}` stands for the number of characters.
    too_short: &'static str,
    too_long: &'static str,
    too_common: &'static str,
    breached: &'static str,
    too_similar: &'static str,
    password: &'static str,
    submit: &'static str,
}

#[derive(Serialize)]
struct NotMe {
    done: &'static str,
    expired: &'static str,
    explanation: &'static str,
    submit: &'static str,
}

impl Texts {
    /// Returns the texts in a language, as a value of templates.
    pub(super) fn of(language: Language) -> Value {
        Value::from(Serde(match language {
            Language::English => &english::TEXTS,
            Language::Korean => &korean::TEXTS,
        }))
    }
}
