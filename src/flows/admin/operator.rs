//! Operations on accounts that only the operator has, at the command line.

use crate::domain::{Email, User, UserId};
use crate::flows::{Error, Flows, Result};
use crate::store::outbox::{self, NewMail};
use crate::store::users;

impl Flows {
    /// Returns the accounts that a user id, a user name or an e-mail address names, in the order of
    /// their ids. There is more than one if the name of an account is the id or the address of
    /// another. `id:7` names no account but that with the user id 7.
    pub fn list_accounts_by_reference(&self, reference: &str) -> Result<Vec<User>> {
        let (number, text) = match reference.strip_prefix("id:") {
            Some(number) => (number, None),
            None => (reference, Some(reference)),
        };
        let id = number.parse().ok().map(UserId);
        let email = text.filter(|text| text.contains('@')).map(Email::unchecked);
        self.db.read(|conn| {
            let mut found = Vec::new();
            if let Some(id) = id {
                found.extend(users::find_by_id(conn, id)?);
            }
            if let Some(name) = text {
                found.extend(users::find_by_username(conn, name)?);
            }
            if let Some(email) = &email {
                found.extend(users::find_by_email(conn, email)?);
            }
            found.sort_unstable_by_key(|user| user.id);
            found.dedup_by_key(|user| user.id);
            Ok(found)
        })
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
