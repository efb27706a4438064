//! `hallpass backup`

use std::path::PathBuf;

use super::{Outcome, print};
use crate::config::Config;
use crate::store::{self, DatabaseUrl};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The file to make. It must not exist.
    file: PathBuf,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Outcome {
    let DatabaseUrl::Sqlite(path) = &config.database else {
        return Err("`backup` is for SQLite; back up Postgres with pg_dump".to_owned());
    };
    let file = &arguments.file;
    store::backup(path, file).map_err(|error| format!("no backup was made: {error}"))?;
    let length = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    print(&format!("{}: {length} bytes\n", file.display()))
}
