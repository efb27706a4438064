//! References of `benches/check/run`: bare routes of actix-web, and one password hash.
//!
//! `references serve VERIFY FORWARD` prints its address and serves; `references hash COST COUNT`
//! prints the seconds of each hash.

#![allow(missing_docs, reason = "a program of its own")]
#![allow(clippy::unwrap_used, reason = "a surprise ends the benchmark")]

use std::net::TcpListener;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};

/// The bytes that actix-web puts before a body of JSON.
const VERIFY_HEAD: usize = 109;
/// The bytes of an answer without a body that has one header without a value.
const FORWARD_HEAD: usize = 80;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", verify, forward] => serve(verify.parse().unwrap(), forward.parse().unwrap()),
        ["hash", cost, count] => hash(cost.parse().unwrap(), count.parse().unwrap()),
        // `cargo bench` runs all benchmarks.
        _ => println!("nothing is measured here: run benches/check/run"),
    }
}

/// Serves answers of these sizes, head and body, the second one without a body.
fn serve(verify: usize, forward: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("serving on http://{}", listener.local_addr().unwrap());
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

fn hash(cost: u32, count: usize) {
    for _ in 0..count {
        let began = Instant::now();
        bcrypt::hash_with_salt("plum tree at dusk", cost, [7; 16]).unwrap();
        println!("{}", began.elapsed().as_secs_f64());
    }
}
