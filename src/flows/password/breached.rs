//! Refusing passwords that are known from breaches, where the operator wants that. Asked last, after
//! whatever is cheaper, and with no database connection held.

use crate::domain::{Fault, PlainPassword};
use crate::flows::{Error, Field, Flows, Result};

impl Flows {
    /// Refuses a breached password. Where the collection cannot be asked the password is taken: nobody
    /// shall be kept from registering by a service of others, and the common ones are refused already.
    pub(crate) fn refuse_breached(&self, field: Field, password: &PlainPassword) -> Result<()> {
        let Some(collection) = &self.breached_passwords else { return Ok(()) };
        match collection.contain(password) {
            Ok(true) => Err(Error::invalid(field, Fault::Breached)),
            Ok(false) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "breached passwords cannot be looked up; one was taken");
                Ok(())
            }
        }
    }
}
