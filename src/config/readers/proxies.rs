//! Reverse proxies.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::mode::Mode;
use crate::config::source::Source;

/// Reads IP addresses or networks, separated by commas.
pub fn read_proxies(s: &mut Source, mode: Mode) -> Vec<IpNet> {
    let name = "HALLPASS_TRUSTED_PROXIES";
    let network = |part: &str| {
        let network =
            part.parse::<IpNet>().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(canonical)
    };
    if mode == Mode::Production && s.text(name).is_none() {
        s.notes.push(format!(
            "{name} is not set: behind a reverse proxy all clients share the limits of its address. Name its \
             networks, or `none` where clients connect directly"
        ));
    }
    let networks = s.parsed(name, Vec::new(), |text| {
        if text == "none" {
            return Ok(Vec::new());
        }
        let networks: Option<Vec<IpNet>> = text.split(',').map(str::trim).map(network).collect();
        networks.ok_or_else(|| {
            "must be networks separated by commas (10.0.0.0/8, 192.0.2.7), or none".to_owned()
        })
    });
    if mode == Mode::Production && are_nearly_all(&networks) {
        s.fault(
            name,
            "must not be all addresses, or a great part of them: clients could then choose their address \
             themselves",
        );
    }
    networks
}

/// Returns an IPv4-mapped network as one of IPv4, as the addresses of peers are.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let prefix = mapped.prefix_len().checked_sub(96);
    let ipv4 = prefix.zip(mapped.addr().to_ipv4_mapped());
    ipv4.map_or(network, |(prefix, address)| Ipv4Net::new_assert(address, prefix).into())
}

/// Returns whether networks are an eighth of all IPv4 addresses, or of IPv6 more than a /16.
/// Private networks are left aside.
fn are_nearly_all(networks: &[IpNet]) -> bool {
    let private: [Ipv6Net; 2] = [
        Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    ];
    let (mut of_v4, mut of_v6) = (0, 0);
    for network in IpNet::aggregate(&networks.to_vec()) {
        match network {
            IpNet::V4(it) => of_v4 += 1_u64 << (32 - it.prefix_len()),
            IpNet::V6(it) if private.iter().any(|private| private.contains(&it)) => {}
            // In units of a /64, which all together are no more than fits.
            IpNet::V6(it) => of_v6 += 1_u128 << 64_u8.saturating_sub(it.prefix_len()),
        }
    }
    of_v4 >= 1 << 29 || of_v6 > 1 << (64 - 16)
}
