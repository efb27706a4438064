//! Parsing of bodies, headers and fields as by Django and Python.

pub mod charset;
pub mod fields;
pub mod form;
pub mod header;
pub mod json;
pub mod value;
