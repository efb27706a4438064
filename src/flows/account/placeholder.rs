//! Placeholders: user names of accounts whose e-mail address is the user name of another account.
//! They begin with `user-` and a digit, and no user can choose such a name.

use crate::domain::{ChallengeId, UserId, Username, UtcTime};
use crate::flows::{Error, Result};
use crate::store::users::{self, NewUser};
use crate::store::{self, Conn};

/// Number of short names made of a user id that are tried.
const SHORT_NAMES: u32 = 9;

/// Returns a placeholder until the e-mail address of the account is verified.
fn until_verified(now: UtcTime) -> Username {
    Username::unchecked(&format!("{}{}", Username::PLACEHOLDER, ChallengeId::new(now).as_str()))
}

/// Returns whether a user name is a placeholder until the e-mail address is verified.
pub(crate) fn is_placeholder(name: &Username) -> bool {
    let number = name.as_str().strip_prefix(Username::PLACEHOLDER);
    number.is_some_and(|number| ChallengeId::parse(number).is_some())
}

/// Gives a new account without a chosen user name a placeholder if another account has the address
/// as its user name. That account is renamed once the address is verified, not before.
pub(crate) fn make_way(conn: &mut Conn, new: &mut NewUser, now: UtcTime) -> store::Result<()> {
    if new.chose_no_name() && users::find_id_by_username(conn, new.username.as_str())?.is_some() {
        new.username = until_verified(now);
    }
    Ok(())
}

/// Returns a free name made of the user id.
pub(crate) fn made_of_id(conn: &mut Conn, id: UserId, now: UtcTime) -> store::Result<Username> {
    let short = (1..=SHORT_NAMES).map(|attempt| match attempt {
        1 => format!("{}{id}", Username::PLACEHOLDER),
        _ => format!("{}{id}-{attempt}", Username::PLACEHOLDER),
    });
    for name in short {
        if users::find_id_by_username(conn, &name)?.is_none() {
            return Ok(Username::unchecked(&name));
        }
    }
    let long = format!("{}{id}-{}", Username::PLACEHOLDER, ChallengeId::new(now).as_str());
    Ok(Username::unchecked(&long))
}

/// Refuses a name that only placeholders may have, unless the account has it already.
///
/// # Errors
/// [`Error::UsernameTaken`].
pub(crate) fn refuse_reserved(name: &Username, own: Option<&Username>) -> Result<()> {
    let is_own = own.is_some_and(|own| own.normalised() == name.normalised());
    if name.is_reserved() && !is_own { Err(Error::UsernameTaken) } else { Ok(()) }
}
