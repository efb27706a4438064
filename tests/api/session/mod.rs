//! Sessions: log-in, refresh, log-out, cookies, and what ends them on every instance.

mod cookies;
mod instances;
mod log_in;
mod races;
mod refresh;
mod replaced_tokens;
mod rights;
mod sessions;
mod several_instances;
mod stolen_session_races;
mod transport;
