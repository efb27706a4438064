//! The proxies of `doctor`: whether the IP addresses of clients reach the service.

use ipnet::IpNet;

use super::{Bad, Doubtful, Finding, Good, Site, open};
use crate::store::sessions;

/// So many log-ins must be looked at before their networks say anything.
const ENOUGH_SESSIONS: i64 = 20;

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
    let busiest = site
        .is_up_to_date()
        .then(|| open(config).and_then(|db| db.read(sessions::busiest_network)).ok().flatten());
    match busiest.flatten() {
        Some(busiest) if busiest.of >= ENOUGH_SESSIONS && 2 * busiest.sessions > busiest.of => {
            let advice = if overlaps(&busiest.network, &config.trusted_proxies) {
                "a proxy there is trusted already: if all people seem to come from it, it sends no \
                 X-Forwarded-For"
            } else {
                "if that is your proxy, name it in HALLPASS_TRUSTED_PROXIES, or all people share its limits"
            };
            Doubtful(format!(
                "{setting}. {} of the last {} log-ins came from {}: {advice}",
                busiest.sessions, busiest.of, busiest.network
            ))
        }
        _ if networks.is_empty() && !config.development => Doubtful(format!(
            "{setting}. Behind a proxy that is the proxy, and all people share its limits: name it in \
             HALLPASS_TRUSTED_PROXIES"
        )),
        _ => Good(setting),
    }
}

/// True if one of the trusted networks is a part of the network, or the other way round.
fn overlaps(network: &str, trusted: &[IpNet]) -> bool {
    let Ok(network) = network.parse::<IpNet>() else { return false };
    trusted.iter().any(|it| it.contains(&network) || network.contains(it))
}
