//! Signing keys and secrets: rotation, replacement, and how they are stored.

mod key_rotation;
mod replaced_secrets;
mod stored_secrets;
