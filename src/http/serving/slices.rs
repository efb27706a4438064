//! Large responses in slices: a client that does not read keeps a few of them in memory, not the
//! whole.

use std::convert::Infallible;

use actix_web::body::SizedStream;
use actix_web::web::Bytes;
use futures_util::{Stream, stream};

const SLICE: usize = 16 * 1024;

/// Returns a body of these bytes.
pub fn of(mut bytes: Bytes) -> SizedStream<impl Stream<Item = Result<Bytes, Infallible>>> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let slices = std::iter::from_fn(move || {
        let slice = bytes.split_to(bytes.len().min(SLICE));
        (!slice.is_empty()).then_some(Ok(slice))
    });
    SizedStream::new(size, stream::iter(slices))
}
