//! Mail: delivery and language.

mod language;
mod mail_delivery;
