//! Passwords that are known from breaches: asked by range, of a real server of this test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hallpass::domain::PlainPassword;
use hallpass::security::breached::{BreachedPasswords, BreachedPasswordsSettings};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::missing::needs;
use crate::smtp::make_certificates;
use crate::support::{PASSWORD, TestApp, World, link_token, on_both};

/// The breached password: long enough, and not on the list of common passwords.
const BREACHED: &str = "Tr0ub4dor&3 of old";

const MINA: &str = "mina@example.com";

/// The response of the server.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Range,
    Padding,
    Silence,
    Trickle,
    Garbage,
    Flood,
    Unavailable,
    Redirect,
}

/// A server of the form of Have I Been Pwned's range API.
struct Ranges {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    heads: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Ranges {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ranges =
            Self { address, manner: Arc::new(Mutex::new(Manner::Range)), heads: Arc::default() };
        let (manner, heads) = (Arc::clone(&ranges.manner), Arc::clone(&ranges.heads));
        // It ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (manner, heads) = (*manner.lock().unwrap(), Arc::clone(&heads));
                std::thread::spawn(move || answer(stream.unwrap(), manner, &heads));
            }
        });
        ranges
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn asked(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    fn app(&self, world: &World) -> TestApp {
        let url = format!("http://{}/range/", self.address);
        world.app_with(&[
            ("HALLPASS_BREACHED_PASSWORDS_URL", url.as_str()),
            ("HALLPASS_BREACHED_PASSWORDS_TIMEOUT", "300ms"),
        ])
    }
}

fn answer(mut stream: TcpStream, manner: Manner, heads: &Mutex<Vec<Vec<String>>>) {
    let reader = BufReader::new(stream.try_clone().unwrap());
    let lines = reader.lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    heads.lock().unwrap().push(head);
    let listed =
        |count: u8| format!("{}:3\r\n{}:{count}\r\n", suffix("another password"), suffix(BREACHED));
    let (status, body) = match manner {
        Manner::Range => ("200 OK", listed(42)),
        Manner::Padding => ("200 OK", listed(0)),
        Manner::Garbage => ("200 OK", "<html>Welcome to the hotel's network</html>".to_owned()),
        Manner::Flood => ("200 OK", listed(42).repeat(10_000)),
        Manner::Unavailable => ("503 Service Unavailable", listed(42)),
        // To itself, where it would be asked once more.
        Manner::Redirect => ("302 Found\r\nLocation: /range/00000", String::new()),
        Manner::Silence => return std::thread::sleep(Duration::from_secs(5)),
        Manner::Trickle => {
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
            while stream.write_all(b"0").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
            return;
        }
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _gone = stream.write_all((head + &body).as_bytes());
}

/// The last 35 digits of the SHA-1 digest.
fn suffix(password: &str) -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let digits: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    digits.concat()[5..].to_owned()
}

fn breached(field: &str) -> Vec<(String, String)> {
    vec![(field.to_owned(), "breached".to_owned())]
}

/// A server over TLS with an untrusted certificate, and the outcome of the one connection that it
/// accepts.
fn start_with_a_certificate_of_its_own() -> Option<(SocketAddr, Receiver<bool>)> {
    let folder = tempfile::tempdir().unwrap();
    let made = make_certificates(folder.path()).then_some(());
    needs("openssl command (Debian: apt-get install openssl)", made)?;
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&certificate).unwrap()],
            PrivateKeyDer::from_pem_file(&key).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, listener.accept().unwrap().0);
        tell.send(stream.read(&mut [0; 1]).is_ok_and(|length| length > 0)).unwrap();
    });
    Some((address, told))
}

#[test]
fn a_collection_that_cannot_prove_its_name_receives_nothing() {
    let Some((address, was_read)) = start_with_a_certificate_of_its_own() else { return };
    let url = format!("https://localhost:{}/range", address.port());
    let settings = BreachedPasswordsSettings { url, timeout: Duration::from_secs(5) };
    let password = PlainPassword::parse(BREACHED).unwrap();
    let refused = BreachedPasswords::at(&settings).contain(&password).unwrap_err().to_string();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert!(!was_read.recv().unwrap(), "the digits went to a stranger");
}

