//! The operator makes the first account from the command line.

use crate::domain::{
    Device, Email, EventContext, EventKind, Locale, Metadata, PlainPassword, Roles, User, Username,
};
use crate::flows::account::release_username::release_username;
use crate::flows::account::report_unauthorized::free_address;
use crate::flows::limits::requester;
use crate::flows::{Error, Flows, Result};
use crate::store::events;
use crate::store::users::{self, NewUser};

/// Who shall be made.
#[derive(Debug)]
pub struct NewSuperuser {
    /// The name to log in with.
    pub username: Username,
    /// The address. The operator vouches for it.
    pub email: Option<Email>,
    /// The password.
    pub password: PlainPassword,
    /// True if a password that the policy refuses is taken all the same.
    pub allow_weak_password: bool,
}

impl Flows {
    /// Makes an active account with every right.
    pub fn create_superuser(&self, new: NewSuperuser) -> Result<User> {
        if !new.allow_weak_password {
            let name = Some(new.username.as_str());
            self.policy
                .password
                .check(&new.password, new.email.as_ref(), name)
                .map_err(|fault| Error::invalid("password", fault))?;
            self.refuse_breached("password", &new.password)?;
        }
        let name = new.username.as_str().to_owned();
        let account = NewUser {
            username: new.username,
            email_verified: new.email.is_some(),
            email: new.email,
            password_hash: self.hasher.hash(requester(name, &Device::default()), &new.password)?,
            is_staff: true,
            is_superuser: true,
            locale: Locale::default(),
            roles: Roles::default(),
            app_metadata: Metadata::default(),
        };
        let (now, policy) = (self.now(), self.policy.clone());
        self.db.write(move |conn| {
            if let Some(email) = &account.email {
                free_address(conn, &policy, email, None, now)?;
                release_username(conn, &policy, email, None, now)?;
            }
            let user = users::insert_user(conn, &account, now)?;
            let scene = EventContext::of(user.id, now);
            events::record(conn, &scene, EventKind::Registered, "command_line")?;
            Ok::<_, Error>(user)
        })
    }
}
