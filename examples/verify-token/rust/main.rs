//! A service that authenticates its callers. In this repository:
//!
//! ```console
//! HALLPASS_PUBLIC_URL=http://127.0.0.1:8000 PORT=3000 cargo run --example verify-token
//! ```
//!
//! Elsewhere `verifier.rs` needs `arc-swap`, `jsonwebtoken` (with `aws_lc_rs` or `rust_crypto`),
//! `reqwest` (with `json` and a TLS backend), `serde` (with `derive`) and `tokio`.

mod service;
mod verifier;

use std::net::TcpListener;
use std::time::Duration;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let setting = |name: &str, default: &str| {
        std::env::var_os(name)
            .and_then(|value| value.into_string().ok())
            .unwrap_or_else(|| default.to_owned())
    };
    let issuer = setting("HALLPASS_PUBLIC_URL", "http://127.0.0.1:8000");
    let audience = setting("AUDIENCE", &issuer);
    let listener = TcpListener::bind(format!("127.0.0.1:{}", setting("PORT", "3000")))?;
    println!("listening on {}", listener.local_addr()?.port());
    service::serve(listener, &issuer, Some(&audience), Duration::from_secs(30)).await
}
