//! The binary as its users meet it: a process with an environment, files, signals, a database and a
//! mail server that come and go.

pub mod both;
pub mod copying;
pub mod database;
pub mod django_site;
pub mod letters;
pub mod sql;
pub mod waiting;

mod backup;
mod cold_start;
mod commands;
mod copy_database;
mod copy_refusals;
mod doctor;
mod equal_work;
mod exports;
mod faults;
mod flushes;
mod import_django;
mod import_models;
mod keys;
mod log_failures;
mod log_lines;
mod logs;
mod long_answers;
mod mail_delivery;
mod memory;
mod pooler;
mod postfix;
mod round_trips;
mod settings;
mod side_by_side;
mod start;
mod users;
