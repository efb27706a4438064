//! Operations (a method of a path) with their own metrics. A resource carries its own, so that
//! counting a request needs no look-up by path.

use std::sync::{LazyLock, OnceLock};

use actix_web::HttpRequest;
use actix_web::http::Method;

use super::code::Code;
use super::{openapi, routes};
use crate::http::v1::services::forward_auth;

/// A method of a path.
pub struct Operation {
    /// The index of its counters in the metrics.
    pub index: usize,
    /// Its method.
    pub method: Method,
    /// Its path, without a final slash.
    pub path: String,
    /// Its endpoint, if the document contains it.
    endpoint: Option<routes::Endpoint>,
    /// The error codes that the document promises, once they were needed.
    codes: OnceLock<Vec<Code>>,
}

impl Operation {
    /// Returns method and path, its name in the metrics.
    pub fn name(&self) -> (String, String) {
        (self.method.to_string(), self.path.clone())
    }

    /// Returns whether the document promises this error code, or does not contain the operation.
    pub fn promises(&self, code: Code) -> bool {
        let Some(endpoint) = &self.endpoint else { return true };
        self.codes.get_or_init(|| openapi::error_codes(endpoint)).contains(&code)
    }
}

/// Operations of the OpenAPI document, in the order of the route table.
pub static DOCUMENTED: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let operation = |(index, endpoint): (usize, routes::Endpoint)| Operation {
        index,
        method: openapi::method_name(&endpoint).to_uppercase().parse().unwrap_or_default(),
        path: endpoint.path.clone(),
        endpoint: Some(endpoint),
        codes: OnceLock::new(),
    };
    routes::endpoints().into_iter().enumerate().map(operation).collect()
});

/// Returns the operations of paths outside the document, whose counters follow those of
/// [`DOCUMENTED`].
pub fn undocumented(paths: &[&str], methods: &[Method]) -> Vec<Operation> {
    let operations =
        paths.iter().flat_map(|path| methods.iter().map(move |method| (*path, method.clone())));
    let operation = |(index, (path, method)): (usize, (&str, Method))| Operation {
        index,
        method,
        path: path.to_owned(),
        endpoint: None,
        codes: OnceLock::new(),
    };
    (DOCUMENTED.len()..).zip(operations).map(operation).collect()
}

/// The operations of one path.
pub struct OfPath(Vec<&'static Operation>);

impl OfPath {
    /// Returns the operations of `all` that have this path.
    pub fn new(all: &'static [Operation], path: &str) -> Self {
        Self(all.iter().filter(|operation| operation.path == path).collect())
    }

    /// Returns the operation of a method. HEAD counts as GET; forward authentication accepts any
    /// method.
    fn find(&self, method: &Method) -> Option<&'static Operation> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let is_asked = |it: &Operation| it.method == method || it.path == forward_auth::PATH;
        self.0.iter().copied().find(|it| is_asked(it))
    }
}

/// Returns the operation of a routed request; `None` if it has no metrics of its own.
pub fn of_request(request: &HttpRequest) -> Option<&'static Operation> {
    request.app_data::<OfPath>()?.find(request.method())
}
