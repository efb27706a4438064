//! The operations that are counted: those of the document and those of the Django REST adapter. A resource
//! carries its own, so that counting a request takes no look-up by path.

use std::sync::LazyLock;

use actix_web::HttpRequest;
use actix_web::http::Method;

use super::code::Code;
use super::{openapi, routes};
use crate::http::v1::services::forward_auth;

/// A method of a path.
pub struct Operation {
    /// Its place in [`ALL`].
    pub index: usize,
    /// Its method.
    pub method: Method,
    /// Its path, without a final slash.
    pub path: String,
    /// The codes of the errors that the document promises; `None` if the document does not name it.
    pub codes: Option<Vec<Code>>,
}

/// The paths of the Django REST adapter, and the methods that are counted of each.
const ADAPTER_PATHS: [&str; 5] =
    ["/api-token-auth", "/api-token-verify", "/api-token-refresh", "/restricted", "/users"];
const ADAPTER_METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Every operation: those of the document in the order of the table of routes, then the adapter's.
pub static ALL: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let documented = routes::endpoints().into_iter().map(|endpoint| {
        let method = openapi::method_name(&endpoint).to_uppercase().parse().unwrap_or_default();
        let codes = openapi::error_codes(&endpoint);
        (method, endpoint.path, Some(codes))
    });
    let of_adapter = ADAPTER_PATHS
        .into_iter()
        .filter(|_| cfg!(feature = "drf-jwt"))
        .flat_map(|path| ADAPTER_METHODS.map(|method| (method, path.to_owned(), None)));
    let operations = documented.chain(of_adapter).enumerate();
    operations
        .map(|(index, (method, path, codes))| Operation { index, method, path, codes })
        .collect()
});

/// Returns the names of [`ALL`], in their order.
pub fn names() -> impl Iterator<Item = (String, String)> {
    ALL.iter().map(|it| (it.method.to_string(), it.path.clone()))
}

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

/// Returns the operation that a routed request asks for; `None` if it is not counted by itself.
pub fn of_request(request: &HttpRequest) -> Option<&'static Operation> {
    request.app_data::<OfPath>()?.find(request.method())
}
