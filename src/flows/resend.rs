//! Asking for the mail of a registration once more.

use super::{Error, Flows, Result};
use crate::domain::{Device, Email, Locale};
use crate::store::outbox::{self, MailKind};

impl Flows {
    /// Orders the mail again, whatever is known of the address: that is found out when it is
    /// written.
    pub fn resend_verification(&self, email: Email, locale: Locale, device: &Device) -> Result<()> {
        let (now, address) = (self.now(), email.clone());
        self.order_mail(&address, device, || {
            self.db.write(move |conn| {
                outbox::enqueue(conn, MailKind::RegistrationAgain, &email, &locale, "", None, now)
                    .map_err(Error::from)
            })
        })?;
        self.mail_ordered.notify_one();
        tracing::info!("mail of a registration asked for again");
        Ok(())
    }
}