on_both! {
    fn a_breached_password_is_refused_wherever_one_is_chosen(world) {
        let ranges = Ranges::start();
        let app = ranges.app(&world);
        assert_eq!(app.get("/v1/password-policy").json()["refuses_breached"], true);

        let body = json!({"email": MINA, "password": BREACHED});
        assert_eq!(app.post("/v1/register", &body).faults(), breached("password"));
        assert_eq!(world.count("registration_details"), 0);
        let tokens = app.person(&world, MINA);

        let bearer = format!("Bearer {}", tokens.access);
        let bearer = [("authorization", bearer.as_str())];
        let body = json!({"current_password": PASSWORD, "new_password": BREACHED});
        let answer = app.post_with("/v1/password-change", &bearer, &body);
        assert_eq!(answer.faults(), breached("new_password"));

        app.post("/v1/password-reset", &json!({"email": MINA})).is(202);
        let link = link_token(&world.mails_to(MINA, 2)[1]);
        let body = json!({"token": link, "new_password": BREACHED});
        let answer = app.post("/v1/password-reset/confirm", &body);
        assert_eq!(answer.faults(), breached("new_password"));
        // The link still counts.
        let body = json!({"token": link, "new_password": "pear tree at dawn"});
        app.post("/v1/password-reset/confirm", &body).is(204);

        world.execute("UPDATE users SET is_staff = true");
        let bearer = format!("Bearer {}", app.log_in(MINA, "pear tree at dawn").tokens().access);
        let bearer = [("authorization", bearer.as_str())];
        let body = json!({"email": "new@example.com", "password": BREACHED});
        assert_eq!(app.post_with("/v1/users", &bearer, &body).faults(), breached("password"));
    }

    fn the_collection_learns_five_digits_and_is_asked_last(world) {
        let ranges = Ranges::start();
        let app = ranges.app(&world);
        for password in ["password1", "short", "mina@example.com"] {
            app.post("/v1/register", &json!({"email": MINA, "password": password})).is(422);
        }
        let body = json!({"token": "no such token", "new_password": BREACHED});
        app.post("/v1/password-reset/confirm", &body).refused(401, "one_time_token_invalid");
        assert_eq!(ranges.asked(), 0);
        app.post("/v1/register", &json!({"email": MINA, "password": BREACHED})).is(422);
        let heads = ranges.heads.lock().unwrap();
        assert_eq!(heads.len(), 1);
        let head = heads[0].join("\n").to_lowercase();
        let digits = head.strip_prefix("get /range/").unwrap().split(' ').next().unwrap();
        assert!(digits.len() == 5 && digits.bytes().all(|it| it.is_ascii_hexdigit()), "{digits}");
        assert!(head.contains("\nadd-padding: true"), "{head}");
        assert!(!head.contains("mina") && !head.contains("referer"), "{head}");
    }

    fn without_an_answer_the_password_is_taken(world) {
        let ranges = Ranges::start();
        let app = ranges.app(&world);
        let register = |number: usize| {
            let email = format!("person{number}@example.com");
            let began = Instant::now();
            app.register_with(&json!({"email": email, "password": BREACHED}));
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        };
        let manners = [
            Manner::Padding, Manner::Silence, Manner::Trickle, Manner::Garbage, Manner::Flood,
            Manner::Unavailable, Manner::Redirect,
        ];
        for (number, manner) in manners.into_iter().enumerate() {
            ranges.behave(manner);
            register(number);
            assert_eq!(ranges.asked(), number + 1, "{manner:?}");
        }
        // The list in the binary holds all the same.
        let common = json!({"email": MINA, "password": "password1"});
        app.post("/v1/register", &common).is(422);
        drop(app);
        // Port 9 has no listener.
        let nobody = ("HALLPASS_BREACHED_PASSWORDS_URL", "http://127.0.0.1:9/range");
        let body = json!({"email": MINA, "password": BREACHED});
        world.app_with(&[nobody]).register_with(&body);
    }
}
