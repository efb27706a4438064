//! The databases themselves: URLs, connections, the writer, migrations, health, backup.

pub(crate) mod backup;
pub(crate) mod cached;
pub(crate) mod certificates;
pub(crate) mod combiner;
pub(crate) mod connection;
pub(crate) mod health;
pub(crate) mod locks;
pub(crate) mod migrate;
pub(crate) mod migrations;
pub(crate) mod objects;
pub(crate) mod pool;
pub(crate) mod privileges;
pub(crate) mod probe;
mod sqlite_file;
pub(crate) mod suitable;
pub(crate) mod transaction;
pub(crate) mod url;
pub(crate) mod wake_up;
pub(crate) mod writer;
