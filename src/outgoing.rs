//! The HTTP client of every outgoing call: one total time-out, a size limit, no redirects, no
//! proxy, and TLS verified against the roots of the binary. A client for [`Targets::Public`]
//! connects to no private, loopback or link-local address, whatever the host name resolves to
//! (server-side request forgery, CWE-918). The addresses that were checked are those that are
//! connected to: there is no second resolution.

mod call_limit;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use ureq::Agent;
use ureq::http::{Request, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Connector, DefaultConnector, NextTimeout};

pub use call_limit::{CallGuard, CallLimit};

/// The servers that a client may connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Any address, by https or http.
    Any,
    /// Publicly routed addresses, by https.
    Public,
}

/// A call without a usable response.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// No connection, no response in time, a response that is too long, or a refused target.
    #[error("{0}")]
    Transport(#[from] Box<ureq::Error>),
    /// A name or value that no header can hold.
    #[error("the request cannot be written: {0}")]
    Request(#[from] ureq::http::Error),
}

impl From<ureq::Error> for OutgoingError {
    fn from(error: ureq::Error) -> Self {
        Self::Transport(Box::new(error))
    }
}

/// A response, read whole.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most as long as the client allows.
    pub body: Vec<u8>,
}

/// Headers of a request.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// The client. Clones of one share its connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    max_body: u64,
}

impl Client {
    /// Returns a client whose calls take at most `timeout`, from the look-up of the name to the
    /// last byte of a body of at most `max_body` bytes.
    pub fn new(targets: Targets, timeout: Duration, max_body: u64) -> Self {
        let (connector, resolver) = (DefaultConnector::default(), DefaultResolver::default());
        Self::with_parts(targets, timeout, max_body, connector, resolver)
    }

    fn with_parts(
        targets: Targets,
        timeout: Duration,
        max_body: u64,
        connector: impl Connector,
        resolver: impl Resolver,
    ) -> Self {
        let tls =
            TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::new(default_provider()));
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(timeout))
            // A request must not go elsewhere: to another URL, or through a proxy that the
            // environment names but no setting.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .https_only(targets == Targets::Public)
            .http_status_as_error(false)
            .user_agent(concat!("hallpass/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent =
            Agent::with_parts(config, connector, CheckedResolver { targets, inner: resolver });
        Self { agent, max_body }
    }

    /// Sends a GET request.
    pub fn get(&self, url: &str, headers: Headers<'_>) -> Result<Reply, OutgoingError> {
        let request = with_headers(Request::get(url), headers).body(())?;
        self.read(self.agent.run(request)?)
    }

    /// Sends a POST request with a form as its body.
    pub fn post_form(
        &self,
        url: &str,
        headers: Headers<'_>,
        fields: &[(&str, &str)],
    ) -> Result<Reply, OutgoingError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let request = with_headers(Request::post(url), headers)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.finish())?;
        self.read(self.agent.run(request)?)
    }

    fn read(&self, mut response: Response<ureq::Body>) -> Result<Reply, OutgoingError> {
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(self.max_body).read_to_vec()?;
        Ok(Reply { status, body })
    }
}

fn with_headers(
    request: ureq::http::request::Builder,
    headers: Headers<'_>,
) -> ureq::http::request::Builder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

/// A resolver without the addresses that are no target.
#[derive(Debug)]
struct CheckedResolver<R> {
    targets: Targets,
    inner: R,
}

/// The error of a host without a public address.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public IP address")]
struct NoPublicAddress;

impl<R: Resolver> Resolver for CheckedResolver<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let resolved = self.inner.resolve(uri, config, timeout)?;
        let mut targets = self.empty();
        let is_target =
            |address: IpAddr| self.targets == Targets::Any || is_public(address.to_canonical());
        for address in resolved.iter().filter(|address| is_target(address.ip())) {
            targets.push(*address);
        }
        if targets.is_empty() {
            return Err(ureq::Error::Other(Box::new(NoPublicAddress)));
        }
        Ok(targets)
    }
}

