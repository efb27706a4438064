//! The only module that knows actix, JSON and status codes. [`routes`] is the table of endpoints,
//! [`v1`] has one file for each, [`request`] reads requests, [`error`] turns failures into
//! responses.

pub mod blocking;
pub mod browsers;
pub mod code;
pub mod dev;
pub mod error;
pub mod metrics;
pub mod oauth;
pub mod openapi;
pub mod operations;
pub mod pages;
pub mod printed;
pub mod request;
pub mod routes;
pub mod schema;
pub mod serving;
pub mod state;
pub mod v1;

use actix_web::{HttpRequest, web};

use code::Code;
use error::ApiError;
use operations::OfPath;

/// Registers the API, the paths that `others` adds, the pages and the documentation.
pub fn configure(app: &mut web::ServiceConfig, others: impl FnOnce(&mut web::ServiceConfig)) {
    routes::configure(app, |path| OfPath::new(&operations::DOCUMENTED, path));
    others(app);
    pages::configure(app);
    #[cfg(feature = "docs-ui")]
    openapi::docs::configure(app);
    app.default_service(web::to(|_: HttpRequest| async {
        Err::<String, _>(ApiError::from(Code::NotFound))
    }));
}
