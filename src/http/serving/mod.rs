//! The server around the routes: listening, back-pressure, parking, draining, middleware, CORS.

pub(crate) mod backpressure;
mod bare_answer;
pub mod compressed;
pub mod cors;
pub mod drain;
mod framing;
pub mod held_bodies;
pub mod middleware;
mod parking;
pub mod production_limit;
pub mod refusal_pause;
pub(crate) mod request_id;
pub mod resource;
pub mod server;
pub(crate) mod slices;
