//! The binary as its users meet it: a process with an environment, files, signals, a database and a
//! mail server that come and go.

pub mod support;

mod cold_start;
mod commands;
mod data;
mod doctor;
mod faults;
mod keys;
mod logs;
mod long_answers;
mod mail;
mod memory;
mod settings;
mod side_by_side;
mod start;
mod statements;
mod users;
mod weak_files;
