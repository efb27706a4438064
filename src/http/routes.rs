//! The route table. An endpoint in it is served and documented, and there is no other way to add
//! one.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::{HttpRequest, Resource, Route, guard, web};
use utoipa::Path;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{RefOr, path};

use super::error::ApiError;
use super::v1;

/// An endpoint: its route, handler and documentation.
pub struct Endpoint {
    /// Its path, without a final slash.
    pub path: String,
    /// Its method.
    pub method: HttpMethod,
    operation: fn() -> Operation,
    schemas: fn() -> Vec<(String, RefOr<Schema>)>,
    route: fn() -> Route,
}

impl Endpoint {
    /// Builds its operation in the document. A server thread, which only needs the routes, does
    /// not: all of them take megabytes.
    pub fn operation(&self) -> Operation {
        (self.operation)()
    }

    /// Builds the schemas that it uses.
    pub fn schemas(&self) -> Vec<(String, RefOr<Schema>)> {
        (self.schemas)()
    }
}

macro_rules! endpoints {
    ($($tag:ident::$module:ident),* $(,)?) => {
        vec![$(Endpoint {
            path: v1::$tag::$module::__path_handle::path(),
            method: v1::$tag::$module::__path_handle::methods().remove(0),
            operation: || tagged(
                v1::$tag::$module::__path_handle::operation(),
                <v1::$tag::$module::__path_handle as utoipa::__dev::Tags>::tags(),
            ),
            schemas: || {
                let mut schemas = Vec::new();
                <v1::$tag::$module::__path_handle as utoipa::__dev::SchemaReferences>::schemas(&mut schemas);
                schemas
            },
            route: || web::route().to(v1::$tag::$module::handle),
        }),*]
    };
}

/// Adds the tags of a handler to its operation. utoipa keeps them apart.
fn tagged(mut operation: Operation, tags: Vec<&str>) -> Operation {
    operation.tags = Some(tags.into_iter().map(str::to_owned).collect());
    operation
}

/// Every endpoint of the API.
pub fn endpoints() -> Vec<Endpoint> {
    endpoints![
        account::register,
        account::verify_email,
        account::resend,
        token::token_auth,
        token::token_refresh,
        token::token_verify,
        token::token_revoke,
        password::password_reset,
        password::password_reset_confirm,
        password::password_change,
        password::password_policy,
        account::me,
        account::update_me,
        account::delete_me,
        account::export_me,
        account::change_email,
        session::list_sessions,
        session::end_session,
        session::end_other_sessions,
        account::list_my_events,
        account::not_me,
        social::list_providers,
        social::start,
        social::callback,
        social::callback_form,
        social::finish,
        social::id_token,
        social::list_identities,
        social::unlink_identity,
        users::list_users,
        users::create_user,
        users::get_user,
        users::update_user,
        users::delete_user,
        users::end_user_sessions,
        users::list_user_events,
        api_keys::list_api_keys,
        api_keys::create_api_key,
        api_keys::revoke_api_key,
        services::forward_auth,
        services::revocations,
        services::introspect,
        services::revoke,
        services::jwks,
        services::openid_configuration,
        services::authorization_server,
        operations::config,
        operations::healthz,
        operations::readyz,
        operations::metrics,
        operations::openapi_json,
        operations::openapi_3_0_json,
    ]
}

/// Serves every endpoint, with and without a final slash. The response to an unsupported method
/// names the supported ones. The path of forward authentication accepts any method, and paths below
/// it. Each path carries its `data`.
pub fn configure<D: 'static>(app: &mut web::ServiceConfig, data: impl Fn(&str) -> D) {
    let mut by_path: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in endpoints() {
        by_path.entry(endpoint.path.clone()).or_default().push(endpoint);
    }
    // The router tries one pattern after the other. It compares patterns without parameters as
    // text, in a fraction of the time of the others.
    let mut in_order: Vec<(&String, &Vec<Endpoint>)> = by_path.iter().collect();
    in_order.sort_by_key(|(path, _)| (path.contains('{'), rank(path)));
    for (path, endpoints) in in_order {
        let is_asked_by_proxies = v1::services::forward_auth::is_asked_at(path);
        let resource = |pattern: &str| {
            let resource = web::resource(pattern).app_data(data(path));
            if is_asked_by_proxies {
                endpoints.iter().fold(resource, |it, endpoint| it.route((endpoint.route)()))
            } else {
                by_method(resource, endpoints)
            }
        };
        app.service(resource(path));
        app.service(resource(&format!("{path}/")));
    }
    for (path, endpoints) in &by_path {
        if v1::services::forward_auth::is_asked_at(path) {
            let below = web::resource(format!("{path}/{{below:.*}}")).app_data(data(path));
            app.service(endpoints.iter().fold(below, |it, endpoint| it.route((endpoint.route)())));
        }
    }
}

/// Paths that are requested most. When the router found `token-verify` as the 64th of its patterns,
/// that took a sixth of the instructions of a check.
const FREQUENT: [&str; 5] = [
    "/v1/token-verify",
    v1::services::forward_auth::PATH,
    "/v1/introspect",
    "/v1/me",
    "/v1/token-refresh",
];

/// Returns the place of a path in the order in which the router tries them.
fn rank(path: &str) -> usize {
    FREQUENT.iter().position(|it| *it == path).unwrap_or(FREQUENT.len())
}

/// Adds the routes of one path to its resource.
fn by_method(mut resource: Resource, endpoints: &[Endpoint]) -> Resource {
    let mut allow: Vec<&str> = Vec::new();
    for endpoint in endpoints {
        let (method, names) = served_methods(&endpoint.method);
        allow.extend(names);
        let is_served = guard::fn_guard(move |context| method.contains(&context.head().method));
        resource = resource.route((endpoint.route)().guard(is_served));
    }
    let allow = allow.join(", ");
    resource.default_service(web::to(move |_: HttpRequest| {
        let answer = ApiError::method_not_allowed(allow.clone());
        async move { Err::<String, _>(answer) }
    }))
}

/// Returns the methods of a route: GET includes HEAD (RFC 9110 section 9.3.2).
fn served_methods(method: &HttpMethod) -> (Vec<Method>, Vec<&'static str>) {
    match method {
        HttpMethod::Get => (vec![Method::GET, Method::HEAD], vec!["GET", "HEAD"]),
        HttpMethod::Post => (vec![Method::POST], vec!["POST"]),
        HttpMethod::Put => (vec![Method::PUT], vec!["PUT"]),
        HttpMethod::Patch => (vec![Method::PATCH], vec!["PATCH"]),
        HttpMethod::Delete => (vec![Method::DELETE], vec!["DELETE"]),
        _ => (Vec::new(), Vec::new()),
    }
}

/// Returns all endpoints as paths of an OpenAPI document.
pub fn paths(endpoints: &[Endpoint]) -> path::Paths {
    let mut paths = path::Paths::new();
    for endpoint in endpoints {
        paths.add_path_operation(
            &endpoint.path,
            vec![endpoint.method.clone()],
            endpoint.operation(),
        );
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_paths_are_paths() {
        let endpoints = endpoints();
        for path in FREQUENT {
            assert!(endpoints.iter().any(|endpoint| endpoint.path == path), "{path}");
        }
    }
}
