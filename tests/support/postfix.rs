//! A private Postfix that delivers to a folder.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::missing::needs;
use crate::postgres::free_port;
use crate::smtp::make_certificates;

/// The account `nobody`, which owns delivered mails.
const NOBODY: &str = "65534";
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The services that receive and deliver mail, each in this line of `master.cf`.
const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
";

/// A running Postfix. It ends when this is dropped, and with the test process.
pub struct Postfix {
    folder: TempDir,
    port: u16,
    settings: Vec<(String, String)>,
    process: Option<Child>,
}

impl Postfix {
    /// Starts a server for mail to `example.com` with further settings of `main.cf`; `None`
    /// (reported as skipped) without Postfix, which only root can start.
    pub fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let is_here =
            rustix::process::geteuid().is_root() && Path::new("/usr/sbin/postfix").exists();
        needs("postfix (Debian: apt-get install postfix), started by root", is_here.then_some(()))?;
        let folder = tempfile::tempdir().unwrap();
        // Its processes have accounts of their own.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, owner) in
            [("conf", "root"), ("queue", "root"), ("data", "postfix"), ("mail", NOBODY)]
        {
            fs::create_dir(folder.path().join(name)).unwrap();
            let chown = Command::new("chown").arg(owner).arg(folder.path().join(name)).status();
            assert!(chown.unwrap().success(), "chown {owner}");
        }
        let certificates = make_certificates(folder.path()).then_some(());
        needs("openssl command (Debian: apt-get install openssl)", certificates)?;
        let mut server = Self { folder, port: free_port(), settings: Vec::new(), process: None };
        for (name, value) in settings {
            server.set(name, value);
        }
        server.start_again();
        Some(server)
    }

    /// Starts it after [`Self::stop`].
    pub fn start_again(&mut self) {
        self.write_settings();
        let listener = format!("127.0.0.1:{} inet n - n - - smtpd\n", self.port);
        fs::write(self.path("conf/master.cf"), listener + SERVICES).unwrap();
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        // It ends with the pipe that the test process holds.
        // `abort` ends all its processes: a signal to the command does not reach `master`.
        let script = "postfix -c \"$0\" start-fg & cat >/dev/null; postfix -c \"$0\" abort; wait";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(self.path("conf"));
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::piped());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        let started = Instant::now();
        while !self.greets() {
            assert!(started.elapsed() < START_TIMEOUT, "Postfix does not start:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns whether a connection gets a greeting: the port may listen before the rest works.
    fn greets(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        connection.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut greeting = [0; 4];
        connection.read_exact(&mut greeting).is_ok() && greeting == *b"220 "
    }

    /// Ends all its processes.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }

    /// Sets a setting of `main.cf`, which counts from the next [`Self::reload`] on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Applies changed settings.
    pub fn reload(&self) {
        self.write_settings();
        let reload = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(self.path("conf"))
            .arg("reload")
            .output();
        assert!(reload.as_ref().unwrap().status.success(), "{reload:?}");
    }

    fn write_settings(&self) {
        let folder = self.folder.path().display();
        let mut text = format!(
            "compatibility_level = 3.6\nqueue_directory = {folder}/queue\n\
             data_directory = {folder}/data\nmaillog_file = /dev/stdout\nmail_owner = postfix\n\
             setgid_group = postdrop\nmyhostname = mx.example.net\nmydestination =\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks =\n\
             smtpd_client_event_limit_exceptions =\nanvil_rate_time_unit = 1s\n\
             smtpd_relay_restrictions = reject_unauth_destination\n\
             smtpd_tls_cert_file = {folder}/server.pem\nsmtpd_tls_key_file = {folder}/server.key\n\
             virtual_mailbox_base = {folder}/mail\n\
             virtual_uid_maps = static:{NOBODY}\nvirtual_gid_maps = static:{NOBODY}\n"
        );
        let defaults =
            [("virtual_mailbox_domains", "example.com"), ("virtual_mailbox_maps", "static:all/")];
        let own = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in defaults.into_iter().chain(own) {
            // The last line of a name counts.
            writeln!(text, "{name} = {value}").unwrap();
        }
        fs::write(self.path("conf/main.cf"), text).unwrap();
    }

    /// The port at 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The certificate authority that signed the server's certificate, for `localhost`.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The folder of delivered mails, a file for each.
    pub fn delivered(&self) -> PathBuf {
        self.path("mail/all/new")
    }

    /// The log of Postfix.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.stop();
        if thread::panicking() {
            println!("Postfix said:\n{}", self.log());
        }
    }
}
