//! `hallpass import-django`

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Outcome, masked, print, printable};
use crate::app::open_database;
use crate::clock::SystemClock;
use crate::config::{Config, database_url};
use crate::domain::UserId;
use crate::flows::{
    self, Collision, Conflict, ImportChoices, ImportReport, LeftBehind, Place, Shared,
};
use crate::store::django_source::{self, DjangoModel};

/// Accounts between two reports of progress, so that small imports report none.
const STEP: usize = 10_000;

/// The user ids that a line shows.
const IDS_SHOWN: usize = 20;

/// Source of an import, and choices about conflicts.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The site's database, `sqlite:///PATH` or `postgres://USER@HOST/DATABASE`. It is only read.
    /// Others on this machine can see what stands here: a password can come from `PGPASSWORD`.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The table of the accounts, where it is not found by itself: that of the site's own user
    /// model.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// The column that holds a field of Django's own user model, such as `username=email`. Fields
    /// are `id`, `username`, `email`, `password`, `is_active`, `is_staff`, `is_superuser`,
    /// `date_joined` and `last_login`.
    #[arg(long, value_name = "FIELD=NAME", value_parser = field_and_column)]
    column: Vec<(String, String)>,
    /// Report the result without writing.
    #[arg(long)]
    dry_run: bool,
    /// Import the accounts without a conflict, where those with one would stop them too.
    #[arg(long)]
    skip_conflicts: bool,
    /// Import accounts that share an e-mail address without it, except the one that is in Hallpass
    /// already or is the only one to have verified it.
    #[arg(long)]
    drop_shared_emails: bool,
    /// Import accounts with a second factor too. Second factors are not imported: their users log
    /// in with the password alone.
    #[arg(long)]
    without_mfa: bool,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Outcome {
    let source = database_url(&arguments.from).map_err(|advice| format!("--from: {advice}"))?;
    let model = DjangoModel { table: arguments.table.clone(), columns: arguments.column.clone() };
    let accounts = django_source::read_accounts(&source, &model, |count| tell("read", count))
        .map_err(|error| format!("{}: {error}", source.redacted()))?;
    if accounts.table != "auth_user" {
        print(&format!("accounts of {}\n", accounts.table))?;
    }
    let choices = ImportChoices {
        dry_run: arguments.dry_run,
        skip_conflicts: arguments.skip_conflicts,
        drop_shared_emails: arguments.drop_shared_emails,
        without_mfa: arguments.without_mfa,
        issuers: config.social.issuers(),
    };
    let db = open_database(config).map_err(|error| error.to_string())?;
    let clock = Arc::new(SystemClock);
    let report =
        flows::import_django(&db, accounts, &choices, clock, |count| tell("written", count))
            .map_err(|error| {
                format!("{}: {error}; nothing was imported", config.database.redacted())
            })?;
    print(&shown(&report, &choices))?;
    if report.is_stopped_by_second_factors {
        let LeftBehind {
            second_factors,
            second_factor_tables,
            second_factors_of_unknown_users: unknown,
            ..
        } = &report.left_behind;
        let outcome = if choices.dry_run { "would be imported" } else { "was imported" };
        let (count, tables) = (second_factors.len(), second_factor_tables.join(", "));
        let found = match (count, unknown.as_slice()) {
            (0, unknown) => unknown_owners(unknown),
            (_, []) => format!("{count} accounts have a second factor (in {tables})"),
            (_, unknown) => format!(
                "{count} accounts have a second factor (in {tables}), and {}",
                unknown_owners(unknown)
            ),
        };
        return Err(format!(
            "{found}, which is not imported: these accounts could log in with the password alone, so \
             nothing {outcome} (--without-mfa imports them all the same)"
        ));
    }
    match report.conflicts.len() {
        count if count > 0 && !choices.skip_conflicts => Err(format!(
            "{count} accounts collide, so nothing {} (--skip-conflicts imports the others)",
            if choices.dry_run { "would be imported" } else { "was imported" },
        )),
        _ => Ok(()),
    }
}

fn unknown_owners(tables: &[String]) -> String {
    format!("accounts may have a second factor (in {}, whose users are unknown)", tables.join(", "))
}

