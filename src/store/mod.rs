//! The only module that knows Diesel. One connection type over SQLite and Postgres, one file per
//! table family. Functions are named by their effect (`find_`, `insert_`, `consume_`, `end_`), take
//! `now` as an argument and make no decisions about their results.

mod db;
mod engine;
mod error;
mod page;
mod schema;

pub mod api_keys;
pub mod challenges;
pub mod copy;
pub mod django_source;
pub mod events;
pub mod identities;
pub mod import;
pub mod jobs;
pub mod limits;
pub mod outbox;
pub mod sessions;
pub mod signing_keys;
pub mod social_flows;
pub mod users;

pub use db::write::WriteKind;
pub use db::{Db, PoolSettings, PoolUse};
pub use engine::backup::{BackupError, backup};
pub use engine::connection::{Conn, PREPARED_BEHIND_A_POOLER, PreparedStatements};
pub use engine::migrate::{pending, run as migrate};
pub use engine::pool::is_pooled;
pub use engine::url::{DatabaseUrl, hosts, without_port};
pub use error::{Error, Result, Unique};
pub use page::Page;
