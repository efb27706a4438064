//! The profile of a user's own account.

use std::sync::Arc;

use crate::domain::{Device, Fault, Locale, User, Username};
use crate::flows::account::metadata::{MetadataChange, require_room_after_change};
use crate::flows::account::placeholder::refuse_reserved;
use crate::flows::audit::{context_of, record_changes};
use crate::flows::password::reauthenticate::lock_for;
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::Conn;
use crate::store::users;
use crate::store::users::changes::{self, UserChanges};

/// Changes of a profile. `None` keeps a value.
#[derive(Clone, Debug, Default)]
pub struct ProfileChanges {
    /// The user name; `Some(None)` removes it, so that the account is named by its e-mail address.
    pub username: Option<Option<Username>>,
    /// The language of mail.
    pub locale: Option<Locale>,
    /// A merge patch for the metadata.
    pub metadata: Option<MetadataChange>,
}

impl Flows {
    /// Changes the profile of the caller.
    pub fn update_profile(
        &self,
        claims: &Claims,
        changes: ProfileChanges,
        device: &Device,
    ) -> Result<User> {
        let (id, now) = (claims.user_id(), self.now());
        let (context, session) = (context_of(claims, device, now), claims.session_id());
        let tokens = Arc::clone(self.access_tokens.settings());
        let field = if changes.metadata.is_some() { "metadata" } else { "username" };
        let user = self.write_accounts(move |conn| {
            let before = lock_for(conn, id, &session)?;
            let changes = applied(conn, &before, changes)?;
            let after =
                changes::update_user(conn, id, &changes, now)?.ok_or(Error::TokenRevoked)?;
            require_room_after_change(&tokens, Some(&before), &after, field, now)?;
            record_changes(conn, &context, &before, &after)?;
            Ok::<_, Error>(after)
        })?;
        tracing::info!(user_id = id.0, "profile changed by its owner");
        Ok(user)
    }
}

fn applied(conn: &mut Conn, user: &User, changes: ProfileChanges) -> Result<UserChanges> {
    let username = changes.username.map(|wanted| chosen_name(conn, user, wanted)).transpose()?;
    let metadata = changes.metadata.map(|change| change.applied_to(&user.metadata));
    let metadata = metadata.transpose().map_err(|fault| Error::invalid("metadata", fault))?;
    Ok(UserChanges { username, locale: changes.locale, metadata, ..UserChanges::default() })
}

/// Returns the new user name. An account without a chosen one is named by its e-mail address.
fn chosen_name(conn: &mut Conn, user: &User, wanted: Option<Username>) -> Result<Username> {
    let name = match (wanted, &user.email) {
        (Some(name), _) => name,
        (None, Some(email)) => Username::of_address(email),
        (None, None) => return Err(Error::invalid("username", Fault::Required)),
    };
    if !user.may_take_name(&name) {
        return Err(Error::invalid("username", Fault::InvalidUsername));
    }
    refuse_reserved(&name, Some(&user.username))?;
    match users::find_by_username(conn, name.as_str())? {
        Some(other) if other.id != user.id => Err(Error::UsernameTaken),
        _ => Ok(name),
    }
}
