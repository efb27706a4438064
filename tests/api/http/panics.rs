//! Panics in the middle of a request: the response has an id, and the service continues. No request
//! of the API causes a panic, so routes that panic are added here, inside the service's own
//! middleware.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use hallpass::app::build_flows;
use hallpass::clock::SystemClock;
use hallpass::http::blocking::Blocking;
use hallpass::http::browsers::{Browsers, Origins};
use hallpass::http::metrics::Metrics;
use hallpass::http::serving::cors;
use hallpass::http::serving::drain::Draining;
use hallpass::http::serving::held_bodies::HeldBodies;
use hallpass::http::serving::middleware::{Https, catch_panic, surround};
use hallpass::http::serving::refusal_pause::RefusalPause;
use hallpass::http::state::State;

use crate::api::http::security_headers::assert_guarded;
use crate::support::cookies::FRONT_END;
use crate::support::raw::Raw;
use crate::support::{Answer, World};

/// One worker, so that damage by a panic affects every request.
fn with_a_service_that_panics(test: impl FnOnce(SocketAddr)) {
    let world = World::sqlite();
    let flows = Arc::new(build_flows(&world.config(&[]), Arc::new(SystemClock)).unwrap());
    let browsers = Browsers {
        own_origin: String::new(),
        other_origins: Origins::default(),
        headers: Vec::new(),
        same_site: actix_web::cookie::SameSite::Strict,
    };
    let state = web::Data::new(State {
        flows,
        service_name: "Hallpass".to_owned(),
        browsers,
        trusted_proxies: Vec::new(),
        metrics: Arc::new(Metrics::new(std::iter::empty())),
        draining: Draining::default(),
        blocking: Blocking::new(Duration::from_secs(60)),
        revocation_lists: HeldBodies::default(),
        refusal_pause: RefusalPause::new(Duration::ZERO),
        has_ignored_header: AtomicBool::new(false),
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let origins = Origins { named: vec![FRONT_END.to_owned()], loopback: false };
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(state.clone())
                    .app_data(Https(true))
                    .wrap(from_fn(catch_panic))
                    .wrap(cors::allow(&origins, &[]))
                    .wrap(from_fn(surround))
                    .route("/fine", web::get().to(HttpResponse::NoContent))
                    .route("/handler", web::get().to(panics_at_once))
                    .route("/flow", web::get().to(panics_while_waiting))
            });
            let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
            tell.send(server.handle()).unwrap();
            server.await.unwrap();
        });
    });
    let handle = told.recv().unwrap();
    test(address);
    drop(handle.stop(false));
    thread.join().expect("the server lived");
}

async fn panics_at_once() -> HttpResponse {
    panic!("canary in a handler");
}

async fn panics_while_waiting(state: web::Data<State>) -> actix_web::Result<HttpResponse> {
    state.run(|_| -> Result<(), hallpass::flows::Error> { panic!("canary in a flow") }).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn ask(raw: &mut Raw, path: &str) -> Answer {
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nOrigin: {FRONT_END}\r\n\r\n"));
    raw.answer().expect("an answer")
}

#[test]
fn a_panic_is_a_500_that_tells_nothing_and_the_connection_goes_on() {
    with_a_service_that_panics(|address| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut raw = Raw(stream);
        for _ in 0..3 {
            for path in ["/handler", "/flow"] {
                let answer = ask(&mut raw, path).refused(500, "internal_error");
                assert_eq!(answer.header("content-type"), Some("application/problem+json"));
                assert_guarded(&format!("GET {path}"), &answer, true);
                // A page of a front end elsewhere can read it.
                assert_eq!(answer.header("access-control-allow-origin"), Some(FRONT_END));
                assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
                let id = answer.header("x-request-id").expect("an id").to_owned();
                assert_eq!(answer.text("request_id"), id);
                assert!(!answer.shown().contains("canary"), "{}", answer.shown());
                assert_eq!(ask(&mut raw, "/fine").status, 204);
            }
        }
    });
}
