//! The bare routes: actix-web, a body read, an answer of a given size, and nothing else.

use std::net::TcpListener;

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};

/// The argument by which this program serves the bare routes.
pub const ARGUMENT: &str = "--serve-bare";

/// The bytes that actix-web puts before a body of JSON.
const VERIFY_HEAD: usize = 109;
/// The bytes of an answer without a body that has one header without a value.
const FORWARD_HEAD: usize = 80;

/// Serves answers of the sizes that `words` say, head and body, the second one without a body.
pub fn serve(mut words: impl Iterator<Item = String>) {
    let mut size = || words.next().unwrap().parse::<usize>().unwrap();
    let (verify, forward) = (size(), size());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        App::new()
            .route(
                "/v1/token-verify",
                web::post().to(move |body: web::Bytes| async move {
                    assert!(!body.is_empty());
                    let json = "x".repeat(verify.saturating_sub(VERIFY_HEAD));
                    HttpResponse::Ok().content_type("application/json").body(json)
                }),
            )
            .route(
                "/v1/forward-auth",
                web::get().to(move || async move {
                    let mut answer = HttpResponse::build(StatusCode::OK);
                    answer
                        .insert_header(("x", "x".repeat(forward.saturating_sub(FORWARD_HEAD))))
                        .finish()
                }),
            )
    });
    let server = server.workers(std::thread::available_parallelism().map_or(1, usize::from));
    actix_web::rt::System::new().block_on(server.listen(listener).unwrap().run()).unwrap();
}
