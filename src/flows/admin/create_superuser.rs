//! Creation of a superuser by the operator, from the command line.

use std::sync::Arc;

use crate::domain::{Device, Email, EventContext, EventKind, PlainPassword, User, Username};
use crate::flows::account::placeholder::refuse_reserved;
use crate::flows::account::release_username::release_username;
use crate::flows::account::report_unauthorized::release_unverified_email;
use crate::flows::limits::requester;
use crate::flows::{Error, Flows, Result};
use crate::store::users::{self, NewUser};
use crate::store::{challenges, events};

/// A superuser to create.
#[derive(Debug)]
pub struct NewSuperuser {
    /// The user name.
    pub username: Username,
    /// The e-mail address. It counts as verified, since the operator enters it.
    pub email: Option<Email>,
    /// The password, checked against the policy unless weak ones are allowed.
    pub password: PlainPassword,
    /// True if a password that the policy refuses is accepted.
    pub allow_weak_password: bool,
}

impl Flows {
    /// Creates an active account with all rights.
    pub fn create_superuser(&self, new: NewSuperuser) -> Result<User> {
        refuse_reserved(&new.username, None)?;
        if !new.allow_weak_password {
            let name = Some(new.username.as_str());
            self.check_new_password("password", &new.password, new.email.as_ref(), name)?;
        }
        let name = new.username.as_str().to_owned();
        let account = NewUser {
            email_verified: new.email.is_some(),
            email: new.email,
            password_hash: self.hasher.hash(requester(name, &Device::default()), &new.password)?,
            is_staff: true,
            is_superuser: true,
            ..NewUser::named(new.username)
        };
        let (now, policy) = (self.now(), Arc::clone(&self.policy));
        self.db.write(move |conn| {
            if let Some(email) = &account.email {
                challenges::lock_address(conn, email)?;
                release_unverified_email(conn, &policy, email, None, now)?;
                release_username(conn, &policy, email, None, now)?;
            }
            let user = users::insert_user(conn, &account, now)?;
            let context = EventContext::of(user.id, now);
            events::record(conn, &context, EventKind::Registered, "command_line")?;
            Ok::<_, Error>(user)
        })
    }
}