fn field_and_column(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, column)) if !column.is_empty() => Ok((field.to_owned(), column.to_owned())),
        _ => Err("must be FIELD=NAME, such as username=email".to_owned()),
    }
}

fn tell(done: &str, count: usize) {
    if count >= STEP && count.is_multiple_of(STEP) {
        super::tell(&format!("{count} accounts {done}\n"));
    }
}

fn shown(report: &ImportReport, choices: &ImportChoices) -> String {
    let mut text = String::new();
    for conflict in &report.conflicts {
        text.push_str(&shown_conflict(conflict));
    }
    let mut line = |what: &str, count: usize, ids: &[UserId]| {
        // To write into a text cannot fail.
        let _ = match (count, ids) {
            (0, _) => Ok(()),
            (_, []) => writeln!(text, "{what}: {count}"),
            _ => writeln!(text, "{what}: {count} (numbers {})", listed(ids)),
        };
    };
    line("here already, left as they are", report.already_here, &[]);
    line("collide", report.conflicts.len(), &[]);
    let without = &report.without_shared_email;
    line("without the address that another has too", without.len(), without);
    let foreign = &report.address_as_username;
    line("with another e-mail address than their own as user name", foreign.len(), foreign);
    let unusable = &report.unusable_usernames;
    line("with a user name that cannot log in", unusable.len(), unusable);
    let LeftBehind {
        second_factors,
        second_factor_tables: _,
        second_factors_of_unknown_users: of_unknown,
        social_only,
        other_providers,
        in_groups,
        with_permissions,
        with_names,
    } = &report.left_behind;
    line("with a second factor, left behind", second_factors.len(), second_factors);
    let what = "tables that may hold second factors of unknown users, left behind";
    line(what, of_unknown.len(), &[]);
    line("social accounts, imported as identities", report.identities, &[]);
    line("with a social account of another provider, left behind", *other_providers, &[]);
    line("with such an account and no password", social_only.len(), social_only);
    line("in groups, left behind", *in_groups, &[]);
    line("with permissions of their own, left behind", *with_permissions, &[]);
    line("with a first or last name, left behind", *with_names, &[]);
    line("further addresses, left behind", report.further_emails, &[]);
    let unreachable = &report.unreachable_emails;
    line("with an e-mail address that no mail can be sent to", unreachable.len(), unreachable);
    let early = &report.before_1970;
    line("joined or logged in before 1970, shown as 1970", early.len(), early);
    line("without a password", report.without_password, &[]);
    let unknown = &report.unknown_hashes;
    line("with a password that cannot be checked here", unknown.len(), unknown);
    let verb = if choices.dry_run { "would be imported" } else { "imported" };
    // Nor can this.
    let _ = writeln!(text, "{verb}: {}", report.imported);
    text
}

fn listed(ids: &[UserId]) -> String {
    let shown: Vec<String> = ids.iter().take(IDS_SHOWN).map(ToString::to_string).collect();
    match ids.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn shown_conflict(conflict: &Conflict) -> String {
    let (id, name) = (conflict.id, shown_name(&conflict.username));
    let mut text = String::new();
    for Collision { shared, place, others } in &conflict.collisions {
        let place = match place {
            Place::Django => "in Django",
            Place::Hallpass => "in Hallpass",
        };
        let taken = |what: &str| format!("the {what} is that of {} {place}", listed(others));
        let cause = match shared {
            Shared::Id { row, other } => format!("row {row} and row {other} have the id {id}"),
            Shared::Reserved => "user ids begin with 1".to_owned(),
            Shared::Number => taken("number"),
            Shared::Name => taken("name"),
            Shared::Address(address) => taken(&format!("address {}", printable(&masked(address)))),
            Shared::Identity { provider, is_only_login } => {
                let taken = taken(&format!("{} account", printable(provider)));
                let only = if *is_only_login { ", and the only way to log in" } else { "" };
                format!("{taken}{only}")
            }
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{id} {name}: {cause}");
    }
    text
}

/// Returns the name, masked if it is an e-mail address, and without control sequences.
fn shown_name(name: &str) -> String {
    let name =
        if name.contains(['@', '\u{ff20}', '\u{fe6b}']) { masked(name) } else { name.to_owned() };
    printable(&name)
}
