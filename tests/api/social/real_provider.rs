//! The whole flow against `oidc-provider`, a certified implementation of OpenID Connect that shares
//! no code with this one. Needs Node.js and `npm ci` in `tests/social/provider`.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use hallpass::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::{MINA, RETURN_TO, parameters};
use crate::missing::needs;
use crate::support::on_both;

/// The provider, with a browser that logs in there.
struct RealProvider {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    settings: Value,
}

impl RealProvider {
    /// `None` (said aloud) where it is not installed.
    fn start() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/social/provider");
        let installed = folder.join("node_modules/oidc-provider").is_dir().then_some(());
        needs("oidc-provider (npm ci in tests/social/provider)", installed)?;
        let mut process = Command::new("node")
            .arg(folder.join("provider.mjs"))
            .arg("http://auth.test/v1/social/real/callback")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let settings = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
        Some(Self { process, input, output, settings })
    }

    fn text(&self, name: &str) -> &str {
        self.settings[name].as_str().unwrap()
    }

    /// Logs in as a browser would, and returns the URL that the browser is sent to.
    fn log_in(&mut self, url: &str, login: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{url} {login}").unwrap();
        self.output.next().unwrap().unwrap()
    }
}

impl Drop for RealProvider {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ended = self.process.wait();
    }
}

on_both! {
    fn a_certified_provider_logs_users_in_over_http(world) {
        let Some(mut provider) = RealProvider::start() else { return };
        // The provider has no other clock.
        world.clock.set(SystemClock.now());
        let app = world.app_with(&[
            ("HALLPASS_SOCIAL_OIDC_REAL_ISSUER", provider.text("issuer")),
            ("HALLPASS_SOCIAL_OIDC_REAL_CLIENT_ID", provider.text("client_id")),
            ("HALLPASS_SOCIAL_OIDC_REAL_CLIENT_SECRET", provider.text("client_secret")),
            ("HALLPASS_SOCIAL_OIDC_REAL_TRUST_EMAIL", "example.com"),
            ("HALLPASS_SOCIAL_RETURN_URLS", RETURN_TO),
            ("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on"),
        ]);
        let mut finish = |login: &str| {
            let body = json!({"return_to": RETURN_TO});
            let started = app.post("/v1/social/real/start", &body).is(200);
            let redirected = provider.log_in(&started.text("authorization_url"), login);
            let path = redirected.strip_prefix("http://auth.test").expect("the redirect URI");
            let passed_on = app.get(path).is(303);
            let query = parameters(passed_on.header("location").unwrap());
            let body = json!({
                "flow_token": started.text("flow_token"), "code": query["code"],
                "state": query["state"], "iss": query["iss"],
            });
            let first = app.post("/v1/social/real/finish", &body);
            let again = app.post("/v1/social/real/finish", &body);
            assert_eq!((first.status, &first.json().get("session_id")), (again.status, &again.json().get("session_id")));
            first
        };
        let mina = finish("mina").is(200).tokens();
        assert_eq!(mina.claims()["email"], MINA);
        assert_eq!(finish("mina").is(200).tokens().user_id(), mina.user_id());
        let ravi = finish("unverified-ravi").is(202).text("registration_token");
        let code = world.proof("unverified-ravi@example.com", 1).code;
        let ravi = app.verify_code(&ravi, &code).is(200).tokens();
        assert_eq!(finish("unverified-ravi").is(200).tokens().user_id(), ravi.user_id());
        assert_eq!(world.count("identities"), 2);
    }
}
