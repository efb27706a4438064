//! Starts nginx, Caddy, Envoy and Traefik with the example configurations. Only what belongs to a
//! place is replaced in them: addresses, the name, the certificate.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::missing::needs;
use crate::proxy::wire;

/// Kind of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
    Envoy,
    Traefik,
}

/// Addresses of the parties.
pub struct Places {
    pub proxy: SocketAddr,
    /// Address at which the proxy only redirects to HTTPS, if its configuration has one.
    pub redirecting: SocketAddr,
    pub hallpass: SocketAddr,
    pub application: SocketAddr,
}

/// A running proxy, killed when dropped.
pub struct Proxy {
    process: Child,
    folder: TempDir,
}

impl Kind {
    /// Returns whether its program is installed. If not, reports the test as skipped.
    pub fn is_here(self) -> bool {
        let program = self.program();
        let found = Command::new(program)
            .arg(match self {
                Self::Nginx => "-v",
                Self::Caddy | Self::Traefik => "version",
                Self::Envoy => "--version",
            })
            .output()
            .is_ok_and(|done| done.status.success());
        needs(program, found.then_some(())).is_some()
    }

    fn program(self) -> &'static str {
        match self {
            // Debian keeps it off the path of ordinary users.
            Self::Nginx if Path::new("/usr/sbin/nginx").exists() => "/usr/sbin/nginx",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::Traefik => "traefik",
        }
    }

    /// Starts it; it forwards requests when this returns.
    pub fn start(self, places: &Places) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        let command = match self {
            Self::Nginx => nginx(folder.path(), places),
            Self::Caddy => caddy(folder.path(), places),
            Self::Envoy => envoy(folder.path(), places),
            Self::Traefik => traefik(folder.path(), places),
        };
        let proxy = Proxy { process: spawn(command, folder.path()), folder };
        proxy.wait_for(places.proxy).wait_for_routes(places.proxy)
    }
}

/// Returns the example with each text replaced. Every text must occur.
fn example(name: &str, replacements: &[(&str, String)]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/reverse-proxies");
    let mut text = fs::read_to_string(folder.join(name)).unwrap();
    for (theirs, ours) in replacements {
        assert!(text.contains(theirs), "{name} has no {theirs:?}");
        text = text.replace(theirs, ours);
    }
    text
}

/// nginx before two instances of Hallpass.
pub fn start_before_instances(proxy: SocketAddr, instances: [SocketAddr; 2]) -> Proxy {
    let folder = tempfile::tempdir().unwrap();
    let conf = example(
        "nginx-instances.conf",
        &[
            ("127.0.0.1:8001", instances[0].to_string()),
            ("127.0.0.1:8002", instances[1].to_string()),
            ("listen 443 ssl", format!("listen {proxy}")),
            ("ssl_certificate", "# ssl_certificate".to_owned()),
        ],
    );
    let command = nginx_with(folder.path(), &conf);
    Proxy { process: spawn(command, folder.path()), folder }.wait_for(proxy)
}

fn nginx(folder: &Path, places: &Places) -> Command {
    // Without a certificate: whether nginx can do TLS is not the question here.
    let conf = example(
        "nginx.conf",
        &[
            ("127.0.0.1:8000", places.hallpass.to_string()),
            ("127.0.0.1:3000", places.application.to_string()),
            ("listen 443 ssl", format!("listen {}", places.proxy)),
            ("ssl_certificate", "# ssl_certificate".to_owned()),
        ],
    );
    nginx_with(folder, &conf)
}

fn nginx_with(folder: &Path, conf: &str) -> Command {
    fs::write(folder.join("hallpass.conf"), conf).unwrap();
    // What Debian's /etc/nginx/nginx.conf does around it, with all files in this folder.
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .concat();
    let main = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr notice;\n\
         events {{}}\nhttp {{\n{paths}access_log off;\ninclude hallpass.conf;\n}}\n"
    );
    fs::write(folder.join("nginx.conf"), main).unwrap();
    let mut command = Command::new(Kind::Nginx.program());
    command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "stderr"]);
    command
}

