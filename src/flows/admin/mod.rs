//! Administration of accounts by staff, services and operators.

pub(crate) mod api_keys;
pub(crate) mod create_superuser;
pub(crate) mod create_user;
pub(crate) mod operator;
pub(crate) mod users;
