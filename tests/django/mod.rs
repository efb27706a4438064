//! The Django REST adapter, over HTTP on a real port: against the recording of the real stack, and
//! where that stack has nothing to say.

mod corpus;
mod own_rules;
mod replay;
mod service;
mod tokens;
mod wire;
