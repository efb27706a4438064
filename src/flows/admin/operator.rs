//! Operations on accounts that only the operator has, at the command line.

use crate::domain::{Email, User, UserId};
use crate::flows::{Error, Flows, Result};
use crate::store::outbox::{self, NewMail};
use crate::store::users;

impl Flows {
    /// Finds the account of a user id, a user name or an e-mail address.
    pub fn find_account_by_reference(&self, reference: &str) -> Result<User> {
        let email = Email::parse(reference).ok();
        let user = self.db.read(|conn| {
            let found = match reference.parse() {
                Ok(id) => users::find_by_id(conn, UserId(id))?,
                Err(_) => users::find_by_username(conn, reference)?,
            };
            match (found, &email) {
                (None, Some(email)) => users::find_by_email(conn, email),
                (found, _) => Ok(found),
            }
        })?;
        user.ok_or(Error::NotFound)
    }

    /// Queues a mail with a password reset for the account.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the account has no e-mail address.
    pub fn queue_password_reset(&self, user: &User) -> Result<()> {
        let (id, locale, now) = (user.id, user.locale.clone(), self.now());
        let email = user.email.clone().ok_or(Error::NotFound)?;
        self.db.write(move |conn| {
            outbox::enqueue(conn, &NewMail::password_reset(&email, &locale, Some(id)), now)
        })?;
        Ok(())
    }
}
