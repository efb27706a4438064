//! The outbox: queued mails, committed with the change that causes them.

use diesel::dsl::{exists, not, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::jobs::lease::JobStatus;
use super::jobs::{self, Job, NewJob, Schedule, backlog};
use super::schema::{challenges, outbox};
use super::{Conn, Page, Result, page};
use crate::domain::{Email, JobId, Locale, UserId, UtcTime};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Returns the text in lower case.
    fn lower(text: Text) -> Text;
}

/// Kinds of mail. The content is composed when a mail is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// A registration of an e-mail address. The subject is the registration.
    Registration,
    /// A request to repeat the mail of a registration. The subject is the e-mail address.
    RegistrationAgain,
    /// A password reset. The subject is the e-mail address.
    PasswordReset,
    /// An invitation by staff. The subject is the challenge.
    Invitation,
    /// A log-in on a new device. The subject is the challenge that reports unauthorized activity,
    /// as for all notices.
    NewDevice,
    /// The password was changed or reset.
    PasswordChanged,
    /// A change of the e-mail address was requested.
    EmailChangeRequested,
    /// The e-mail address was changed.
    EmailChanged,
    /// The user name was released to the user who verified it as an e-mail address.
    UsernameChanged,
    /// A refresh token was replayed and its session ended.
    RefreshTokenReused,
    /// An identity at another service was linked.
    IdentityLinked,
    /// An identity at another service was unlinked.
    IdentityUnlinked,
}

impl MailKind {
    /// The names of all kinds, which are kinds of jobs.
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

/// A mail to queue.
#[derive(Clone, Copy, Debug)]
pub struct NewMail<'a> {
    /// The kind.
    pub kind: MailKind,
    /// The recipient.
    pub recipient: &'a Email,
    /// The language.
    pub locale: &'a Locale,
    /// The id of the subject.
    pub subject_id: &'a str,
    /// The account that it is about, if known.
    pub about: Option<UserId>,
    /// The number of its request among those of the network on that day; 1 for any other mail.
    pub rank: i64,
}

impl<'a> NewMail<'a> {
    /// Returns a mail about no known account, which is no request of an anonymous client.
    pub fn new(
        kind: MailKind,
        recipient: &'a Email,
        locale: &'a Locale,
        subject_id: &'a str,
    ) -> Self {
        Self { kind, recipient, locale, subject_id, about: None, rank: 1 }
    }

    /// Returns the mail of a password reset, whose subject is the e-mail address.
    pub fn password_reset(recipient: &'a Email, locale: &'a Locale, about: Option<UserId>) -> Self {
        let subject_id = recipient.normalised();
        Self { about, ..Self::new(MailKind::PasswordReset, recipient, locale, subject_id) }
    }
}

/// A queued mail.
#[derive(Clone, Debug)]
pub struct QueuedMail {
    /// The job. Its id is also the local part of the `Message-ID`.
    pub job: Job,
    /// The kind.
    pub kind: MailKind,
    /// The recipient.
    pub recipient: Email,
    /// The language.
    pub locale: Locale,
}

/// A line of `hallpass mail list`.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = outbox)]
pub struct MailLine {
    /// Its id.
    pub id: String,
    /// The kind.
    pub kind: String,
    /// The recipient.
    pub recipient: String,
    /// The stored name of the [`JobStatus`].
    pub status: String,
    /// Number of attempts.
    pub attempts: i32,
    /// Time of the next attempt, in microseconds since the epoch.
    pub next_attempt_at: i64,
    /// Time at which it was queued, in microseconds since the epoch.
    pub created_at: i64,
    /// Time at which it was sent, dropped or failed permanently, in microseconds since the epoch.
    pub finished_at: Option<i64>,
    /// The error of the last attempt, or the reason for a wait.
    pub last_error: Option<String>,
}

