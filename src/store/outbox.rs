//! The outbox: orders to send mail, committed together with what they tell about.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};

use super::schema::outbox;
use super::{Conn, Page, Result, page};
use crate::domain::{Email, Locale, MailId, UserId, UtcTime};

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

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailStatus {
    /// To be sent.
    Queued,
    /// Sent.
    Sent,
    /// No longer needed when its turn came.
    Dropped,
    /// Given up: refused for good, or after too many tries.
    Dead,
}

impl MailStatus {
    /// The name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Dropped => "dropped",
            Self::Dead => "dead",
        }
    }
}

/// An order to send a mail.
#[derive(Clone, Debug)]
pub struct QueuedMail {
    /// Its id, also the local part of the `Message-ID`.
    pub id: MailId,
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

/// Orders a mail, to be sent at once. `about` is the account that it is about, where that is known.
pub fn enqueue(
    conn: &mut Conn,
    kind: MailKind,
    recipient: &Email,
    locale: &Locale,
    subject_id: &str,
    about: Option<UserId>,
    now: UtcTime,
) -> Result<()> {
    diesel::insert_into(outbox::table)
        .values((
            outbox::id.eq(MailId::new(now).as_str()),
            outbox::kind.eq(kind.name()),
            outbox::recipient.eq(recipient.as_str()),
            outbox::locale.eq(locale.as_str()),
            outbox::subject_id.eq(subject_id),
            outbox::status.eq(MailStatus::Queued.name()),
            outbox::attempts.eq(0),
            outbox::next_attempt_at.eq(now.micros()),
            outbox::created_at.eq(now.micros()),
            outbox::user_id.eq(about.map(|user| user.0)),
        ))
        .execute(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct LeasedRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    recipient: String,
    #[diesel(sql_type = Text)]
    locale: String,
    #[diesel(sql_type = Text)]
    subject_id: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    user_id: Option<i64>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Integer)]
    unconfirmed: i32,
    #[diesel(sql_type = BigInt)]
    next_attempt_at: i64,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

/// A claim of mails that are due, for the holder of a lease.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The token of the lease.
    pub lease: String,
    /// The most mails that are claimed.
    pub limit: i64,
    /// True if mails that had to wait go before those that did not.
    pub is_for_waiting: bool,
    /// Domains whose mails are left alone, in lower case.
    pub without_domains: Vec<String>,
    /// The current time.
    pub now: UtcTime,
    /// When the lease ends; if its holder dies, the mails are due again then.
    pub until: UtcTime,
}

/// Mails that were never put back, and their index.
const IS_FRESH: (&str, &str) = ("next_attempt_at <= created_at", "outbox_fresh");
/// Mails that had to wait, for another attempt or for a limit, and their index.
const HAD_TO_WAIT: (&str, &str) = ("next_attempt_at > created_at", "outbox_waiting");

/// The domain of the recipient between two `@`, in SQL.
const fn domain_of_recipient(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => "'@' || lower(split_part(recipient, '@', 2)) || '@'",
        Conn::Sqlite(_) => "lower(substr(recipient, instr(recipient, '@'))) || '@'",
    }
}

/// The function that looks for the second text in the first and returns 0 where it is not.
const fn position(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => "strpos",
        Conn::Sqlite(_) => "instr",
    }
}

/// The domains in one text, each between `@`.
fn joined(domains: &[String]) -> String {
    if domains.is_empty() { String::new() } else { format!("@{}@", domains.join("@")) }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Returns whether a mail is due that no instance is sending, to another domain than these.
pub fn is_any_due(conn: &mut Conn, without_domains: &[String], now: UtcTime) -> Result<bool> {
    let kinds = MailKind::ALL.map(|kind| format!("'{}'", kind.name())).join(", ");
    let (position, domain) = (position(conn), domain_of_recipient(conn));
    let due = diesel::sql_query(format!(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE status = 'queued' AND next_attempt_at <= $1 \
         AND kind IN ({kinds}) AND (lease_until IS NULL OR lease_until <= $1) \
         AND {position}($2, {domain}) = 0) AS found"
    ));
    let due = due.bind::<BigInt, _>(now.micros()).bind::<Text, _>(joined(without_domains));
    Ok(due.get_result::<Found>(conn)?.found)
}

