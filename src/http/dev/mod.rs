//! Development on one machine: a page with every mail, and a first page with links. The service has
//! these routes only in development on a loopback address.

mod home;
mod mailbox;
mod mails;

use actix_web::http::header::{ACCEPT, HeaderMap};
use actix_web::web::{Data, ServiceConfig};

pub use self::home::Facts;
pub use self::mailbox::{DevMail, DevMailbox};
pub use self::mails::PATH as MAILS;

/// State of the pages.
#[derive(Clone)]
pub struct Development {
    /// The sent mails.
    pub mailbox: DevMailbox,
    /// The settings that differ from production.
    pub facts: Facts,
}

/// Registers the pages.
pub fn configure(app: &mut ServiceConfig, development: &Development) {
    app.app_data(Data::new(development.mailbox.clone()));
    mails::configure(app);
    home::configure(app, &development.facts);
}

/// Returns whether the client is a browser that opens a page.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html") && !accept.contains("json"))
}
