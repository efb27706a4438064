//! Mail: delivery and language.

mod language;
mod mail_delivery;
mod slow_domains;
