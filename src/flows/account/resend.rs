//! Asking for the mail of a registration once more.

use crate::domain::{Device, Email, Locale, MailClass, MailRequest};
use crate::flows::{Error, Flows, Result};
use crate::store::outbox::{self, MailKind};

impl Flows {
    /// Orders the mail again, whatever is known of the address: that is found out when it is
    /// written.
    pub fn resend_verification(&self, email: Email, locale: Locale, device: &Device) -> Result<()> {
        let now = self.now();
        let mail = MailRequest::new(MailClass::Verification, &email, device);
        self.request_mail(&mail, || {
            self.db.write(move |conn| {
                outbox::enqueue(conn, MailKind::RegistrationAgain, &email, &locale, "", None, now)
                    .map_err(Error::from)
            })
        })?;
        tracing::info!("mail of a registration asked for again");
        Ok(())
    }
}
