//! The header with the refusal of production, if limits are only reported.

use std::future::Future;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::flows::{LimitReport, Unenforced};
use crate::http::code::Code;

/// The header: `429 rate_limited; retry_after=60; setting=HALLPASS_LIMIT_NETWORK`.
pub const X_PRODUCTION_LIMIT: HeaderName = HeaderName::from_static("x-production-limit");

tokio::task_local! {
    static CURRENT: LimitReport;
}

/// Returns the report of the request that this task handles; outside of requests, one that records
/// nothing.
pub fn current() -> LimitReport {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Runs `work` with the report of its request.
pub async fn scope<F: Future>(report: LimitReport, work: F) -> F::Output {
    CURRENT.scope(report, work).await
}

/// Adds the header to a response, if there was a refusal.
pub fn add_to(headers: &mut HeaderMap, report: &LimitReport) {
    let value = report.first().and_then(|it| HeaderValue::from_str(&text_of(it)).ok());
    if let Some(value) = value {
        headers.insert(X_PRODUCTION_LIMIT, value);
    }
}

fn text_of(Unenforced { counted, wait }: Unenforced) -> String {
    let code = if wait.is_some() { Code::RateLimited } else { Code::ProofRequired };
    let wait = wait.map(|wait| format!("; retry_after={}", wait.as_secs().max(1)));
    let setting = counted.setting().map(|setting| format!("; setting={setting}"));
    let (status, code) = (code.status().as_u16(), code.name());
    format!("{status} {code}{}{}", wait.unwrap_or_default(), setting.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Counted;

    #[test]
    fn the_header_has_status_code_wait_and_setting() {
        let text = |counted, wait: Option<u64>| {
            text_of(Unenforced { counted, wait: wait.map(Duration::from_secs) })
        };
        assert_eq!(
            text(Counted::AttemptsOfNetwork, Some(60)),
            "429 rate_limited; retry_after=60; setting=HALLPASS_LIMIT_NETWORK"
        );
        assert_eq!(text(Counted::ExportsOfUser, Some(0)), "429 rate_limited; retry_after=1");
        assert_eq!(
            text(Counted::ConsecutiveFailedLogins, None),
            "403 proof_required; setting=HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE"
        );
    }
}
