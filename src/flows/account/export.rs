//! Export of all data that is stored about a user, in pages: it may exceed the memory, and takes as
//! long as the client reads. Hashes of passwords and tokens are not part of it: they tell the user
//! nothing and would help a thief.

use crate::domain::{
    AddressVerification, Challenge, ChallengeKind, Counted, Counter, Device, Event, EventId,
    EventKind, KnownDevice, Session, User, UtcTime,
};
use crate::flows::access::user_in_session;
use crate::flows::audit::{context_of, record_once};
use crate::flows::limits::reserve;
use crate::flows::password::reauthenticate::lock_for;
use crate::flows::social::{ListedIdentity, SocialLogin};
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::events::EventPage;
use crate::store::outbox::{self, MailLine};
use crate::store::{
    self, Conn, Page, challenges, challenges::verifications, events, identities, sessions,
    sessions::known_devices,
};

/// Number of rows per query.
const ROWS: usize = 200;

/// The lists of an export, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Sessions,
    KnownDevices,
    Identities,
    Registrations,
    OneTimeTokens,
    Mails,
    Events,
}

impl List {
    const fn following(self) -> Option<Self> {
        match self {
            Self::Sessions => Some(Self::KnownDevices),
            Self::KnownDevices => Some(Self::Identities),
            Self::Identities => Some(Self::Registrations),
            Self::Registrations => Some(Self::OneTimeTokens),
            Self::OneTimeTokens => Some(Self::Mails),
            Self::Mails => Some(Self::Events),
            Self::Events => None,
        }
    }
}

/// A position between two pages of an export.
#[derive(Clone, Debug)]
pub struct ExportPosition {
    list: List,
    /// The id of the last row that was read; empty at the start of a list.
    after: String,
}

impl ExportPosition {
    /// The position before the first page.
    pub const START: Self = Self { list: List::Sessions, after: String::new() };

    /// Returns whether a list begins at this position.
    pub fn begins_list(&self) -> bool {
        self.after.is_empty()
    }

    /// Returns the position after a row of the same list.
    #[must_use]
    pub fn behind(&self, id: &str) -> Self {
        Self { list: self.list, after: id.to_owned() }
    }

    fn next_list(&self) -> Option<Self> {
        self.list.following().map(|list| Self { list, after: String::new() })
    }
}

/// Some entries of one list.
#[derive(Debug)]
pub enum ExportEntries {
    /// Sessions, open and ended, the oldest first.
    Sessions(Vec<Session>),
    /// Devices that are known by a token, the oldest first.
    KnownDevices(Vec<KnownDevice>),
    /// Identities at other services, the oldest first.
    Identities(Vec<ListedIdentity>),
    /// Registrations and changes of the e-mail address, the oldest first.
    Registrations(Vec<AddressVerification>),
    /// One-time tokens of mails, the oldest first.
    OneTimeTokens(Vec<Challenge>),
    /// Mails about the account or to its e-mail address, the oldest first.
    Mails(Vec<MailLine>),
    /// Events of the account, the newest first.
    Events(Vec<Event>),
}

/// A page of an export.
#[derive(Debug)]
pub struct ExportPage {
    /// True if it is the first one of its list.
    pub begins_list: bool,
    /// The entries.
    pub entries: ExportEntries,
    /// The position of the page that follows; `None` after the last one.
    pub next: Option<ExportPosition>,
}

impl Flows {
    /// Counts and records an export, and returns the user.
    ///
    /// # Errors
    /// [`Error::RateLimited`] beyond the limit of exports. Such requests are not recorded.
    pub fn begin_export(&self, claims: &Claims, device: &Device) -> Result<User> {
        let (id, now, bounds) = (claims.user_id(), self.now(), self.bounds());
        let (context, session) = (context_of(claims, device, now), claims.session_id());
        let secrets = self.secrets.clone();
        let user = self.db.write(move |conn| {
            let user = lock_for(conn, id, &session)?;
            if let Some(bounds) = &bounds {
                let counter = Counter::new(Counted::ExportsOfUser, id.to_string());
                reserve(conn, &secrets, bounds, vec![counter], now)?;
            }
            record_once(conn, &context, EventKind::Exported, "")?;
            Ok::<_, Error>(user)
        })?;
        tracing::info!(user_id = id.0, "account exported by its owner");
        Ok(user)
    }

    /// Returns the page of an export that begins at `position`.
    ///
    /// # Errors
    /// [`Error::TokenRevoked`] once the session or the account is no longer active: an export that
    /// has begun ends there.
    pub fn export_page(&self, claims: &Claims, position: &ExportPosition) -> Result<ExportPage> {
        let since = self.now().before(self.policy.event_retention);
        self.db.read(|conn| {
            let user = user_in_session(conn, claims.user_id(), &claims.session_id())?;
            let (entries, next) = read_page(conn, &self.social, &user, position, since)?;
            let next = match next {
                Some(last) => Some(position.behind(&last)),
                None => position.next_list(),
            };
            Ok(ExportPage { begins_list: position.begins_list(), entries, next })
        })
    }
}

/// Reads the entries of a page, and the id of its last row if the list may have more.
fn read_page(
    conn: &mut Conn,
    social: &SocialLogin,
    user: &User,
    position: &ExportPosition,
    since: UtcTime,
) -> store::Result<(ExportEntries, Option<String>)> {
    let (id, after) = (user.id, position.after.as_str());
    let entries = match position.list {
        List::Sessions => {
            let Page { items, next } = sessions::list_page(conn, id, after, ROWS)?;
            (ExportEntries::Sessions(items), next)
        }
        // A log-in keeps only the newest ones.
        List::KnownDevices => {
            (ExportEntries::KnownDevices(known_devices::list_all(conn, id)?), None)
        }
        // An account has one or two.
        List::Identities => {
            let identities = social.listed(identities::list_of_user(conn, id)?);
            (ExportEntries::Identities(identities), None)
        }
        List::Registrations => {
            let Page { items, next } = verifications::list_page(conn, id, after, ROWS)?;
            (ExportEntries::Registrations(items), next)
        }
        List::OneTimeTokens => {
            let kinds = ChallengeKind::OF_ACCOUNT;
            let Page { items, next } = challenges::list_page(conn, id, kinds, after, ROWS)?;
            (ExportEntries::OneTimeTokens(items), next)
        }
        List::Mails => {
            let email = user.email.as_ref();
            let Page { items, next } = outbox::list_page(conn, id, email, after, ROWS)?;
            (ExportEntries::Mails(items), next)
        }
        List::Events => {
            let before = Some(EventId(after.to_owned())).filter(|_| !position.begins_list());
            let EventPage { events, next } =
                events::list_page(conn, id, since, before.as_ref(), ROWS)?;
            (ExportEntries::Events(events), next.map(|id| id.0))
        }
    };
    Ok(entries)
}
