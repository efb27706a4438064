//! Commands that read or write whole databases: back-ups, copies, exports and imports.

mod backup;
mod copy_database;
mod copy_refusals;
pub mod exports;
mod import_django;
mod import_models;
