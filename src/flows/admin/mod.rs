//! What staff and operators do to the accounts of others.

pub(crate) mod api_keys;
pub(crate) mod create_superuser;
pub(crate) mod operator;
pub(crate) mod users;
