//! Mode of the service, on which defaults depend.

use std::net::SocketAddr;

/// Clients that the service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A developer on this machine.
    LocalDevelopment,
    /// Developers; others may reach the service.
    Development,
    /// Users.
    Production,
}

impl Mode {
    /// Returns the mode of a service that listens on `bind`.
    pub fn of(development: bool, bind: SocketAddr) -> Self {
        match (development, bind.ip().is_loopback()) {
            (true, true) => Self::LocalDevelopment,
            (true, false) => Self::Development,
            (false, _) => Self::Production,
        }
    }
}
