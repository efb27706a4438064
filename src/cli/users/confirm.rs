//! The question before something that cannot be taken back.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::shown::name;
use crate::domain::User;

/// Asks at the terminal whether to go on, unless `yes` says so.
///
/// # Errors
/// The answer is not yes, or there is no terminal to ask at.
pub(super) fn confirm(what: &str, user: &User, yes: bool) -> Result<(), String> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err("there is no terminal to ask at: add --yes".to_owned());
    }
    let mut stderr = std::io::stderr();
    let asked = write!(stderr, "{what} user {}? [y/N] ", name(user)).and_then(|()| stderr.flush());
    asked.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(|error| error.to_string())?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err("nothing was changed".to_owned()),
    }
}