impl QueuedMail {
    /// Returns the mail of a job; `None` if this version has no such kind of mail.
    pub fn of(job: &Job) -> Option<Self> {
        Some(Self {
            kind: MailKind::from_name(&job.kind)?,
            recipient: Email::unchecked(&job.target),
            locale: Locale::parse(&job.locale).unwrap_or_default(),
            job: job.clone(),
        })
    }
}

/// Queues a mail.
pub fn enqueue(conn: &mut Conn, mail: &NewMail<'_>, schedule: impl Into<Schedule>) -> Result<()> {
    let NewMail { kind, recipient, locale, subject_id, about, rank } = *mail;
    let (kind, target, locale) = (kind.name(), recipient.as_str(), locale.as_str());
    jobs::enqueue(conn, &NewJob { kind, target, locale, subject_id, about, rank }, schedule)
}

/// Closes a mail that is replaced by others, in the transaction that queues those. Returns whether
/// it was open, so that it is replaced once.
pub fn drop_mail(conn: &mut Conn, id: &JobId, now: UtcTime) -> Result<bool> {
    let open = outbox::table.find(id.as_str()).filter(outbox::status.eq(JobStatus::Queued.name()));
    let dropped = diesel::update(open)
        .set((outbox::status.eq(JobStatus::Dropped.name()), outbox::finished_at.eq(now.micros())))
        .execute(conn)?;
    Ok(dropped == 1)
}

/// Returns whether a later mail about the same subject was sent while this one waited.
pub fn is_superseded(conn: &mut Conn, mail: &QueuedMail) -> Result<bool> {
    let sent_since = outbox::table
        .filter(outbox::kind.eq(mail.kind.name()))
        .filter(outbox::subject_id.eq(&mail.job.subject_id))
        .filter(outbox::status.eq(JobStatus::Done.name()))
        .filter(outbox::finished_at.gt(mail.job.created_at.micros()));
    Ok(mail.job.was_deferred
        && sent_since.select(outbox::id).first::<String>(conn).optional()?.is_some())
}

/// Returns the last mail of that kind about a user, from the id `from` on.
pub fn find_last(
    conn: &mut Conn,
    user: UserId,
    kind: MailKind,
    from: &JobId,
) -> Result<Option<JobId>> {
    let of_kind = outbox::table
        .filter(outbox::user_id.eq(user.0))
        .filter(outbox::id.ge(&from.0))
        .filter(outbox::kind.eq(kind.name()));
    Ok(of_kind.order(outbox::id.desc()).select(outbox::id).first(conn).optional()?.map(JobId))
}

/// Returns whether at least `count` mails of that kind about a user were queued, from the id `from`
/// on.
pub fn are_queued_since(
    conn: &mut Conn,
    user: UserId,
    kind: MailKind,
    from: &JobId,
    count: i64,
) -> Result<bool> {
    let queued = outbox::table
        .filter(outbox::user_id.eq(user.0))
        .filter(outbox::id.ge(&from.0))
        .filter(outbox::kind.eq(kind.name()));
    let last = queued.select(outbox::id).offset(count - 1).limit(1);
    Ok(last.first::<String>(conn).optional()?.is_some())
}

/// Records the account that the mails to an address were about, before the address of the account
/// changes.
pub fn claim(conn: &mut Conn, user: UserId, recipient: &Email) -> Result<()> {
    let unclaimed = outbox::table
        .filter(lower(outbox::recipient).eq(recipient.normalised()))
        .filter(outbox::user_id.is_null());
    diesel::update(unclaimed).set(outbox::user_id.eq(user.0)).execute(conn)?;
    Ok(())
}

