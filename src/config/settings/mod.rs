//! Table of settings. `.env.example` is printed from it and a test holds the two together.

mod accounts;
mod limits;
mod mail;
mod service;
mod setting;
mod social;
mod tokens;

use setting::Setting;
pub(super) use setting::is_provider_name;

/// Settings that were renamed, with their new names. A start with an old name fails.
pub const RENAMED: &[(&str, &str)] = &[
    ("HALLPASS_LIMIT_LOGIN_HERE", "HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK"),
    ("HALLPASS_LIMIT_LOGIN_ANYWHERE", "HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT"),
    ("HALLPASS_LIMIT_LOGIN_IN_A_ROW", "HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE"),
];

/// The settings by subject, in the order of `.env.example`.
const GROUPS: [&[Setting]; 9] = [
    service::SERVICE,
    tokens::TOKENS,
    accounts::ACCOUNTS,
    social::SOCIAL,
    mail::MAIL,
    limits::BROWSERS,
    limits::LIMITS,
    tokens::DRF,
    service::PROCESS,
];

/// Returns every setting, in the order of `.env.example`.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    GROUPS.into_iter().flatten()
}

/// The text of `.env.example`.
pub fn example() -> String {
    let head = "# Every setting of Hallpass with its default. All are optional in development.\n\
                # A secret can come from a file: set NAME_FILE to its path instead of NAME.\n\
                # A value with spaces stands in quotes, one with a $ or a \\ in single quotes: NAME='pa$$word'\n";
    settings().fold(head.to_owned(), |text, setting| text + &example_of(setting))
}

fn example_of(Setting { name, default, secret, help }: &Setting) -> String {
    let twin = if *secret { format!(" Or {name}_FILE.") } else { String::new() };
    let quote = if default.contains(' ') { "\"" } else { "" };
    // A pattern of names is no line to uncomment.
    let mark = if name.contains('<') { "# " } else { "#" };
    format!("\n# {help}{twin}\n{mark}{name}={quote}{default}{quote}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_example_lists_every_setting() {
        let committed = include_str!("../../../.env.example");
        assert_eq!(committed, example(), "write it anew: hallpass env-example > .env.example");
    }
}
