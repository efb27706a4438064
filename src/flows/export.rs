//! Everything that is stored about a person, for that person.

use super::audit::{record_once, scene};
use super::reauthenticate::lock_active;
use super::{Claims, Error, Flows, Result};
use crate::domain::{
    Device, Event, EventKind, KnownDevice, OneTimeToken, Registration, Session, User, UtcTime,
};
use crate::store::outbox::{self, MailLine};
use crate::store::{self, Conn, events, known_devices, one_time_tokens, registrations, sessions};

/// More events than anybody has.
const ALL: usize = 1_000_000;

/// What there is. Hashes of passwords and tokens are not among it: they tell the person nothing and
/// would help a thief.
#[derive(Debug)]
pub struct Export {
    /// The account.
    pub user: User,
    /// Every session that is remembered.
    pub sessions: Vec<Session>,
    /// Every device that is known by a token.
    pub known_devices: Vec<KnownDevice>,
    /// Registrations and changes of the address.
    pub registrations: Vec<Registration>,
    /// One-time tokens of mails.
    pub one_time_tokens: Vec<OneTimeToken>,
    /// Mail about the account or to its address.
    pub mails: Vec<MailLine>,
    /// What happened to the account, the newest first.
    pub events: Vec<Event>,
}

impl Flows {
    /// Gathers what is stored about the holder.
    pub fn export(&self, claims: &Claims, device: &Device) -> Result<Export> {
        let user = self.own_profile(claims.user_id())?;
        let (id, now) = (user.id, self.now());
        let scene = scene(claims, device, now);
        self.db.write(move |conn| {
            lock_active(conn, id)?.ok_or(Error::TokenRevoked)?;
            Ok::<_, Error>(record_once(conn, &scene, EventKind::Exported, "")?)
        })?;
        tracing::info!(user_id = id.0, "exported by its owner");
        let since = now.before(self.policy.event_retention);
        Ok(self.db.read(|conn| gather(conn, user, since))?)
    }
}

fn gather(conn: &mut Conn, user: User, since: UtcTime) -> store::Result<Export> {
    Ok(Export {
        sessions: sessions::list_all(conn, user.id)?,
        known_devices: known_devices::list_all(conn, user.id)?,
        registrations: registrations::list_of_user(conn, user.id)?,
        one_time_tokens: one_time_tokens::list_all(conn, user.id)?,
        mails: outbox::list_of(conn, user.id, user.email.as_ref())?,
        events: events::list_page(conn, user.id, since, None, ALL)?.events,
        user,
    })
}
