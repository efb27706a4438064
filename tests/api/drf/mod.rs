//! The Django REST adapter: its list, settings, tokens, limits and audit trail.

mod events;
mod limits;
mod list;
mod races;
mod settings;
mod stale_rights;
mod tokens;
