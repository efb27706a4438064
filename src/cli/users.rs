//! `hallpass users`

mod confirm;
mod shown;

use self::confirm::confirm;
use self::shown::{line, name};
use super::{Managing, Outcome, create_superuser, flows_of, print, printable};
use crate::config::Config;
use crate::domain::{
    Device, Email, Fault, Locale, PlainPassword, Roles, User, UserId, Username, UtcTime,
};
use crate::flows::{AccountChanges, Caller, CreatedAccount, Error, Flows, NewAccount, UserFilter};
use crate::http::printed;

/// The accounts that one page of a list has.
const PAGE: usize = 200;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List accounts in the order of their ids.
    List {
        /// A part of the user name or the e-mail address.
        #[arg(long)]
        search: Option<String>,
        /// The most accounts that are listed.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Show an account.
    Show {
        #[command(flatten)]
        user: Reference,
    },
    /// Create an account with a password, which is asked for or read as one line from standard
    /// input.
    Create(New),
    /// Create an account and mail a link to choose the password. Sends an invitation again that was
    /// not accepted, and applies the options that are given.
    Invite(New),
    /// Disable an account and end its sessions; without --until, for good.
    Disable {
        #[command(flatten)]
        user: Reference,
        /// The reason, for staff.
        #[arg(long)]
        reason: Option<String>,
        /// Enable it again at this time (2027-01-01T00:00:00Z).
        #[arg(long, value_name = "TIME", value_parser = read_time)]
        until: Option<UtcTime>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Enable an account.
    Enable {
        #[command(flatten)]
        user: Reference,
    },
    /// Set the roles of an account, or show them. Other roles revoke its access tokens.
    Roles {
        #[command(flatten)]
        user: Reference,
        /// All roles that the account shall have.
        #[arg(conflicts_with = "none")]
        roles: Vec<String>,
        /// Take all roles.
        #[arg(long)]
        none: bool,
    },
    /// Mail the user a link and a code to choose a new password.
    Reset {
        #[command(flatten)]
        user: Reference,
        #[command(flatten)]
        consent: Consent,
    },
    /// Delete an account with everything about the user.
    Delete {
        #[command(flatten)]
        user: Reference,
        #[command(flatten)]
        consent: Consent,
    },
}

/// An account.
#[derive(clap::Args)]
pub(super) struct Reference {
    /// The user id, the user name or the e-mail address. `id:7` is the user id only.
    user: String,
}

/// Confirmation before a step that cannot be undone.
#[derive(clap::Args)]
pub(super) struct Consent {
    /// Do not ask. Needed where there is no terminal.
    #[arg(long)]
    yes: bool,
}

/// An account to be created.
#[derive(clap::Args)]
pub(super) struct New {
    /// The e-mail address.
    email: String,
    /// The name to log in with. Not given: the address.
    #[arg(long)]
    username: Option<String>,
    /// The language of mail.
    #[arg(long)]
    locale: Option<String>,
    /// A role of the account. Several are separated by commas.
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Let it manage other accounts.
    #[arg(long)]
    staff: bool,
}

pub(super) fn run(config: &Config, Managing { command, json }: Managing<Command>) -> Outcome {
    let users = Users { flows: flows_of(config)?, json };
    users.run(command).map_err(|failure| match failure {
        Failure::Flow(Error::Invalid(faults)) => {
            let faults = faults.iter().map(|it| format!("{}: {}", it.field, it.fault.message()));
            faults.collect::<Vec<String>>().join("\n")
        }
        Failure::Flow(Error::NotFound) => "there is no such account".to_owned(),
        Failure::Flow(error) => error.to_string(),
        Failure::Other(text) => text,
    })
}

/// Reason why a command failed.
enum Failure {
    Flow(Error),
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Flow(error)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

fn read_time(text: &str) -> Result<UtcTime, &'static str> {
    crate::http::v1::time::parse_rfc3339(text).ok_or("must be like 2027-01-01T00:00:00Z")
}

struct Users {
    flows: Flows,
    json: bool,
}

impl Users {
    fn run(&self, command: Command) -> Result<(), Failure> {
        match command {
            Command::List { search, limit } => self.list(search, limit),
            Command::Show { user } => self.print_account(self.find(&user)?),
            Command::Create(new) => {
                let password = create_superuser::ask_password()
                    .map_err(|error| format!("cannot read the password: {error}"))?;
                let password = PlainPassword::parse(&password);
                self.create(&new, Some(password.map_err(|fault| named("password", fault))?))
            }
            Command::Invite(new) => self.create(&new, None),
            Command::Disable { user, reason, until, consent } => {
                let user = self.find(&user)?;
                confirm("Disable", &user, consent.yes)?;
                let changes = AccountChanges {
                    is_active: Some(false),
                    disabled_reason: reason,
                    disabled_until: until.map(Some),
                    ..AccountChanges::default()
                };
                self.change(user.id, changes)
            }
            Command::Enable { user } => {
                let is_active = Some(true);
                let changes = AccountChanges { is_active, ..AccountChanges::default() };
                self.change(self.find(&user)?.id, changes)
            }
            Command::Roles { user, roles, none } => {
                let user = self.find(&user)?;
                if roles.is_empty() && !none {
                    return self.print_account(user);
                }
                let roles = Some(read_roles(&roles)?);
                self.change(user.id, AccountChanges { roles, ..AccountChanges::default() })
            }
            Command::Reset { user, consent } => {
                let user = self.find(&user)?;
                confirm("Mail a password reset to", &user, consent.yes)?;
                self.flows.queue_password_reset(&user)?;
                self.print_account(user)
            }
            Command::Delete { user, consent } => {
                let user = self.find(&user)?;
                confirm("Delete", &user, consent.yes)?;
                self.flows.delete_user(&Caller::Operator, user.id)?;
                self.flows.forget_deleted();
                let id = user.id;
                let text = if self.json { printed::deleted(id) } else { format!("deleted {id}") };
                Ok(print(&(text + "\n"))?)
            }
        }
    }

    fn find(&self, reference: &Reference) -> Result<User, Failure> {
        let reference = &reference.user;
        let mut found = self.flows.list_accounts_by_reference(reference)?;
        match (found.pop(), &found[..]) {
            (Some(user), []) => Ok(user),
            (None, _) => Err(Error::NotFound.into()),
            (Some(last), others) => {
                let all = others.iter().chain([&last]);
                let names: Vec<String> = all.map(|user| format!("\n  id:{}", name(user))).collect();
                let (reference, names) = (printable(reference), names.concat());
                Err(format!("`{reference}` names several accounts; use the id of one:{names}")
                    .into())
            }
        }
    }

    fn list(&self, search: Option<String>, limit: usize) -> Result<(), Failure> {
        let filter = UserFilter { search, ..UserFilter::default() };
        let (mut users, mut after) = (Vec::new(), None::<UserId>);
        while users.len() < limit {
            let size = PAGE.min(limit - users.len());
            let page = self.flows.list_users(&Caller::Operator, &filter, after, size)?;
            users.extend(page.users);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if self.json {
            return Ok(print(&format!("{}\n", printed::accounts(users)))?);
        }
        Ok(users.iter().try_for_each(|user| print(&line(user)))?)
    }

    fn create(&self, new: &New, password: Option<PlainPassword>) -> Result<(), Failure> {
        let email = Email::parse(&new.email).map_err(|fault| named("EMAIL", fault))?;
        let username = new.username.as_deref();
        let username = username.map(|text| Username::parse_beside(text, Some(&email))).transpose();
        let locale = new.locale.as_deref().map(Locale::parse).transpose();
        let account = NewAccount {
            username: username.map_err(|fault| named("--username", fault))?.flatten(),
            email,
            password,
            locale: locale.map_err(|fault| named("--locale", fault))?,
            is_staff: new.staff.then_some(true),
            roles: if new.roles.is_empty() { None } else { Some(read_roles(&new.roles)?) },
            app_metadata: None,
        };
        let created = self.flows.create_user(&Caller::Operator, account, &Device::default())?;
        let CreatedAccount { user, .. } = created;
        self.print_account(user)
    }

    fn change(&self, id: UserId, changes: AccountChanges) -> Result<(), Failure> {
        self.print_account(self.flows.update_user(&Caller::Operator, id, changes)?)
    }

    fn print_account(&self, user: User) -> Result<(), Failure> {
        let text = if self.json { printed::account(user) + "\n" } else { line(&user) };
        Ok(print(&text)?)
    }
}

fn read_roles(names: &[String]) -> Result<Roles, String> {
    Roles::parse(names.iter().map(String::as_str)).map_err(|fault| named("roles", fault))
}

fn named(name: &str, fault: Fault) -> String {
    format!("{name}: {}", fault.message())
}
