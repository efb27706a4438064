//! `hallpass create-superuser`

use std::io::{BufRead as _, IsTerminal as _};

use super::{Outcome, flows_of, print, printable};
use crate::config::Config;
use crate::domain::{Email, Fault, PlainPassword, Username};
use crate::flows::{Error, NewSuperuser};

/// The superuser to create.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The name to log in with.
    #[arg(long)]
    username: String,
    /// The e-mail address. It counts as verified.
    #[arg(long)]
    email: Option<String>,
    /// The password. Others on this machine can see it in the list of processes: without this
    /// option it is asked for, or read as one line from standard input.
    #[arg(long)]
    password: Option<String>,
    /// Take a password that the policy refuses.
    #[arg(long)]
    allow_weak_password: bool,
}

pub(super) fn run(config: &Config, arguments: Arguments) -> Outcome {
    let named = |name: &str, fault: Fault| format!("{name}: {}", fault.message());
    let email = arguments
        .email
        .map(|text| Email::parse(&text))
        .transpose()
        .map_err(|fault| named("--email", fault))?;
    let chosen = Username::parse_beside(&arguments.username, email.as_ref())
        .map_err(|fault| named("--username", fault))?;
    let username = match (chosen, &email) {
        (None, Some(email)) => Username::of_address(email),
        (Some(username), _) => username,
        (None, None) => return Err(named("--username", Fault::Required)),
    };
    let password = match arguments.password {
        Some(password) => password,
        None => ask_password().map_err(|error| format!("cannot read the password: {error}"))?,
    };
    let password = PlainPassword::parse(&password).map_err(|fault| named("password", fault))?;
    let flows = flows_of(config)?;
    let allow_weak_password = arguments.allow_weak_password;
    let new = NewSuperuser { username, email, password, allow_weak_password };
    let user = flows.create_superuser(new).map_err(|error| match error {
        Error::Invalid(faults) => {
            let faults: Vec<_> = faults.iter().map(|it| it.fault.message()).collect();
            format!("password: {} (--allow-weak-password accepts it)", faults.join(" "))
        }
        other => other.to_string(),
    })?;
    print(&format!("superuser {} has id {}\n", printable(user.username.as_str()), user.id))
}

/// Asks for a password at the terminal, or reads one line from standard input.
pub(super) fn ask_password() -> std::io::Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("Password: ");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