fn caddy(folder: &Path, places: &Places) -> Command {
    let text = example(
        "Caddyfile",
        &[
            ("127.0.0.1:8000", places.hallpass.to_string()),
            ("127.0.0.1:3000", places.application.to_string()),
            ("\nexample.com {", format!("\nhttp://{} {{", places.proxy)),
        ],
    );
    // Its port for administration would be the same for all.
    fs::write(folder.join("Caddyfile"), format!("{{\n\tadmin off\n}}\n{text}")).unwrap();
    let mut command = Command::new(Kind::Caddy.program());
    command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
    command.current_dir(folder);
    for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(variable, folder);
    }
    command
}

fn envoy(folder: &Path, places: &Places) -> Command {
    let text = example(
        "envoy.yaml",
        &[
            ("port_value: 8000", format!("port_value: {}", places.hallpass.port())),
            ("http://127.0.0.1:8000", format!("http://{}", places.hallpass)),
            ("port_value: 3000", format!("port_value: {}", places.application.port())),
            (
                "address: 0.0.0.0, port_value: 443",
                format!("address: 127.0.0.1, port_value: {}", places.proxy.port()),
            ),
            ("domains: [ example.com ]", "domains: [ \"*\" ]".to_owned()),
        ],
    );
    let (before, rest) = text.split_once("    - transport_socket:\n").expect("a certificate");
    let (_, after) = rest.split_once("      filters:\n").expect("filters");
    fs::write(folder.join("envoy.yaml"), format!("{before}    - filters:\n{after}")).unwrap();
    let mut command = Command::new(Kind::Envoy.program());
    command.args([
        "-c",
        "envoy.yaml",
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "-l",
        "warning",
    ]);
    command.current_dir(folder);
    command
}

fn traefik(folder: &Path, places: &Places) -> Command {
    let routes = folder.join("traefik-dynamic.yml");
    let text = example(
        "traefik.yml",
        &[
            ("address: \":80\"", format!("address: \"{}\"", places.redirecting)),
            ("address: \":443\"", format!("address: \"{}\"", places.proxy)),
            ("      tls:\n        certResolver: letsencrypt\n", String::new()),
            ("/etc/traefik/traefik-dynamic.yml", routes.display().to_string()),
        ],
    );
    let (before, rest) = text.split_once("certificatesResolvers:\n  letsencrypt:\n").unwrap();
    let (_, providers) = rest.split_once("\nproviders:").expect("routes");
    // It would ask its maker for a newer version.
    let text = format!("global:\n  checkNewVersion: false\n{before}providers:{providers}");
    fs::write(folder.join("traefik.yml"), text).unwrap();
    let text = example(
        "traefik-dynamic.yml",
        &[
            ("127.0.0.1:8000", places.hallpass.to_string()),
            ("127.0.0.1:3000", places.application.to_string()),
            ("Host(`example.com`)", format!("Host(`{}`)", places.proxy.ip())),
            // A busy machine is not an outage.
            ("interval: 2s", "interval: 30s".to_owned()),
            ("timeout: 1s", "timeout: 20s".to_owned()),
        ],
    );
    fs::write(routes, text).unwrap();
    let mut command = Command::new(Kind::Traefik.program());
    command.args(["--configFile", "traefik.yml"]).current_dir(folder);
    command
}

fn spawn(mut command: Command, folder: &Path) -> Child {
    let log = File::create(log_in(folder)).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn log_in(folder: &Path) -> PathBuf {
    folder.join("log")
}

impl Proxy {
    fn wait_for(mut self, address: SocketAddr) -> Self {
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < Duration::from_secs(20),
                "the proxy does not start ({ended:?}):\n{}",
                fs::read_to_string(log_in(self.folder.path())).unwrap()
            );
            thread::sleep(Duration::from_millis(10));
        }
        self
    }

    /// Traefik reads its routes after it has begun to listen, and answers 404 until then.
    fn wait_for_routes(self, address: SocketAddr) -> Self {
        let started = Instant::now();
        while wire::send(address, "GET", "/v1/config", &[], b"").status == 404 {
            assert!(started.elapsed() < Duration::from_secs(20), "the proxy has no routes");
            thread::sleep(Duration::from_millis(10));
        }
        self
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            let log = fs::read_to_string(log_in(self.folder.path())).unwrap_or_default();
            println!("the proxy said:\n{log}");
        }
    }
}
