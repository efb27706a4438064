//! The only room that knows actix, JSON and status codes. [`routes`] is the table of endpoints,
//! [`v1`] holds one file for each, [`error`] turns failures into answers. [`django`] speaks another
//! language about the same accounts.

pub mod bearer;
pub mod blocking;
pub mod body;
pub mod browsers;
pub mod client;
pub mod code;
pub mod cors;
pub mod django;
#[cfg(feature = "docs-ui")]
mod docs;
pub mod drain;
pub mod error;
mod intake;
pub mod metrics;
pub mod middleware;
pub mod openapi;
pub mod operations;
pub mod pace;
pub mod pages;
mod request_id;
pub mod routes;
pub mod schema;
pub mod server;
mod slices;
pub mod strict_json;
pub mod v1;

use actix_web::{HttpRequest, web};

use code::Code;
use django::Face;
use error::ApiError;

/// Serves everything: API, pages, documentation, and the Django face where there is one.
pub fn configure(app: &mut web::ServiceConfig, face: Option<web::Data<Face>>) {
    routes::configure(app, operations::OfPath::new);
    if let Some(face) = face {
        django::configure(app, face);
    }
    pages::configure(app);
    #[cfg(feature = "docs-ui")]
    docs::configure(app);
    app.default_service(web::to(|_: HttpRequest| async {
        Err::<String, _>(ApiError::from(Code::NotFound))
    }));
}
