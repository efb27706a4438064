//! The server around the routes: listening, back-pressure, draining, middleware, CORS.

pub(crate) mod backpressure;
pub mod cors;
pub mod drain;
pub mod middleware;
pub(crate) mod request_id;
pub mod server;
pub(crate) mod slices;