/// Leases mails that are due and that no other instance is sending. Those that never had to wait
/// go before those that did, each by the time when they were due. Kinds that only a newer version
/// of the service knows are left to it.
pub fn lease_due(conn: &mut Conn, claim: &Claim) -> Result<Vec<QueuedMail>> {
    let mut order = [IS_FRESH, HAD_TO_WAIT];
    if claim.is_for_waiting {
        order.reverse();
    }
    let mut leased = Vec::new();
    for those in order {
        let limit = claim.limit - i64::try_from(leased.len()).unwrap_or(i64::MAX);
        if limit > 0 {
            leased.extend(lease_those(conn, claim, those, limit)?);
        }
    }
    Ok(leased)
}

fn lease_those(
    conn: &mut Conn,
    claim: &Claim,
    (condition, index): (&str, &str),
    limit: i64,
) -> Result<Vec<QueuedMail>> {
    // SQLite would choose the index of all that is queued.
    let (indexed_by, skip_locked) = match conn {
        Conn::Postgres(_) => (String::new(), "FOR UPDATE SKIP LOCKED"),
        Conn::Sqlite(_) => (format!("INDEXED BY {index}"), ""),
    };
    let kinds = MailKind::ALL.map(|kind| format!("'{}'", kind.name())).join(", ");
    let (position, domain) = (position(conn), domain_of_recipient(conn));
    // SQLite numbers `$n` by the order in which they first appear, whatever n is.
    let rows = diesel::sql_query(format!(
        "WITH due AS MATERIALIZED ( \
             SELECT id FROM outbox {indexed_by} WHERE status = 'queued' AND {condition} \
             AND next_attempt_at <= $1 AND kind IN ({kinds}) \
             AND (lease_until IS NULL OR lease_until <= $1) AND {position}($2, {domain}) = 0 \
             ORDER BY next_attempt_at, id LIMIT $3 {skip_locked}) \
         UPDATE outbox SET lease_token = $4, lease_until = $5 WHERE id IN (SELECT id FROM due) \
         RETURNING id, kind, recipient, locale, subject_id, user_id, attempts, unconfirmed, \
         next_attempt_at, created_at"
    ))
    .bind::<BigInt, _>(claim.now.micros())
    .bind::<Text, _>(joined(&claim.without_domains))
    .bind::<BigInt, _>(limit)
    .bind::<Text, _>(&claim.lease)
    .bind::<BigInt, _>(claim.until.micros())
    .load::<LeasedRow>(conn)?;
    Ok(rows.into_iter().filter_map(queued_mail).collect())
}

fn queued_mail(row: LeasedRow) -> Option<QueuedMail> {
    Some(QueuedMail {
        kind: MailKind::from_name(&row.kind)?,
        recipient: Email::known(&row.recipient),
        locale: Locale::parse(&row.locale).unwrap_or_default(),
        id: MailId(row.id),
        subject_id: row.subject_id,
        about: row.user_id.map(UserId),
        attempts: row.attempts,
        unconfirmed: row.unconfirmed,
        was_put_back: row.next_attempt_at > row.created_at,
        created_at: UtcTime::from_micros(row.created_at),
    })
}

/// Keeps a mail for the holder of `lease` until `lease_until`.
pub fn renew(conn: &mut Conn, id: &MailId, lease: &str, lease_until: UtcTime) -> Result<()> {
    diesel::update(outbox::table.find(id.as_str()).filter(outbox::lease_token.eq(lease)))
        .set(outbox::lease_until.eq(lease_until.micros()))
        .execute(conn)?;
    Ok(())
}

/// Closes an order that became others, in the transaction that makes them. Tells whether it was
/// open, so that it becomes others once.
pub fn drop_order(conn: &mut Conn, id: &MailId, now: UtcTime) -> Result<bool> {
    let open = outbox::table.find(id.as_str()).filter(outbox::status.eq(MailStatus::Queued.name()));
    let dropped = diesel::update(open)
        .set((outbox::status.eq(MailStatus::Dropped.name()), outbox::finished_at.eq(now.micros())))
        .execute(conn)?;
    Ok(dropped == 1)
}

