//! A person's own account.

use super::{Error, Flows, Result};
use crate::domain::{User, UserId};
use crate::store::users;

impl Flows {
    /// The account of a token's holder. A token of an account that is gone or switched off is
    /// revoked, whatever its session says.
    pub fn own_profile(&self, id: UserId) -> Result<User> {
        self.db
            .read(|conn| users::find_by_id(conn, id))?
            .filter(|user| user.is_active)
            .ok_or(Error::TokenRevoked)
    }
}
