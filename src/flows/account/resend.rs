//! Repetition of the mail of a registration.

use crate::domain::{ChallengeKind, Device, Email, Locale, MailRequest};
use crate::flows::{Error, Flows, Result};
use crate::store::jobs::Schedule;
use crate::store::outbox::{self, MailKind, NewMail};

impl Flows {
    /// Queues the mail again. The mail worker finds out whether the address is known, so the
    /// response does not reveal it.
    pub fn resend_verification(&self, email: Email, locale: Locale, device: &Device) -> Result<()> {
        let now = self.now();
        let mail = MailRequest::new(ChallengeKind::Registration, &email, device);
        self.request_mail(&mail, |send_at| {
            self.db.write(move |conn| {
                let mail = NewMail::new(MailKind::RegistrationAgain, &email, &locale, "");
                outbox::enqueue(conn, &mail, Schedule::new(now, send_at)).map_err(Error::from)
            })
        })?;
        tracing::info!("verification mail requested again");
        Ok(())
    }
}
