//! Endpoints for operators: health, metrics, configuration, the OpenAPI document.

pub mod config;
pub mod healthz;
pub mod metrics;
pub mod openapi_3_0_json;
pub mod openapi_json;
pub mod readyz;
