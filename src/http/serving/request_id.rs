//! Request ids: in the response header `X-Request-Id`, in errors, in the log. A trusted proxy may
//! send the id, and the trace of the request (W3C Trace Context).

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};

use actix_web::http::header::{HeaderMap, HeaderName};
use uuid::Builder;

/// The header of the id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Maximum length of an id from a proxy.
const MAX_LENGTH: usize = 128;

tokio::task_local! {
    static CURRENT: RequestIds;
}

/// The ids of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestIds {
    /// The id of the request.
    pub request_id: String,
    /// The id of its trace.
    pub trace_id: Option<String>,
}

impl RequestIds {
    /// Returns a new id without a trace, in the form of a `UUIDv4`. An id is no secret: hashes under
    /// the random key of the thread, which std counts up, need one system call for each thread.
    pub fn random() -> Self {
        let [high, low] = [0, 1].map(|half| u128::from(RandomState::new().hash_one(half)));
        let id = Builder::from_random_bytes((high << 64 | low).to_be_bytes());
        Self { request_id: id.into_uuid().to_string(), trace_id: None }
    }

    /// Parses the ids that a trusted proxy sent. Malformed or repeated ones are ignored.
    pub fn of_proxy(headers: &HeaderMap) -> Self {
        let only = |name: &HeaderName| {
            let mut values = headers.get_all(name);
            let value = values.next().filter(|_| values.next().is_none());
            value.and_then(|value| value.to_str().ok())
        };
        let trace_id = only(&TRACEPARENT).and_then(trace_id).map(str::to_owned);
        match only(&X_REQUEST_ID).filter(|id| is_request_id(id)) {
            Some(id) => Self { request_id: id.to_owned(), trace_id },
            None => Self { trace_id, ..Self::random() },
        }
    }
}

/// Returns whether an id has only letters, digits and signs that need no quotes in a log line:
/// UUIDs, hexadecimal digits, and the ids of common proxies (`1-67891233-abcdef`,
/// `Root=1-67891233-abcdef`).
fn is_request_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/@".contains(&byte);
    (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(is_allowed)
}

/// Returns the `trace-id` of a `traceparent` (W3C Trace Context, section 3.2). Later versions may
/// append fields.
fn trace_id(traceparent: &str) -> Option<&str> {
    let is_hex = |text: &str, length: usize| {
        text.len() == length
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_id = |text: &str, length| is_hex(text, length) && text.bytes().any(|byte| byte != b'0');
    let mut parts = traceparent.split('-');
    let (version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = parts.next()?;
    let is_whole = version != "00" || parts.next().is_none();
    let is_valid = is_hex(version, 2)
        && version != "ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && is_hex(flags, 2)
        && is_whole
        && traceparent.len() <= MAX_LENGTH;
    is_valid.then_some(trace)
}

/// Returns the ids of the request that this task handles; empty outside of requests.
pub fn current() -> RequestIds {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Runs `work` as part of the request `ids`.
pub async fn scope<F: Future>(ids: RequestIds, work: F) -> F::Output {
    CURRENT.scope(ids, work).await
}

/// Runs synchronous work in the same way.
pub fn scope_sync<T>(ids: RequestIds, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(ids, work)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn random_ids_of_all_threads_differ() {
        let many = || (0..10_000).map(|_| RequestIds::random().request_id).collect::<Vec<_>>();
        let threads = [(); 4].map(|()| std::thread::spawn(many));
        let ids: Vec<String> = threads.into_iter().flat_map(|it| it.join().unwrap()).collect();
        let different: HashSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), 40_000);
        let is_version_4 = |id: &String| Uuid::parse_str(id).unwrap().get_version_num() == 4;
        assert!(ids.iter().all(is_version_4));
    }

    #[test]
    fn a_traceparent_is_whole_or_ignored() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (header, expected) in [
            (format!("00-{trace}-b7ad6b7169203331-01"), true),
            (format!("01-{trace}-b7ad6b7169203331-01"), true),
            (format!("01-{trace}-b7ad6b7169203331-01-more"), true),
            (format!("00-{trace}-b7ad6b7169203331-01-more"), false),
            (format!("ff-{trace}-b7ad6b7169203331-01"), false),
            (format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()), false),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{trace}-b7ad6b7169203331"), false),
            (format!("00-{trace}-b7ad6b716920333-01"), false),
            (format!("0-{trace}-b7ad6b7169203331-01"), false),
            (format!("01-{trace}-b7ad6b7169203331-01-{}", "x".repeat(200)), false),
            (String::new(), false),
        ] {
            assert_eq!(trace_id(&header), expected.then_some(trace), "{header}");
        }
    }

    #[test]
    fn an_id_of_a_proxy_is_short_and_needs_no_quotes() {
        for (id, expected) in [
            ("018f0c3e-5a5b-7c3d-8e9f-0123456789ab", true),
            ("Root=1-67891233-abcdef012345678912345678", true),
            ("a", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a\\nb", false),
            ("<script>", false),
            ("\u{e9}", false),
        ] {
            assert_eq!(is_request_id(id), expected, "{id}");
        }
        assert!(is_request_id(&"a".repeat(128)) && !is_request_id(&"a".repeat(129)));
    }
}
