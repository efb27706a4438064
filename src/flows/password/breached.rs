//! Refusal of breached passwords, if a service for them is set. It runs after all cheaper checks,
//! without a database connection.

use crate::domain::{Fault, PlainPassword};
use crate::flows::{Error, Field, Flows, Result};

impl Flows {
    /// Refuses a breached password. If the service does not respond, the password is accepted:
    /// registration must not depend on it, and common passwords are refused in any case.
    pub(crate) fn refuse_breached(&self, field: Field, password: &PlainPassword) -> Result<()> {
        let Some(collection) = &self.breached_passwords else { return Ok(()) };
        match collection.contain(password) {
            Ok(true) => Err(Error::invalid(field, Fault::Breached)),
            Ok(false) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "breached passwords cannot be looked up; a password was accepted");
                Ok(())
            }
        }
    }
}