/// Returns whether packets to the address leave for the public internet (the IANA special-purpose
/// registries, RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 127 | 224..=255, _, _) // this network, loopback, multicast, reserved
            | (100, 64..=127, _) // shared by carriers
            | (192, 0, 0) // protocol assignments
            | (192, 88, 99) // 6to4 relays
            | (198, 18..=19, _) // benchmarks
    );
    !is_special && !address.is_private() && !address.is_link_local() && !address.is_documentation()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let last_v4 = || {
        let [a, b] = segments[6].to_be_bytes();
        let [c, d] = segments[7].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // NAT64 (RFC 6052) leads to the IPv4 address in it.
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => is_public_v4(last_v4()),
        [0x2001, 0x0db8 | 0..=0x01ff, ..] | [0x2002 | 0x3fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use ureq::unversioned::transport::ConnectionDetails;

    use super::*;

    /// A name server that answers each look-up with the next addresses, and with the last ones from
    /// then on.
    #[derive(Debug)]
    struct ScriptedResolver(Mutex<VecDeque<Vec<IpAddr>>>);

    impl Resolver for ScriptedResolver {
        fn resolve(
            &self,
            _uri: &Uri,
            _config: &ureq::config::Config,
            _timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut script = self.0.lock().unwrap();
            let answer =
                if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() };
            let mut resolved = self.empty();
            for address in answer {
                resolved.push(SocketAddr::new(address, 443));
            }
            Ok(resolved)
        }
    }

    /// Notes where a connection would go, and makes none.
    #[derive(Clone, Debug, Default)]
    struct NotingConnector(Arc<Mutex<Vec<IpAddr>>>);

    impl Connector for NotingConnector {
        type Out = ();

        fn connect(
            &self,
            details: &ConnectionDetails<'_>,
            _chained: Option<()>,
        ) -> Result<Option<()>, ureq::Error> {
            self.0.lock().unwrap().extend(details.addrs.iter().map(SocketAddr::ip));
            Err(ureq::Error::ConnectionFailed)
        }
    }

    /// The addresses that a client for public targets connects to, for each of these answers of the
    /// name server.
    fn connected_to(answers: &[&[&str]], calls: usize) -> Vec<String> {
        let parse = |answer: &&[&str]| answer.iter().map(|it| it.parse().unwrap()).collect();
        let resolver = ScriptedResolver(Mutex::new(answers.iter().map(parse).collect()));
        let connector = NotingConnector::default();
        let noted = Arc::clone(&connector.0);
        let timeout = Duration::from_secs(2);
        let client = Client::with_parts(Targets::Public, timeout, 1024, connector, resolver);
        for _ in 0..calls {
            assert!(client.get("https://provider.example/", &[]).is_err());
        }
        noted.lock().unwrap().iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn a_name_leads_to_its_public_addresses_only() {
        for private in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert_eq!(connected_to(&[&[private]], 1), [""; 0], "{private}");
            assert_eq!(connected_to(&[&[private, "1.1.1.1"]], 1), ["1.1.1.1"], "{private}");
        }
    }

    #[test]
    fn a_name_whose_addresses_change_is_looked_up_once_for_each_call() {
        // DNS rebinding: public when it is checked, private a moment later.
        let answers: [&[&str]; 2] = [&["1.1.1.1"], &["127.0.0.1"]];
        assert_eq!(connected_to(&answers, 1), ["1.1.1.1"]);
        assert_eq!(connected_to(&answers, 3), ["1.1.1.1"], "a later call is checked again");
    }

    #[test]
    fn special_purpose_addresses_are_not_public() {
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address: IpAddr = special.parse().unwrap();
            assert!(!is_public(address.to_canonical()), "{special}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            let address: IpAddr = public.parse().unwrap();
            assert!(is_public(address.to_canonical()), "{public}");
        }
    }

    #[test]
    fn a_client_for_public_targets_connects_to_no_other_in_any_spelling() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Client::new(Targets::Public, Duration::from_secs(2), 1024);
        for host in [
            "127.0.0.1",
            "localhost",
            "localhost.",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "127.1",
            "0",
        ] {
            let refused = client.get(&format!("https://{host}:{port}/"), &[]).unwrap_err();
            assert!(matches!(refused, OutgoingError::Transport(_)), "{refused}");
            let refused = client.get(&format!("http://{host}:{port}/"), &[]).unwrap_err();
            assert!(matches!(refused, OutgoingError::Transport(_)), "{refused}");
        }
        assert!(listener.accept().is_err(), "there was a connection");
    }
}
