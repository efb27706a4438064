//! Starts the HTTP server: state, middleware and routes in their order.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix_web::cookie::SameSite;
use actix_web::dev::Server;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App as ActixApp, web};

use super::drf;
use crate::config::{self, Config};
use crate::flows::Flows;
use crate::http;
use crate::http::blocking::Blocking;
use crate::http::browsers::{Browsers, Origins};
use crate::http::dev::{self, Development};
use crate::http::metrics::Metrics;
use crate::http::operations::{self, Operation};
use crate::http::serving::drain::Draining;
use crate::http::serving::held_bodies::HeldBodies;
use crate::http::serving::middleware::{Https, catch_panic, surround};
use crate::http::serving::refusal_pause::RefusalPause;
use crate::http::serving::{cors, server};
use crate::http::state::State;

/// Starts the server on `listener`, with the routes of the API, the adapter and the pages of
/// development.
pub(super) fn start_server(
    config: &Config,
    listener: TcpListener,
    flows: &Arc<Flows>,
    draining: &Draining,
    development: Option<Development>,
) -> io::Result<Server> {
    let operations = operations::DOCUMENTED.iter().chain(drf::operations());
    let metrics = Arc::new(Metrics::new(operations.map(Operation::name)));
    let state = web::Data::new(State {
        flows: Arc::clone(flows),
        service_name: config.service_name.clone(),
        browsers: browsers_of(config),
        trusted_proxies: config.trusted_proxies.clone(),
        metrics: Arc::clone(&metrics),
        draining: draining.clone(),
        blocking: Blocking::new(config.timing.answer_limit),
        revocation_lists: HeldBodies::default(),
        refusal_pause: RefusalPause::new(config.timing.refusal_pause),
        has_ignored_header: AtomicBool::new(false),
    });
    let (origins, headers) = (origins_of(config), config.browsers.headers.clone());
    let adapter = drf::routes(config, flows);
    let https = Https(config.public_url.starts_with("https:"));
    let settings = server::Settings {
        workers: config.workers,
        max_connections: config.max_connections,
        keep_alive: config.keep_alive,
        answer_limit: config.timing.answer_limit,
        park_after: config.timing.park_after,
        shutdown_timeout: config.shutdown_timeout,
        https,
    };
    server::start(settings, listener, metrics, move || {
        ActixApp::new()
            .app_data(state.clone())
            .app_data(https)
            .wrap(from_fn(catch_panic))
            .wrap(Condition::new(!origins.is_empty(), cors::allow(&origins, &headers)))
            .wrap(from_fn(surround))
            .configure(|app| {
                http::configure(app, |app| {
                    // Before the adapter, which has `/` too.
                    if let Some(development) = &development {
                        dev::configure(app, development);
                    }
                    adapter(app);
                });
            })
    })
}

fn browsers_of(config: &Config) -> Browsers {
    Browsers {
        own_origin: config.public_url.clone(),
        other_origins: origins_of(config),
        headers: config.browsers.headers.clone(),
        same_site: match config.browsers.same_site {
            config::SameSite::Strict => SameSite::Strict,
            config::SameSite::Lax => SameSite::Lax,
            config::SameSite::None => SameSite::None,
        },
    }
}

fn origins_of(config: &Config) -> Origins {
    let browsers = &config.browsers;
    Origins { named: browsers.origins.clone(), loopback: browsers.loopback_origins }
}
