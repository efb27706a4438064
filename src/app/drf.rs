//! Django REST adapter, if it is built in and enabled: its routes and metrics.

use actix_web::web::ServiceConfig;

use crate::config::Config;
use crate::flows::Flows;
use crate::http::operations::Operation;

/// Returns the function that adds the adapter's routes to an application.
#[cfg(feature = "drf-jwt")]
pub(super) fn routes(
    config: &Config,
    flows: &Flows,
) -> impl Fn(&mut ServiceConfig) + Clone + use<> {
    use actix_web::web::Data;

    use crate::config::{DrfPrefix, SecretText};
    use crate::drf::http::{DrfAdapter, Schemes, configure};
    use crate::drf::token::{DrfTokens, Lifetimes};

    let adapter = config.drf_jwt.map(|drf| {
        let schemes = match drf.prefix {
            DrfPrefix::Jwt => Schemes::Jwt,
            DrfPrefix::Bearer => Schemes::Bearer,
            DrfPrefix::Both => Schemes::Both,
        };
        let shared = config.jwt_secret.as_ref().map(SecretText::expose);
        let keys = shared.map_or_else(|| flows.secrets.adapter_keys(), |key| vec![key]);
        let lifetimes = Lifetimes { token: drf.token_ttl, refresh: drf.refresh_ttl };
        let tokens = DrfTokens::new(&keys, lifetimes);
        Data::new(DrfAdapter::new(&config.public_url, schemes, tokens))
    });
    move |app| {
        if let Some(adapter) = &adapter {
            configure(app, adapter.clone());
        }
    }
}

/// Adds nothing: the adapter is not built in.
#[cfg(not(feature = "drf-jwt"))]
pub(super) fn routes(_: &Config, _: &Flows) -> impl Fn(&mut ServiceConfig) + Clone + use<> {
    |_| {}
}

/// Returns the operations of the adapter, which have metrics besides the documented ones.
#[cfg(feature = "drf-jwt")]
pub(super) fn operations() -> &'static [Operation] {
    &crate::drf::http::OPERATIONS
}

/// Returns no operations: the adapter is not built in.
#[cfg(not(feature = "drf-jwt"))]
pub(super) fn operations() -> &'static [Operation] {
    &[]
}
