//! The operations of the document, as requests meet them. A resource carries its own, so that counting a
//! request takes no look-up by path.

use std::sync::LazyLock;

use actix_web::HttpRequest;
use actix_web::http::Method;

use super::code::Code;
use super::{openapi, routes};
use crate::http::v1::services::forward_auth;

/// An operation of the OpenAPI document.
pub struct Operation {
    /// Its place in [`ALL`].
    pub index: usize,
    /// Its method.
    pub method: Method,
    /// Its path, without a final slash.
    pub path: String,
    /// The codes of the errors that it promises.
    pub codes: Vec<Code>,
}

/// Every operation, in the order of the table of routes.
pub static ALL: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let endpoints = routes::endpoints();
    let operations = endpoints.iter().enumerate().map(|(index, endpoint)| Operation {
        index,
        method: openapi::method_name(endpoint).to_uppercase().parse().unwrap_or_default(),
        path: endpoint.path.clone(),
        codes: openapi::error_codes(endpoint),
    });
    operations.collect()
});

/// The operations of one path.
pub struct OfPath(Vec<&'static Operation>);

impl OfPath {
    /// Those of `path`.
    pub fn new(path: &str) -> Self {
        Self(ALL.iter().filter(|operation| operation.path == path).collect())
    }

    /// HEAD is answered as GET is. A proxy asks with any method.
    fn find(&self, method: &Method) -> Option<&'static Operation> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let is_asked = |it: &Operation| it.method == method || it.path == forward_auth::PATH;
        self.0.iter().copied().find(|it| is_asked(it))
    }
}

/// The operation that a routed request asks for; `None` if it is not documented.
pub fn of_request(request: &HttpRequest) -> Option<&'static Operation> {
    request.app_data::<OfPath>()?.find(request.method())
}
