//! Metrics in the text format of Prometheus. Counting is a few atomic additions: requests that are
//! served from memory take no lock here.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use actix_web::http::StatusCode;

use self::text::Text;
use super::code::Code;
use crate::flows::{Backlog, Gauges};
use crate::telemetry;

mod gauges;
mod text;

/// Upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// The statuses with their own counters.
const STATUSES: [u16; 21] = [
    200, 201, 202, 204, 304, 308, 400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 422, 429, 431,
    500, 503,
];
/// Label of requests without a documented endpoint, and of all other statuses.
const OTHER: &str = "other";

/// Method and path of an operation.
pub type Name = (String, String);

/// The counters of one instance.
pub struct Metrics {
    endpoints: Vec<(Name, Endpoint)>,
    other: Endpoint,
    errors: Vec<AtomicU64>,
    ignored_forwarded_for: AtomicU64,
}

#[derive(Default)]
struct Endpoint {
    statuses: [AtomicU64; STATUSES.len()],
    other_statuses: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
}

impl Metrics {
    /// Returns counters for each of `operations`, which are identified by their index in the list.
    pub fn new(operations: impl Iterator<Item = Name>) -> Self {
        Self {
            endpoints: operations.map(|name| (name, Endpoint::default())).collect(),
            other: Endpoint::default(),
            errors: Code::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            ignored_forwarded_for: AtomicU64::new(0),
        }
    }

    /// Counts a request.
    pub fn count(
        &self,
        operation: Option<usize>,
        status: StatusCode,
        code: Option<Code>,
        took: Duration,
    ) {
        let endpoint = operation.and_then(|at| self.endpoints.get(at));
        let endpoint = endpoint.map_or(&self.other, |(_, endpoint)| endpoint);
        endpoint.of_status(status).fetch_add(1, Relaxed);
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            endpoint.buckets[bucket].fetch_add(1, Relaxed);
        }
        endpoint.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(0), Relaxed);
        if let Some(at) = code.and_then(|code| Code::ALL.iter().position(|it| *it == code)) {
            self.errors[at].fetch_add(1, Relaxed);
        }
    }

    /// Counts a request whose forwarding header was ignored.
    pub fn count_ignored_forwarded_for(&self) {
        self.ignored_forwarded_for.fetch_add(1, Relaxed);
    }

    /// Returns all metrics in the text format of Prometheus.
    ///
    /// Without `backlog`, which needs the database, its lines are left out.
    pub fn text(&self, gauges: &Gauges, backlog: Option<Backlog>) -> String {
        let mut text = Text::default();
        text.head("hallpass_info", "gauge", "The running version.");
        text.line("hallpass_info", &format!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1);
        let help = "Lines that could not be logged: the output was full, closed or too slow.";
        text.single(
            "hallpass_log_lines_dropped_total",
            "counter",
            help,
            telemetry::dropped_lines(),
        );
        let help = "Repeated lines that were left out of the log.";
        text.single(
            "hallpass_log_lines_left_out_total",
            "counter",
            help,
            telemetry::left_out_lines(),
        );
        self.write_requests(&mut text);
        self.write_errors(&mut text);
        gauges::write(&mut text, gauges);
        if let Some(backlog) = backlog {
            gauges::write_backlog(&mut text, backlog);
        }
        if let Some(process) = telemetry::process_use() {
            gauges::write_process(&mut text, process);
        }
        let help = "Requests whose X-Forwarded-For, Forwarded or X-Real-IP was ignored.";
        let ignored = self.ignored_forwarded_for.load(Relaxed);
        text.single("hallpass_forwarded_for_ignored_total", "counter", help, ignored);
        text.into_string()
    }

    fn write_errors(&self, text: &mut Text) {
        text.head("hallpass_errors_total", "counter", "Refusals by their code.");
        for (code, count) in Code::ALL.iter().zip(&self.errors) {
            let label = format!("code=\"{}\"", code.name());
            text.line("hallpass_errors_total", &label, count.load(Relaxed));
        }
    }

    fn write_requests(&self, text: &mut Text) {
        let documented = self
            .endpoints
            .iter()
            .map(|((method, path), endpoint)| ((method.as_str(), path.as_str()), endpoint));
        let endpoints = || documented.clone().chain([((OTHER, OTHER), &self.other)]);
        let requests = "hallpass_http_requests_total";
        text.head(requests, "counter", "Requests by endpoint and status.");
        for ((method, path), endpoint) in endpoints() {
            for (status, count) in endpoint.by_status() {
                if count > 0 {
                    let labels = format!("method=\"{method}\",path=\"{path}\",status=\"{status}\"");
                    text.line(requests, &labels, count);
                }
            }
        }
        let durations = "hallpass_http_request_duration_seconds";
        text.head(durations, "histogram", "Time to the answer, by endpoint.");
        for ((method, path), endpoint) in endpoints() {
            let total: u64 = endpoint.by_status().map(|(_, count)| count).sum();
            if total > 0 {
                let labels = format!("method=\"{method}\",path=\"{path}\"");
                endpoint.write_durations(text, durations, &labels, total);
            }
        }
    }
}

impl Endpoint {
    fn of_status(&self, status: StatusCode) -> &AtomicU64 {
        let at = STATUSES.iter().position(|known| *known == status.as_u16());
        at.map_or(&self.other_statuses, |at| &self.statuses[at])
    }

    /// Returns the number of responses by status.
    fn by_status(&self) -> impl Iterator<Item = (String, u64)> {
        let known = STATUSES.iter().map(u16::to_string).zip(&self.statuses);
        let all = known.chain([(OTHER.to_owned(), &self.other_statuses)]);
        all.map(|(status, count)| (status, count.load(Relaxed)))
    }

    fn write_durations(&self, text: &mut Text, name: &str, labels: &str, total: u64) {
        let mut below = 0;
        let (bucket, sum, count) =
            (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
        for (bound, count) in BUCKETS.iter().zip(&self.buckets) {
            below += count.load(Relaxed);
            text.line(&bucket, &format!("{labels},le=\"{bound}\""), below);
        }
        text.line(&bucket, &format!("{labels},le=\"+Inf\""), total);
        let micros = Duration::from_micros(self.micros.load(Relaxed));
        text.line(&sum, labels, micros.as_secs_f64());
        text.line(&count, labels, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_adds_up() {
        let name = ("GET".to_owned(), "/healthz".to_owned());
        let metrics = Metrics::new(std::iter::once(name));
        let health = Some(0);
        for millis in [1, 3, 700, 9000] {
            metrics.count(health, StatusCode::OK, None, Duration::from_millis(millis));
        }
        let took = Duration::ZERO;
        metrics.count(health, StatusCode::IM_A_TEAPOT, Some(Code::RateLimited), took);
        let mut text = Text::default();
        metrics.write_requests(&mut text);
        metrics.write_errors(&mut text);
        let text = text.into_string();
        for line in [
            r#"hallpass_http_requests_total{method="GET",path="/healthz",status="200"} 4"#,
            r#"hallpass_http_requests_total{method="GET",path="/healthz",status="other"} 1"#,
            r#"hallpass_http_request_duration_seconds_bucket{method="GET",path="/healthz",le="0.005"} 3"#,
            r#"hallpass_http_request_duration_seconds_bucket{method="GET",path="/healthz",le="+Inf"} 5"#,
            r#"hallpass_http_request_duration_seconds_sum{method="GET",path="/healthz"} 9.704"#,
            r#"hallpass_errors_total{code="rate_limited"} 1"#,
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
    }
}
