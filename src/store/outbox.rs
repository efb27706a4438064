//! The outbox: orders to send mail, committed together with what they tell about.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::jobs::lease::JobStatus;
use super::jobs::{self, Job, NewJob, Schedule, backlog};
use super::schema::outbox;
use super::{Conn, Page, Result, page};
use crate::domain::{Email, JobId, Locale, UserId, UtcTime};

#[diesel::declare_sql_function]
extern "SQL" {
    /// The text in lower case.
    fn lower(text: Text) -> Text;
}

/// What a mail is about. What it says is decided when it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// A user registered an address. The subject is the registration.
    Registration,
    /// A user asked for the mail of a registration once more. The subject is the address.
    RegistrationAgain,
    /// A user forgot the password. The subject is the address.
    PasswordReset,
    /// Staff made an account for a user. The subject is the one-time token.
    Invitation,
    /// A log-in on a device that was not seen before. The subject is the one-time token of the
    /// link that disowns it, as with all notices.
    NewDevice,
    /// The password was changed or reset.
    PasswordChanged,
    /// A change of the address was asked for.
    EmailChangeRequested,
    /// The address was changed.
    EmailChanged,
    /// The user name was changed, as another user verified the address that it was.
    UsernameChanged,
    /// A refresh token was replayed and its session ended.
    RefreshTokenReused,
    /// An identity at another service was linked.
    IdentityLinked,
    /// An identity at another service was unlinked.
    IdentityUnlinked,
}

impl MailKind {
    /// The names of all kinds: the kinds of jobs that are mails.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = Self::ALL[index].name();
            index += 1;
        }
        names
    };

    const ALL: [Self; 12] = [
        Self::Registration,
        Self::RegistrationAgain,
        Self::PasswordReset,
        Self::Invitation,
        Self::NewDevice,
        Self::PasswordChanged,
        Self::EmailChangeRequested,
        Self::EmailChanged,
        Self::UsernameChanged,
        Self::RefreshTokenReused,
        Self::IdentityLinked,
        Self::IdentityUnlinked,
    ];

    /// The name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::RegistrationAgain => "registration_again",
            Self::PasswordReset => "password_reset",
            Self::Invitation => "invitation",
            Self::NewDevice => "new_device",
            Self::PasswordChanged => "password_changed",
            Self::EmailChangeRequested => "email_change_requested",
            Self::EmailChanged => "email_changed",
            Self::UsernameChanged => "username_changed",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityUnlinked => "identity_unlinked",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An order to send a mail.
#[derive(Clone, Debug)]
pub struct QueuedMail {
    /// Its id, also the local part of the `Message-ID`.
    pub id: JobId,
    /// What it is about.
    pub kind: MailKind,
    /// Whom it goes to.
    pub recipient: Email,
    /// In what language.
    pub locale: Locale,
    /// The id of what it tells about.
    pub subject_id: String,
    /// The account that it is about, where the order knows it.
    pub about: Option<UserId>,
    /// How often sending was tried before.
    pub attempts: i32,
    /// How often the server may have accepted it already.
    pub unconfirmed: i32,
    /// True if it had to wait, for another try or for a limit.
    pub was_put_back: bool,
    /// When it was ordered.
    pub created_at: UtcTime,
}