/// Returns up to `limit` mails about a user or to the user's address, with ids above `after`.
pub fn list_page(
    conn: &mut Conn,
    user: UserId,
    address: Option<&Email>,
    after: &str,
    limit: usize,
) -> Result<Page<MailLine>> {
    let some = || {
        let later = outbox::table.filter(outbox::id.gt(after));
        later.order(outbox::id).limit(page::rows(limit)).select(MailLine::as_select())
    };
    // Two queries: no index has the rows of both in the order of their ids.
    let mut rows = some().filter(outbox::user_id.eq(user.0)).load::<MailLine>(conn)?;
    rows.extend(some().filter(is_to(address)).load::<MailLine>(conn)?);
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    rows.dedup_by(|one, other| one.id == other.id);
    rows.truncate(limit);
    Ok(Page::of(rows, limit, |row| &row.id, Some))
}

/// Deletes up to `limit` mails about a user, sent or not. Returns whether there may be more.
pub fn erase_of(conn: &mut Conn, user: UserId, limit: i64) -> Result<bool> {
    let of_user = outbox::table.filter(outbox::user_id.eq(user.0));
    let ids: Vec<String> = of_user.order(outbox::id).select(outbox::id).limit(limit).load(conn)?;
    erase(conn, &ids, limit)
}

/// Deletes up to `limit` mails to an address that were queued until `until`, sent or not, except
/// those of a challenge that exists: that of a new registration, queued by an instance whose clock
/// is behind. Returns whether there may be more.
pub fn erase_to(conn: &mut Conn, address: &Email, until: UtcTime, limit: i64) -> Result<bool> {
    let to_address = outbox::table.filter(is_to(Some(address)));
    let its_challenge = challenges::table.find(outbox::subject_id);
    let earlier =
        to_address.filter(outbox::created_at.le(until.micros())).filter(not(exists(its_challenge)));
    let ids: Vec<String> = earlier.order(outbox::id).select(outbox::id).limit(limit).load(conn)?;
    erase(conn, &ids, limit)
}

fn erase(conn: &mut Conn, ids: &[String], limit: i64) -> Result<bool> {
    if !ids.is_empty() {
        diesel::delete(outbox::table.filter(outbox::id.eq_any(ids))).execute(conn)?;
    }
    Ok(page::may_be_more(ids, limit))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn is_to<'a>(address: Option<&'a Email>) -> _ {
    let normalised: &'a str = address.map_or("", Email::normalised);
    lower(outbox::recipient).nullable().eq(normalised)
}

/// A selection of `hallpass mail list`.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Mails that wait or failed permanently, the oldest first.
    Open,
    /// Sent mails, the newest first.
    Sent,
    /// Mails to an address in any state, the newest first.
    To(Email),
    /// Sent mails to an address, the newest first.
    SentTo(Email),
}

/// Returns up to `limit` mails of a selection.
pub fn list(conn: &mut Conn, selection: &Selection, limit: i64) -> Result<Vec<MailLine>> {
    let newest_first = (outbox::created_at.desc(), outbox::id.desc());
    Ok(match selection {
        Selection::Open => outbox::table
            .filter(is_open())
            .order((outbox::created_at, outbox::id))
            .limit(limit)
            .select(MailLine::as_select())
            .load(conn)?,
        Selection::Sent => outbox::table
            // In this form SQLite uses the index of the order.
            .filter(sql::<Bool>("status || '' = 'sent'"))
            .filter(outbox::finished_at.ge(0))
            .order((outbox::finished_at.desc(), outbox::id.desc()))
            .limit(limit)
            .select(MailLine::as_select())
            .load(conn)?,
        Selection::To(email) => outbox::table
            .filter(is_to(Some(email)))
            .order(newest_first)
            .limit(limit)
            .select(MailLine::as_select())
            .load(conn)?,
        Selection::SentTo(email) => outbox::table
            .filter(is_to(Some(email)))
            .filter(is_sent())
            .order(newest_first)
            .limit(limit)
            .select(MailLine::as_select())
            .load(conn)?,
    })
}

/// Counts the mails of a selection.
pub fn count(conn: &mut Conn, selection: &Selection) -> Result<i64> {
    Ok(match selection {
        Selection::Open => {
            let open = backlog::count_open(conn)?;
            open.waiting + open.failed
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
