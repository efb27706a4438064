//! What staff and operators do to the accounts of others.

pub(crate) mod create_superuser;
pub(crate) mod users;