/// A line of `hallpass mail list`.
#[derive(Clone, Debug, Queryable)]
pub struct MailLine {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub kind: String,
    /// Whom it goes to.
    pub recipient: String,
    /// Where it stands.
    pub status: String,
    /// How often sending was tried.
    pub attempts: i32,
    /// When it is tried next, in microseconds since the epoch.
    pub next_attempt_at: i64,
    /// When it was ordered, in microseconds since the epoch.
    pub created_at: i64,
    /// When it was sent, dropped or given up, in microseconds since the epoch.
    pub finished_at: Option<i64>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// The columns of a [`MailLine`].
type Line = (
    outbox::id,
    outbox::kind,
    outbox::recipient,
    outbox::status,
    outbox::attempts,
    outbox::next_attempt_at,
    outbox::created_at,
    outbox::finished_at,
    outbox::last_error,
);
const LINE: Line = (
    outbox::id,
    outbox::kind,
    outbox::recipient,
    outbox::status,
    outbox::attempts,
    outbox::next_attempt_at,
    outbox::created_at,
    outbox::finished_at,
    outbox::last_error,
);

impl QueuedMail {
    /// Reads a job; `None` if it is no mail that this version knows.
    pub fn of(job: &Job) -> Option<Self> {
        Some(Self {
            id: job.id.clone(),
            kind: MailKind::from_name(&job.kind)?,
            recipient: Email::known(&job.target),
            locale: Locale::parse(&job.locale).unwrap_or_default(),
            subject_id: job.subject_id.clone(),
            about: job.about,
            attempts: job.attempts,
            unconfirmed: job.unconfirmed,
            was_put_back: job.was_put_back,
            created_at: job.created_at,
        })
    }
}

/// Orders a mail. `about` is the account that it is about, where that is known.
pub fn enqueue(
    conn: &mut Conn,
    kind: MailKind,
    recipient: &Email,
    locale: &Locale,
    subject_id: &str,
    about: Option<UserId>,
    schedule: impl Into<Schedule>,
) -> Result<()> {
    let (kind, target, locale) = (kind.name(), recipient.as_str(), locale.as_str());
    jobs::enqueue(conn, &NewJob { kind, target, locale, subject_id, about }, schedule)
}

/// Closes an order that became others, in the transaction that makes them. Tells whether it was
/// open, so that it becomes others once.
pub fn drop_order(conn: &mut Conn, id: &JobId, now: UtcTime) -> Result<bool> {
    let open = outbox::table.find(id.as_str()).filter(outbox::status.eq(JobStatus::Queued.name()));
    let dropped = diesel::update(open)
        .set((outbox::status.eq(JobStatus::Dropped.name()), outbox::finished_at.eq(now.micros())))
        .execute(conn)?;
    Ok(dropped == 1)
}

/// Whether, while this mail had to wait, another about the same subject went out: that one
/// is with the person now.
pub fn is_superseded(conn: &mut Conn, mail: &QueuedMail) -> Result<bool> {
    let sent_since = outbox::table
        .filter(outbox::kind.eq(mail.kind.name()))
        .filter(outbox::subject_id.eq(&mail.subject_id))
        .filter(outbox::status.eq(JobStatus::Done.name()))
        .filter(outbox::finished_at.gt(mail.created_at.micros()));
    Ok(mail.was_put_back
        && sent_since.select(outbox::id).first::<String>(conn).optional()?.is_some())
}

/// Notes that the mail to an address was about the account that has it, before the account gets
/// another.
pub fn claim(conn: &mut Conn, user: UserId, recipient: &Email) -> Result<()> {
    let unclaimed = outbox::table
        .filter(lower(outbox::recipient).eq(recipient.normalised()))
        .filter(outbox::user_id.is_null());
    diesel::update(unclaimed).set(outbox::user_id.eq(user.0)).execute(conn)?;
    Ok(())
}

/// Returns up to `limit` orders about a user or to the user's address, with ids above `after`.
pub fn list_page(
    conn: &mut Conn,
    user: UserId,
    address: Option<&Email>,
    after: &str,
    limit: usize,
) -> Result<Page<MailLine>> {
    let some = || {
        let later = outbox::table.filter(outbox::id.gt(after));
        later.order(outbox::id).limit(page::rows(limit)).select(LINE)
    };
    // One after the other: no index has the rows of both in the order of their ids.
    let mut rows = some().filter(outbox::user_id.eq(user.0)).load::<MailLine>(conn)?;
    rows.extend(some().filter(is_to(address)).load::<MailLine>(conn)?);
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    rows.dedup_by(|one, other| one.id == other.id);
    rows.truncate(limit);
    Ok(Page::of(rows, limit, |row| &row.id, Some))
}

/// Removes every order about an account or to its address, sent or not.
pub fn erase_of(conn: &mut Conn, user: UserId, address: Option<&Email>) -> Result<()> {
    diesel::delete(outbox::table.filter(outbox::user_id.eq(user.0).or(is_to(address))))
        .execute(conn)?;
    Ok(())
}

#[diesel::dsl::auto_type(no_type_alias)]
fn is_to<'a>(address: Option<&'a Email>) -> _ {
    let normalised: &'a str = address.map_or("", Email::normalised);
    lower(outbox::recipient).nullable().eq(normalised)
}

/// A selection of `hallpass mail list`.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Those that wait or were given up, the oldest first.
    Open,
    /// Those that were sent, the newest first.
    Sent,
    /// Those to an address, whatever became of them, the newest first.
    To(Email),
    /// Those to an address that were sent, the newest first.
    SentTo(Email),
}

/// Returns up to `limit` orders of a selection.
pub fn list(conn: &mut Conn, selection: &Selection, limit: i64) -> Result<Vec<MailLine>> {
    let newest_first = (outbox::created_at.desc(), outbox::id.desc());
    Ok(match selection {
        Selection::Open => outbox::table
            .filter(is_open())
            .order((outbox::created_at, outbox::id))
            .limit(limit)
            .select(LINE)
            .load(conn)?,
        Selection::Sent => outbox::table
            // In this form SQLite takes the index of the order.
            .filter(sql::<Bool>("status || '' = 'sent'"))
            .filter(outbox::finished_at.ge(0))
            .order((outbox::finished_at.desc(), outbox::id.desc()))
            .limit(limit)
            .select(LINE)
            .load(conn)?,
        Selection::To(email) => outbox::table
            .filter(is_to(Some(email)))
            .order(newest_first)
            .limit(limit)
            .select(LINE)
            .load(conn)?,
        Selection::SentTo(email) => outbox::table
            .filter(is_to(Some(email)))
            .filter(is_sent())
            .order(newest_first)
            .limit(limit)
            .select(LINE)
            .load(conn)?,
    })
}

/// Counts the orders of a selection.
pub fn count(conn: &mut Conn, selection: &Selection) -> Result<i64> {
    Ok(match selection {
        Selection::Open => {
            let open = backlog::count_open(conn)?;
            open.waiting + open.dead
        }
        Selection::Sent => outbox::table.filter(is_sent()).count().get_result(conn)?,
        Selection::To(email) => {
            outbox::table.filter(is_to(Some(email))).count().get_result(conn)?
        }
        Selection::SentTo(email) => {
            let to = outbox::table.filter(is_to(Some(email)));
            to.filter(is_sent()).count().get_result(conn)?
        }
    })
}

// Postgres knows how rare a status is only if the statement names it.
fn is_open() -> SqlLiteral<Bool> {
    sql("status IN ('queued', 'dead')")
}

fn is_sent() -> SqlLiteral<Bool> {
    sql("status = 'sent'")
}
