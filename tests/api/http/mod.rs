//! HTTP: headers, CORS, origins, strange requests, metrics.

mod cors;
mod development;
mod edge;
mod injection;
mod metrics;
mod origins;
mod panics;
mod parking;
mod request_ids;
pub mod security_headers;
mod surface;
mod wire;