/// Whether, while this mail had to wait, another about the same subject went out: that one
/// is with the person now.
pub fn is_superseded(conn: &mut Conn, mail: &QueuedMail) -> Result<bool> {
    let sent_since = outbox::table
        .filter(outbox::kind.eq(mail.kind.name()))
        .filter(outbox::subject_id.eq(&mail.subject_id))
        .filter(outbox::status.eq(MailStatus::Sent.name()))
        .filter(outbox::finished_at.gt(mail.created_at.micros()));
    Ok(mail.was_put_back
        && sent_since.select(outbox::id).first::<String>(conn).optional()?.is_some())
}

/// Notes the address that a mail went to, where the lease is still `lease`: a request may have spelled it
/// otherwise.
pub fn set_recipient(conn: &mut Conn, id: &MailId, lease: &str, recipient: &Email) -> Result<()> {
    let leased = outbox::table.find(id.as_str()).filter(outbox::lease_token.eq(lease));
    diesel::update(leased).set(outbox::recipient.eq(recipient.as_str())).execute(conn)?;
    Ok(())
}

/// Closes an order whose lease is still `lease`. Tells whether it was.
pub fn finish(
    conn: &mut Conn,
    id: &MailId,
    lease: &str,
    status: MailStatus,
    error: Option<&str>,
    now: UtcTime,
) -> Result<bool> {
    let finished =
        diesel::update(outbox::table.find(id.as_str()).filter(outbox::lease_token.eq(lease)))
            .set((
                outbox::status.eq(status.name()),
                outbox::attempts.eq(outbox::attempts + 1),
                outbox::lease_token.eq(None::<String>),
                outbox::lease_until.eq(None::<i64>),
                outbox::finished_at.eq(now.micros()),
                outbox::last_error.eq(error),
            ))
            .execute(conn)?;
    Ok(finished == 1)
}

/// Why an order is given back, and what is counted.
#[derive(Clone, Debug)]
pub struct PutBack {
    /// What went wrong.
    pub error: String,
    /// When it is looked at again.
    pub next_attempt_at: UtcTime,
    /// How many attempts are counted.
    pub attempts: i32,
    /// How many of them the server may have accepted.
    pub unconfirmed: i32,
}

/// Gives an order back whose lease is still `lease`. Returns whether it was.
pub fn reschedule(conn: &mut Conn, id: &MailId, lease: &str, reschedule: &PutBack) -> Result<bool> {
    let returned =
        diesel::update(outbox::table.find(id.as_str()).filter(outbox::lease_token.eq(lease)))
            .set((
                outbox::attempts.eq(outbox::attempts + reschedule.attempts),
                outbox::unconfirmed.eq(outbox::unconfirmed + reschedule.unconfirmed),
                outbox::lease_token.eq(None::<String>),
                outbox::lease_until.eq(None::<i64>),
                outbox::next_attempt_at.eq(reschedule.next_attempt_at.micros()),
                outbox::last_error.eq(&reschedule.error),
            ))
            .execute(conn)?;
    Ok(returned == 1)
}

/// The orders that are not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMails {
    /// Those to be sent.
    pub waiting: i64,
    /// Those that were given up.
    pub dead: i64,
    /// The time of the oldest one to be sent.
    pub oldest: Option<UtcTime>,
}

