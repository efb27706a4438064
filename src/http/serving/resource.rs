//! Read-only resources.

use actix_web::{FromRequest, Handler, Resource, Responder, guard, web};

use crate::http::error::ApiError;

/// Makes `resource` serve GET and HEAD by `handler`, and refuse other methods with 405.
pub fn readable<F, Args>(resource: Resource, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource
        .route(web::route().guard(guard::Any(guard::Get()).or(guard::Head())).to(handler))
        .default_service(web::to(|| async {
            Err::<String, _>(ApiError::method_not_allowed("GET, HEAD".to_owned()))
        }))
}
