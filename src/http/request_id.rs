//! Every request has an id: in the answer's `X-Request-Id`, in its errors, in the log.

use std::future::Future;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers; empty outside one.
pub fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Runs `work` as part of the request `id`.
pub async fn scope<F: Future>(id: String, work: F) -> F::Output {
    CURRENT.scope(id, work).await
}

/// The same for what needs no waiting.
pub fn scope_sync<T>(id: String, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(id, work)
}