/// Counts the mails that wait and those that were given up.
pub fn count_open(conn: &mut Conn) -> Result<OpenMails> {
    // Postgres knows how rare a status is only if the statement names it.
    let count = |conn: &mut Conn, status: &str| {
        outbox::table.filter(sql::<Bool>(status)).count().get_result(conn)
    };
    let oldest: Option<i64> = outbox::table
        .filter(sql::<Bool>("status = 'queued'"))
        .select(outbox::created_at)
        .order(outbox::created_at)
        .first(conn)
        .optional()?;
    Ok(OpenMails {
        waiting: count(conn, "status = 'queued'")?,
        dead: count(conn, "status = 'dead'")?,
        oldest: oldest.map(UtcTime::from_micros),
    })
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
            let open = count_open(conn)?;
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

/// Why mails wait.
#[derive(Clone, Debug, QueryableByName)]
pub struct WaitingFor {
    /// The error of their last attempt.
    #[diesel(sql_type = Text)]
    pub error: String,
    /// How many they are.
    #[diesel(sql_type = BigInt)]
    pub mails: i64,
}

/// Returns up to `limit` errors that mails wait for, the most frequent first.
pub fn waiting_for(conn: &mut Conn, limit: i64) -> Result<Vec<WaitingFor>> {
    let errors = diesel::sql_query(
        "SELECT last_error AS error, count(*) AS mails FROM outbox \
         WHERE status = 'queued' AND last_error IS NOT NULL \
         GROUP BY last_error ORDER BY count(*) DESC, last_error LIMIT $1",
    );
    Ok(errors.bind::<BigInt, _>(limit).load(conn)?)
}

/// Makes an order due at once, if it is dead or waits. Returns whether it is.
pub fn retry(conn: &mut Conn, id: &str, now: UtcTime) -> Result<bool> {
    let unfinished = [MailStatus::Dead.name(), MailStatus::Queued.name()];
    let chosen = outbox::table.find(id).filter(outbox::status.eq_any(unfinished));
    Ok(diesel::update(chosen).set(as_new(now)).execute(conn)? == 1)
}

/// Makes up to `limit` dead orders due at once that were given up before `now`. Returns how many.
pub fn retry_dead(conn: &mut Conn, now: UtcTime, limit: i64) -> Result<usize> {
    let dead = || outbox::table.filter(sql::<Bool>("status = 'dead'"));
    let given_up: Vec<String> = dead()
        .filter(outbox::finished_at.lt(now.micros()))
        .select(outbox::id)
        .limit(limit)
        .load(conn)?;
    if given_up.is_empty() {
        return Ok(0);
    }
    // Another command may have been faster.
    let chosen = dead().filter(outbox::id.eq_any(given_up));
    Ok(diesel::update(chosen).set(as_new(now)).execute(conn)?)
}

/// Makes up to `limit` orders due at once that wait for a time after `now`. Returns how many.
pub fn retry_waiting(conn: &mut Conn, now: UtcTime, limit: i64) -> Result<usize> {
    let waiting = || {
        let queued = outbox::table.filter(sql::<Bool>("status = 'queued'"));
        queued.filter(outbox::next_attempt_at.gt(now.micros()))
    };
    let chosen: Vec<String> = waiting().select(outbox::id).limit(limit).load(conn)?;
    if chosen.is_empty() {
        return Ok(0);
    }
    Ok(diesel::update(waiting().filter(outbox::id.eq_any(chosen)))
        .set(as_new(now))
        .execute(conn)?)
}

/// Due at once, with the shortest delays again. What was tried before stays counted as tried: the
/// limits of an address have counted it already.
#[diesel::dsl::auto_type(no_type_alias)]
fn as_new(now: UtcTime) -> _ {
    let queued: &'static str = MailStatus::Queued.name();
    let now: i64 = now.micros();
    let open: Option<i64> = None;
    let once_at_most: SqlLiteral<Integer> = sql("CASE WHEN attempts > 0 THEN 1 ELSE 0 END");
    (
        outbox::status.eq(queued),
        outbox::attempts.eq(once_at_most),
        outbox::unconfirmed.eq(0_i32),
        outbox::next_attempt_at.eq(now),
        outbox::finished_at.eq(open),
    )
}

/// Forgets up to `limit` orders that were sent, dropped or given up before `forget_before`. Returns whether
/// there may be more.
pub fn purge(conn: &mut Conn, forget_before: UtcTime, limit: i64) -> Result<bool> {
    let over: Vec<String> = outbox::table
        .filter(outbox::finished_at.lt(forget_before.micros()))
        .order(outbox::finished_at)
        .select(outbox::id)
        .limit(limit)
        .load(conn)?;
    if over.is_empty() {
        return Ok(false);
    }
    // A command may have made a dead one due again meanwhile.
    let finished = outbox::table.filter(outbox::finished_at.is_not_null());
    diesel::delete(finished.filter(outbox::id.eq_any(over))).execute(conn)?;
    Ok(true)
}
