//! Everything that is stored about a person, for that person.

use super::{Claims, Flows, Result};
use crate::domain::{OneTimeToken, Registration, Session, User};
use crate::store::outbox::{self, MailLine};
use crate::store::{self, Conn, one_time_tokens, registrations, sessions};

/// What there is. Hashes of passwords and tokens are not among it: they tell the person nothing and
/// would help a thief.
#[derive(Debug)]
pub struct Export {
    /// The account.
    pub user: User,
    /// Every session that is remembered.
    pub sessions: Vec<Session>,
    /// Registrations and changes of the address.
    pub registrations: Vec<Registration>,
    /// One-time tokens of mails.
    pub one_time_tokens: Vec<OneTimeToken>,
    /// Mail about the account or to its address.
    pub mails: Vec<MailLine>,
}

impl Flows {
    /// Gathers what is stored about the holder.
    pub fn export(&self, claims: &Claims) -> Result<Export> {
        let user = self.own_profile(claims.user_id())?;
        Ok(self.db.read(|conn| gather(conn, user))?)
    }
}

fn gather(conn: &mut Conn, user: User) -> store::Result<Export> {
    Ok(Export {
        sessions: sessions::list_all(conn, user.id)?,
        registrations: registrations::list_of_user(conn, user.id)?,
        one_time_tokens: one_time_tokens::list_all(conn, user.id)?,
        mails: outbox::list_of(conn, user.id, user.email.as_ref())?,
        user,
    })
}
