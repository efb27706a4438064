//! Django REST adapter: the URLs of a Django REST framework site with `djangorestframework-jwt`,
//! answered as that site answers, so that its clients keep working unchanged.
//!
//! Cargo feature `drf-jwt`. The rest of the crate does not name this module, except `app`, which
//! adds its routes: [`flows`] and [`accounts`] are the adapter's rules, [`token`] is its kind of
//! token, [`http`] is the wire.

pub mod accounts;
pub mod flows;
pub mod http;
pub mod token;
