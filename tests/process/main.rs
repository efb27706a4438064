//! The binary as its users meet it: a process with an environment, files, signals, a database and a
//! mail server that come and go.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]

#[path = "../support/enough.rs"]
mod enough;
#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/pgbouncer.rs"]
mod pgbouncer;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/scripted_smtp.rs"]
mod scripted_smtp;
#[path = "../support/smtp.rs"]
mod smtp;

mod api;
mod both;
mod copying;
mod database;
mod django_site;
mod letters;
mod service;
mod sql;
mod waiting;

mod backup;
mod cold_start;
mod commands;
mod copy_database;
mod copy_refusals;
mod doctor;
mod exports;
mod faults;
mod import_django;
mod import_models;
mod keys;
mod log_failures;
mod log_lines;
mod logs;
mod mail_delivery;
mod pooler;
mod settings;
mod side_by_side;
mod start;
