//! Development on one machine: a page with every mail, and a first page with links. The service has
//! these routes only in development on a loopback address.

mod home;
mod local;
mod mailbox;
mod mails;

use actix_web::web::{Data, ServiceConfig};

pub use self::home::Facts;
pub use self::mailbox::{DevMail, DevMailbox};
pub use self::mails::PATH as MAILS;

/// What these pages show.
#[derive(Clone)]
pub struct Development {
    /// The mails that were sent.
    pub mailbox: DevMailbox,
    /// The choices that differ from production.
    pub facts: Facts,
}

/// Serves the pages.
pub fn configure(app: &mut ServiceConfig, development: &Development) {
    app.app_data(Data::new(development.mailbox.clone()));
    mails::configure(app);
    home::configure(app, &development.facts);
}
