//! Mode of the service, on which defaults depend.

use std::net::SocketAddr;

use crate::config::source::Source;

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
    /// Reads the mode of a service that listens on `bind`.
    pub fn read(s: &mut Source, bind: SocketAddr) -> Self {
        let is_local = bind.ip().is_loopback();
        let development = if is_local { Self::LocalDevelopment } else { Self::Development };
        let default = if is_local { development } else { Self::Production };
        let modes = [("development", development), ("production", Self::Production)];
        s.choice("HALLPASS_ENV", default, &modes)
    }
}
