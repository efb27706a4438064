//! The database: the contract of the store, its query plans, purges.

mod jobs;
mod purges;
mod query_plans;
mod store;
