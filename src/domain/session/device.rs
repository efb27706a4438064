//! Description of the device that a session was opened on: enough for its owner to recognise it,
//! too little to track them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::domain::UtcTime;

/// Description of a device from its requests. It is not evidence of its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Browser and system in words, such as `Firefox on Windows`; empty if unknown.
    pub label: String,
    /// The network of its IP address: /24 for IPv4, /64 for IPv6; empty if unknown.
    pub network: String,
}

/// A known device: its user has logged in on it before, as its device token shows. The description
/// is not stored.
#[derive(Clone, Copy, Debug)]
pub struct KnownDevice {
    /// Time of issue of the token.
    pub created_at: UtcTime,
    /// Time of the last log-in with it.
    pub last_seen_at: UtcTime,
}

/// Parts of a `User-Agent` and names of browsers. The first match counts: most browsers name their
/// ancestors, too.
const BROWSERS: [(&str, &str); 13] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Whale/", "Whale"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("okhttp/", "an app"),
    ("CFNetwork/", "an app"),
    ("Dart/", "an app"),
];
const SYSTEMS: [(&str, &str); 8] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("Darwin", "Mac"),
    ("Linux", "Linux"),
];
/// Other clients are shown by their own name, up to this length.
const MAX_LABEL: usize = 40;

impl Device {
    /// Returns the wider network of a site or a host: /24 for IPv4, /48 for IPv6, which one
    /// customer commonly has.
    pub fn wide_network(&self) -> String {
        let narrow: Option<ipnet::Ipv6Net> = self.network.parse().ok();
        let wide = narrow.and_then(|it| ipnet::Ipv6Net::new(it.addr(), 48).ok());
        wide.map_or_else(|| self.network.clone(), |it| it.trunc().to_string())
    }

    /// Returns the block of addresses of its network, which a provider or a large organisation
    /// commonly has: /16 for IPv4, /32 for IPv6.
    pub fn block(&self) -> String {
        let wider = |net: IpNet| {
            let prefix = match net {
                IpNet::V4(_) => 16,
                IpNet::V6(_) => 32,
            };
            IpNet::new(net.addr(), prefix).ok()
        };
        let block = self.network.parse().ok().and_then(wider);
        block.map_or_else(|| self.network.clone(), |it| it.trunc().to_string())
    }

    /// Returns the device of a request with this `User-Agent` and IP address.
    pub fn of(user_agent: &str, address: Option<IpAddr>) -> Self {
        Self { label: label(user_agent), network: address.map(network).unwrap_or_default() }
    }
}

fn label(user_agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => system.to_owned(),
        (None, None) => {
            let name = user_agent.split(['/', ' ', '(']).next().unwrap_or_default();
            name.chars().filter(char::is_ascii_graphic).take(MAX_LABEL).collect()
        }
    }
}

fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_labels_are_recognisable() {
        for (user_agent, expected) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0",
                "Firefox on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0",
                "Edge on Linux",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/141.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("python-requests/2.32", "python-requests"),
            ("<b>x</b>\u{202e}", "<b>x<"),
            ("", ""),
        ] {
            assert_eq!(Device::of(user_agent, None).label, expected, "{user_agent}");
        }
    }

    #[test]
    fn a_network_is_a_prefix() {
        for (address, network, block) in [
            ("192.0.2.77", "192.0.2.0/24", "192.0.0.0/16"),
            ("::ffff:192.0.2.77", "192.0.2.0/24", "192.0.0.0/16"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8::/32"),
        ] {
            let device = Device::of("", address.parse().ok());
            assert_eq!((device.network.as_str(), device.block().as_str()), (network, block));
        }
        assert_eq!(Device::default().block(), "");
    }
}
