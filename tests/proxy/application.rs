//! The application behind the proxy: answers everything with 200 and notes what it was asked.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpServer, rt, web};

/// A request that got through.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Arrived {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value
    }

    /// Returns every header that a framework could take for one of `X-Auth-*`, by its letters
    /// alone.
    pub fn identity(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        for (name, value) in &self.headers {
            let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            if letters.starts_with("xauth") {
                found.push((letters, value.as_str()));
            }
        }
        found.sort();
        found
    }
}

/// The running application.
pub struct Application {
    pub address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    server: ServerHandle,
}

impl Application {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let notes = web::Data::from(Arc::clone(&arrived));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            rt::System::new().block_on(async move {
                let app = move || {
                    App::new()
                        .app_data(notes.clone())
                        .app_data(web::PayloadConfig::new(16 * 1024 * 1024))
                        .default_service(web::to(note))
                };
                let server = HttpServer::new(app).workers(1).disable_signals();
                let server = server.listen(listener).unwrap().run();
                tell.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { address, arrived, server: told.recv().unwrap() }
    }

    /// Returns the requests since the last call.
    pub fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut self.arrived.lock().unwrap())
    }

    /// The one request that arrived since the last look.
    pub fn take_one(&self) -> Arrived {
        let mut arrived = self.take();
        assert_eq!(arrived.len(), 1, "{arrived:?}");
        arrived.remove(0)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // The order is given at once; its thread does the rest.
        drop(self.server.stop(false));
    }
}

async fn note(
    request: HttpRequest,
    body: web::Bytes,
    notes: web::Data<Mutex<Vec<Arrived>>>,
) -> &'static str {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    notes.lock().unwrap().push(Arrived {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect(),
        body: body.to_vec(),
    });
    "the application"
}
