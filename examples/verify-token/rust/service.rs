//! The service itself: returns the claims of its caller.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;

use crate::verifier::{Refusal, Verifier};

/// Serves until the process receives a signal to stop.
pub async fn serve(
    listener: TcpListener,
    issuer: &str,
    audience: Option<&str>,
    max_staleness: Duration,
) -> std::io::Result<()> {
    let verifier =
        Verifier::start(issuer, audience, max_staleness).map_err(std::io::Error::other)?;
    let verifier = web::Data::from(verifier);
    HttpServer::new(move || App::new().app_data(verifier.clone()).default_service(web::to(who)))
        .workers(1)
        .listen(listener)?
        .run()
        .await
}

async fn who(request: HttpRequest, verifier: web::Data<Verifier>) -> HttpResponse {
    let verifier: Arc<Verifier> = verifier.into_inner();
    let Some(token) = bearer(&request) else { return refuse("authentication_required") };
    match verifier.verify(token).await {
        Ok(claims) => {
            HttpResponse::Ok().json(json!({"user_id": claims.user_id, "username": claims.username}))
        }
        Err(Refusal::Refused(code)) => refuse(code),
        Err(Refusal::Unavailable) => HttpResponse::ServiceUnavailable()
            .insert_header((RETRY_AFTER, "1"))
            .json(json!({"code": "unavailable"})),
    }
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn refuse(code: &str) -> HttpResponse {
    // RFC 6750 section 3.1: an error code only where a token was sent.
    let was_sent = code != "authentication_required";
    let challenge = if was_sent { "Bearer error=\"invalid_token\"" } else { "Bearer" };
    HttpResponse::Unauthorized()
        .insert_header((WWW_AUTHENTICATE, challenge))
        .json(json!({"code": code}))
}
