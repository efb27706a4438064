//! The proxies of `doctor`: the setting that determines the IP addresses of clients.

use super::{Bad, Doubtful, Finding, Good, Site};

pub(super) fn check(site: &Site) -> Finding {
    let config = &site.config;
    let networks: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    let setting = if networks.is_empty() {
        "none is trusted; the peer of the connection counts as the client".to_owned()
    } else {
        format!("X-Forwarded-For counts from {}", networks.join(", "))
    };
    if config.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        return Bad(format!(
            "{setting}: that trusts all addresses, so clients can choose their IP address themselves"
        ));
    }
    if networks.is_empty() && !config.development {
        return Doubtful(format!(
            "{setting}. Behind a proxy that is the proxy, and all users share its limits: name it in \
             HALLPASS_TRUSTED_PROXIES"
        ));
    }
    Good(setting)
}
