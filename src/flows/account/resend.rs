//! Asking for the mail of a registration once more.

use crate::domain::{ChallengeKind, Device, Email, Locale, MailRequest};
use crate::flows::{Error, Flows, Result};
use crate::store::jobs::Schedule;
use crate::store::outbox::{self, MailKind};

impl Flows {
    /// Orders the mail again, whatever is known of the address: that is found out when it is
    /// written.
    pub fn resend_verification(&self, email: Email, locale: Locale, device: &Device) -> Result<()> {
        let now = self.now();
        let mail = MailRequest::new(ChallengeKind::Registration, &email, device);
        self.request_mail(&mail, |send_at| {
            self.db.write(move |conn| {
                let (kind, schedule) = (MailKind::RegistrationAgain, Schedule::new(now, send_at));
                outbox::enqueue(conn, kind, &email, &locale, "", None, schedule)
                    .map_err(Error::from)
            })
        })?;
        tracing::info!("mail of a registration asked for again");
        Ok(())
    }
}
