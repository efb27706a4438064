//! Reading of requests: credentials, client, origin on this machine, and bodies in JSON or as forms.

pub mod bearer;
pub mod body;
pub mod client;
pub mod form;
pub mod local;
pub mod service_credentials;
pub mod strict_json;
