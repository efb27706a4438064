//! Large response bodies that are made anew for each change or each `since`. A client that does
//! not read keeps the body that it was sent, so many of them would fill the memory. Beyond a total
//! size, the bodies that were not read for the longest time are dropped: their responses are cut
//! off.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use actix_web::body::SizedStream;
use actix_web::web::Bytes;
use futures_util::{Stream, stream};

use crate::telemetry::REFUSALS;

const SLICE: usize = 16 * 1024;
/// Total size of the bodies that are kept besides the newest one, in bytes.
const MOST: usize = 64 * 1024 * 1024;

/// The bodies that are being sent.
#[derive(Clone, Default)]
pub struct HeldBodies(Arc<Held>);

#[derive(Default)]
struct Held {
    bodies: Mutex<Vec<Weak<Body>>>,
    /// Number of slices that were sent so far.
    slices: AtomicU64,
}

struct Body {
    /// Empty once it is dropped.
    bytes: Mutex<Option<Arc<[u8]>>>,
    /// Number of its last slice.
    last_slice: AtomicU64,
}

impl Body {
    fn bytes(&self) -> Option<Arc<[u8]>> {
        lock(&self.bytes).clone()
    }

    fn is_of(&self, bytes: &Arc<[u8]>) -> bool {
        lock(&self.bytes).as_ref().is_some_and(|own| Arc::ptr_eq(own, bytes))
    }
}

impl Held {
    fn note_slice_of(&self, body: &Body) {
        let number = self.slices.fetch_add(1, Ordering::Relaxed);
        body.last_slice.store(number, Ordering::Relaxed);
    }

    /// Returns the body of these bytes. Drops others beyond [`MOST`].
    fn admit(&self, bytes: &Arc<[u8]>) -> Arc<Body> {
        let mut bodies = lock(&self.bodies);
        let mut others: Vec<Arc<Body>> = bodies.iter().filter_map(Weak::upgrade).collect();
        let known = others.iter().find(|body| body.is_of(bytes)).cloned();
        let body = known.unwrap_or_else(|| {
            let bytes = Mutex::new(Some(Arc::clone(bytes)));
            Arc::new(Body { bytes, last_slice: AtomicU64::new(0) })
        });
        self.note_slice_of(&body);
        others.retain(|other| !Arc::ptr_eq(other, &body));
        // Read once each: slices are sent meanwhile, and a sort needs keys that stay.
        others.sort_by_cached_key(|other| other.last_slice.load(Ordering::Relaxed));
        let mut size = 0;
        for other in others.iter().rev() {
            let mut bytes = lock(&other.bytes);
            // What the list itself still keeps takes no further memory here.
            let Some(held) = bytes.as_ref().filter(|held| Arc::strong_count(held) == 1) else {
                continue;
            };
            size += held.len();
            if size > MOST {
                *bytes = None;
                tracing::warn!(target: REFUSALS, "a list that its clients did not read was cut off");
            }
        }
        *bodies = others.iter().chain([&body]).map(Arc::downgrade).collect();
        body
    }
}

impl HeldBodies {
    /// Returns a response body of these bytes.
    pub fn body_of(
        &self,
        bytes: &Arc<[u8]>,
    ) -> SizedStream<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        SizedStream::new(size, stream::iter(self.slices_of(bytes)))
    }

    fn slices_of(&self, bytes: &Arc<[u8]>) -> impl Iterator<Item = io::Result<Bytes>> + use<> {
        let (held, body, size) = (Arc::clone(&self.0), self.0.admit(bytes), bytes.len());
        let mut sent = 0;
        std::iter::from_fn(move || {
            if sent == size {
                return None;
            }
            let Some(bytes) = body.bytes() else {
                return Some(Err(io::Error::other("a body that is not read was dropped")));
            };
            let slice = &bytes[sent..size.min(sent + SLICE)];
            sent += slice.len();
            held.note_slice_of(&body);
            // A copy: a part of the bytes themselves would keep all of them.
            Some(Ok(Bytes::copy_from_slice(slice)))
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_not_read_are_dropped_first() {
        let (held, size) = (HeldBodies::default(), MOST / 2 - SLICE);
        let send = || {
            let bytes: Arc<[u8]> = vec![7; size].into();
            (Arc::downgrade(&bytes), held.slices_of(&bytes))
        };
        let ((first, mut read), (second, slices)) = (send(), send());
        let (mut all, mut unread) = (vec![first, second], vec![slices]);
        for _ in 2..5 {
            assert_eq!(read.next().unwrap().unwrap().len(), SLICE);
            let (bytes, slices) = send();
            all.push(bytes);
            unread.push(slices);
        }
        // The body that is read is kept, and so are the newest one and the one before it.
        let is_kept = [true, false, false, true, true];
        for (bytes, is_kept) in all.iter().zip(is_kept) {
            assert_eq!(bytes.upgrade().is_some(), is_kept);
        }
        for (slices, is_kept) in unread.iter_mut().zip(&is_kept[1..]) {
            assert_eq!(slices.next().unwrap().is_ok(), *is_kept);
        }
        let rest: usize = read.map(|slice| slice.unwrap().len()).sum();
        assert_eq!(rest, size - 3 * SLICE);
    }

    #[test]
    fn bytes_that_are_kept_elsewhere_are_not_dropped() {
        let held = HeldBodies::default();
        let kept: Vec<Arc<[u8]>> = (0..3).map(|_| vec![7; MOST / 2 + SLICE].into()).collect();
        for mut slices in kept.iter().map(|bytes| held.slices_of(bytes)).collect::<Vec<_>>() {
            assert!(slices.next().unwrap().is_ok());
        }
    }

    #[test]
    fn clients_that_get_the_same_bytes_share_a_body() {
        let (held, bytes) = (HeldBodies::default(), Arc::<[u8]>::from(vec![7; SLICE + 1]));
        let (one, other) = (held.slices_of(&bytes), held.slices_of(&bytes));
        assert_eq!(Arc::strong_count(&bytes), 2);
        for slices in [one, other] {
            assert_eq!(slices.count(), 2);
        }
        assert_eq!(Arc::strong_count(&bytes), 1);
    }
}
