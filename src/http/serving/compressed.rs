//! A fixed JSON response, compressed once for the clients that accept it.

use std::io::Write as _;

use actix_web::http::header::{AcceptEncoding, CONTENT_ENCODING, Encoding, Header as _, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::http::serving::slices;

/// A JSON text, plain and compressed by gzip.
pub struct Compressed {
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl Compressed {
    /// Compresses `text`.
    pub fn new(text: String) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
        Self { plain: text.into(), gzip: gzip.ok().map(Bytes::from) }
    }

    /// Returns the response, compressed if the client accepts that.
    pub fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.content_type("application/json").insert_header((VARY, "Accept-Encoding"));
        match &self.gzip {
            Some(gzip) if accepts_gzip(request) => {
                response.insert_header((CONTENT_ENCODING, "gzip"));
                response.body(slices::of(gzip.clone()))
            }
            _ => response.body(slices::of(self.plain.clone())),
        }
    }
}

fn accepts_gzip(request: &HttpRequest) -> bool {
    let chosen = AcceptEncoding::parse(request)
        .ok()
        .and_then(|it| it.negotiate([Encoding::gzip(), Encoding::identity()].iter()));
    chosen == Some(Encoding::gzip())
}
