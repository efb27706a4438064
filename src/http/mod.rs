//! The only module that knows actix, JSON and status codes. [`routes`] is the table of endpoints,
//! [`v1`] has one file for each, [`error`] turns failures into responses.

pub mod bearer;
pub mod blocking;
pub mod body;
pub mod browsers;
pub mod client;
pub mod code;
pub mod dev;
#[cfg(feature = "docs-ui")]
mod docs;
pub mod error;
pub mod form;
pub mod metrics;
pub mod oauth;
pub mod openapi;
pub mod operations;
pub mod pages;
pub mod printed;
pub mod routes;
pub mod schema;
pub mod service_credentials;
pub mod serving;
pub mod strict_json;
pub mod v1;

use actix_web::{HttpRequest, web};

use code::Code;
use error::ApiError;
use operations::OfPath;

/// Registers the API, the paths that `adapter` adds, the pages and the documentation.
pub fn configure(app: &mut web::ServiceConfig, adapter: impl FnOnce(&mut web::ServiceConfig)) {
    routes::configure(app, |path| OfPath::new(&operations::DOCUMENTED, path));
    adapter(app);
    pages::configure(app);
    #[cfg(feature = "docs-ui")]
    docs::configure(app);
    app.default_service(web::to(|_: HttpRequest| async {
        Err::<String, _>(ApiError::from(Code::NotFound))
    }));
}
