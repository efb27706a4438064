//! The only room that knows actix, JSON and status codes. [`routes`] is the table of endpoints,
//! [`v1`] holds one file for each, [`error`] turns failures into answers. [`django`] speaks another
//! language about the same accounts.

pub mod bearer;
pub mod blocking;
pub mod body;
pub mod browsers;
pub mod client;
pub mod code;
pub mod django;
#[cfg(feature = "docs-ui")]
mod docs;
pub mod error;
pub mod metrics;
pub mod openapi;
pub mod pages;
pub mod routes;
pub mod schema;
pub mod serving;
pub mod strict_json;
pub mod v1;

use actix_web::{HttpRequest, web};

use code::Code;
use django::Face;
use error::ApiError;

/// Serves everything: API, pages, documentation, and the Django face where there is one.
pub fn configure(app: &mut web::ServiceConfig, face: Option<web::Data<Face>>) {
    routes::configure(app);
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
