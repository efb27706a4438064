//! The flow at `oidc-provider`, a certified implementation of OpenID Connect that shares no code
//! with this one. Needs Node.js and `npm ci` in `tests/social/provider`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use hallpass::clock::{Clock as _, SystemClock};

use super::*;
use crate::missing::needs;

#[test]
fn a_certified_provider_logs_in_a_user() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/social/provider");
    let installed = folder.join("node_modules/oidc-provider").is_dir().then_some(());
    if needs("oidc-provider (npm ci in tests/social/provider)", installed).is_none() {
        return;
    }
    let mut process = Command::new("node")
        .arg(folder.join("provider.mjs"))
        .arg(REQUEST.redirect_uri)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let setting: Value = serde_json::from_str(&output.next().unwrap()).unwrap();
    let text = |name: &str| setting[name].as_str().unwrap().to_owned();
    let secret = ClientSecret::Fixed(SecretText::from(text("client_secret")));
    let mut settings =
        Preset::generic("test".to_owned(), text("issuer"), text("client_id"), secret);
    settings.email_trust = EmailTrust::Verified;
    let social = SocialSettings { timeout: Duration::from_secs(10), ..social() };
    let client = Provider::new(settings, &social);

    assert_eq!(client.diagnose(SystemClock.now()).unwrap(), [""; 0]);
    let mut log_in = |login: &str| {
        let url = client.authorization_url(&REQUEST, SystemClock.now()).unwrap();
        writeln!(input, "{url} {login}").unwrap();
        let response = parameters(&output.next().unwrap());
        assert_eq!(response["state"], REQUEST.state);
        let issuer = response.get("iss").map(String::as_str);
        client.check_response_issuer(issuer, SystemClock.now()).unwrap();
        assert!(client.check_response_issuer(None, SystemClock.now()).is_err());
        response["code"].clone()
    };
    for (login, verified) in [("mina", true), ("unverified-ravi", false)] {
        let code = log_in(login);
        let response = CodeResponse { code: &code, request: REQUEST };
        let identity = client.redeem(&response, SystemClock.now()).unwrap();
        assert_eq!((identity.key.issuer, identity.key.subject), (text("issuer"), login.to_owned()));
        assert_eq!(identity.email.unwrap().as_str(), format!("{login}@example.com"));
        assert_eq!(identity.email_verified, verified);
        let again = client.redeem(&response, SystemClock.now()).unwrap_err();
        assert!(matches!(again, ProviderError::Code(_)), "{again}");
    }
    // A code is of no use without the verifier of its flow.
    let code = log_in("mina");
    let request = AuthorizationRequest { code_verifier: &"x".repeat(43), ..REQUEST };
    let stolen = client.redeem(&CodeResponse { code: &code, request }, SystemClock.now());
    assert!(matches!(stolen, Err(ProviderError::Code(_))));
    drop(input);
    process.wait().unwrap();
}
