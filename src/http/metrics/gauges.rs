//! Gauges, read when the metrics are requested.

use std::time::Duration;

use super::text::Text;
use crate::flows::{Backlog, Gauges};
use crate::telemetry::ProcessUse;

/// Writes the gauges of this instance.
pub(super) fn write(text: &mut Text, gauges: &Gauges) {
    let help = "1 while the database answers, else 0.";
    text.single("hallpass_database_up", "gauge", help, u8::from(gauges.database_is_up));
    if let Some(can_write) = gauges.can_write {
        let help = "1 if the database takes writes, 0 if it is read-only or its disk is full.";
        text.single("hallpass_database_writable", "gauge", help, u8::from(can_write));
    }
    if let Some(micros) = gauges.clock_difference {
        let name = "hallpass_database_clock_difference_seconds";
        let seconds = Duration::from_micros(micros.unsigned_abs()).as_secs_f64();
        let help = "The clock of the database minus that of this instance.";
        text.single(name, "gauge", help, if micros < 0 { -seconds } else { seconds });
    }
    let age = gauges.revocations_age.as_secs_f64();
    let help = "How long ago the ended sessions were read from the database.";
    text.single("hallpass_revocations_age_seconds", "gauge", help, age);
    write_pool(text, gauges);
    write_hashes(text, gauges);
    let (name, help) = ("hallpass_log_ins_total", "Log-ins by outcome.");
    text.by_label(name, "counter", help, ("outcome", &gauges.log_ins));
    let (name, help) = ("hallpass_mail_attempts_total", "Attempts to send a mail by outcome.");
    text.by_label(name, "counter", help, ("outcome", &gauges.mails));
    write_smtp(text, gauges);
    write_keys(text, gauges);
}

fn write_smtp(text: &mut Text, gauges: &Gauges) {
    let Some(smtp) = gauges.smtp else { return };
    let help = "Connections to the mail server.";
    text.single("hallpass_smtp_connections", "gauge", help, smtp.open);
    let help = "Connections that the mail server admits at a time, as far as it has shown.";
    text.single("hallpass_smtp_admitted_connections", "gauge", help, smtp.admitted);
    let help = "Connections that the mail server did not admit.";
    text.single("hallpass_smtp_connections_refused_total", "counter", help, smtp.refused);
}

fn write_pool(text: &mut Text, gauges: &Gauges) {
    let pool = gauges.pool;
    for (name, help, value) in [
        ("max_connections", "Connections to the database that there may be.", pool.max),
        ("connections", "Connections to the database.", pool.open),
        ("idle_connections", "Idle connections to the database.", pool.idle),
    ] {
        text.single(&format!("hallpass_database_pool_{name}"), "gauge", help, value);
    }
    let help = "Callers that wait for a connection to the database.";
    text.single("hallpass_database_pool_waiting", "gauge", help, pool.waiting);
}

fn write_hashes(text: &mut Text, gauges: &Gauges) {
    let hashes = gauges.hashes;
    let help = "Passwords that wait to be hashed, by lane.";
    let lanes = [("known_device", hashes.known_devices), ("network", hashes.networks)];
    text.by_label("hallpass_hash_queue_jobs", "gauge", help, ("lane", &lanes));
    let help = "Passwords that are being hashed.";
    text.single("hallpass_hashes_running", "gauge", help, hashes.running);
    let help = "Passwords that were not hashed because the queue was full.";
    text.single("hallpass_hashes_refused_total", "counter", help, hashes.refused);
    let name = "hallpass_hash_wait_seconds";
    text.head(name, "summary", "The time that passwords waited to be hashed.");
    text.value(&format!("{name}_sum"), hashes.waited.as_secs_f64());
    text.value(&format!("{name}_count"), hashes.begun);
}

fn write_keys(text: &mut Text, gauges: &Gauges) {
    let name = "hallpass_signing_keys";
    let states = ["next", "active", "retiring", "expired"]
        .map(|state| (state, gauges.keys.iter().filter(|key| key.state.name() == state).count()));
    text.by_label(name, "gauge", "Signing keys by state.", ("state", &states));
    let name = "hallpass_signing_key_age_seconds";
    text.head(name, "gauge", "The time since a signing key was made.");
    for key in &gauges.keys {
        let Some(age) = key.age else { continue };
        let (kid, algorithm, state) = (&key.kid, key.algorithm, key.state.name());
        let labels = format!("kid=\"{kid}\",algorithm=\"{algorithm}\",state=\"{state}\"");
        text.line(name, &labels, age.as_secs_f64());
    }
}

/// Writes the gauges of the mail queue, which need the database.
pub(super) fn write_backlog(text: &mut Text, backlog: Backlog) {
    let Backlog { mails_waiting, mails_failed, oldest_mail_age } = backlog;
    text.single("hallpass_mails_waiting", "gauge", "Mails that wait to be sent.", mails_waiting);
    text.single("hallpass_mails_dead", "gauge", "Mails that failed.", mails_failed);
    let help = "The age of the oldest mail that waits; 0 without one.";
    let age = oldest_mail_age.as_secs_f64();
    text.single("hallpass_mails_oldest_waiting_seconds", "gauge", help, age);
}

/// Writes the gauges of the process, under the names of Prometheus' client libraries.
pub(super) fn write_process(text: &mut Text, process: ProcessUse) {
    let help = "Total user and system CPU time spent in seconds.";
    text.single("process_cpu_seconds_total", "counter", help, process.cpu.as_secs_f64());
    for (name, help, value) in [
        ("resident_memory_bytes", "Resident memory size in bytes.", process.resident_memory),
        ("virtual_memory_bytes", "Virtual memory size in bytes.", process.virtual_memory),
        ("open_fds", "Number of open file descriptors.", process.open_files),
        ("threads", "Number of OS threads in the process.", process.threads),
    ] {
        text.single(&format!("process_{name}"), "gauge", help, value);
    }
    if let Some(max) = process.max_files {
        let help = "Maximum number of open file descriptors.";
        text.single("process_max_fds", "gauge", help, max);
    }
    let help = "Start time of the process since unix epoch in seconds.";
    let started = process.started.as_secs_f64();
    text.single("process_start_time_seconds", "gauge", help, started);
}
