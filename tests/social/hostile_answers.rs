//! Providers that are slow, huge, broken, or not what they say.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use hallpass::social::ProviderErrorKind;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::missing::needs;
use crate::scripted_provider::{Answer, Key};
use crate::smtp::make_certificates;

const METADATA: &str = "/.well-known/openid-configuration";

#[track_caller]
fn unavailable(result: Result<Identity, ProviderError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Unavailable, "{error}");
    error.to_string()
}

#[test]
fn a_broken_answer_at_any_endpoint_is_an_outage_that_ends() {
    let key = Key::es256("k");
    for path in [METADATA, "/keys", "/token"] {
        for answer in [
            Answer::Silence,
            Answer::Trickle,
            Answer::Huge,
            Answer::Redirect("/elsewhere".to_owned()),
            Answer::Reply(500, "{}".to_owned()),
            Answer::Reply(503, String::new()),
            Answer::Reply(200, "<html>Welcome to the hotel's network</html>".to_owned()),
            Answer::Reply(200, "[]".to_owned()),
        ] {
            let provider = ScriptedProvider::openid(&[&key]);
            provider.grant(&key.sign(&claims(&provider)));
            let right = match path {
                METADATA => Answer::json(&provider.metadata()),
                "/keys" => Answer::json(&json!({"keys": [key.public]})),
                _ => Answer::json(&json!({"id_token": key.sign(&claims(&provider))})),
            };
            provider.on(path, answer.clone());
            let client = client(generic(&provider));
            let began = Instant::now();
            unavailable(redeem(&client));
            assert!(began.elapsed() < Duration::from_secs(3), "{path} {answer:?}");
            assert!(provider.requests("/elsewhere").is_empty(), "a redirect was followed");
            provider.on(path, right);
            assert!(redeem_at(&client, later(5)).is_ok(), "{path} {answer:?}");
        }
    }
}

#[test]
fn metadata_of_another_issuer_are_refused() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let metadata = with(provider.metadata(), "issuer", json!("https://accounts.google.com"));
    provider.on(METADATA, Answer::json(&metadata));
    let error = unavailable(redeem(&client(generic(&provider))));
    assert!(error.contains("issuer"), "{error}");
    assert!(provider.requests("/token").is_empty(), "the code went to a stranger");
}

#[test]
fn errors_of_the_token_endpoint_are_told_apart_whatever_their_status() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let client = client(generic(&provider));
    let refused = ProviderErrorKind::Refused;
    let down = ProviderErrorKind::Unavailable;
    for (status, body, kind) in [
        (400, json!({"error": "invalid_grant"}), refused),
        (400, json!({"error": "invalid_request", "error_description": "x"}), refused),
        (200, json!({"error": "bad_verification_code"}), refused),
        (200, json!({"error": "incorrect_client_credentials"}), down),
        (401, json!({"error": "invalid_client"}), down),
        (400, json!({"error": {"message": "x", "code": 100}}), refused),
        (400, json!({"error": {"message": "Error validating client secret.", "code": 1}}), down),
        (400, json!({"error": "temporarily_unavailable"}), down),
        (429, json!({"error": "slow_down"}), down),
        (400, json!({}), down),
        (400, json!({"error": "\u{1b}[31m<script>".repeat(50)}), refused),
    ] {
        provider.on("/token", Answer::Reply(status, body.to_string()));
        let error = redeem(&client).unwrap_err();
        assert_eq!(error.kind(), kind, "{body} {error}");
        let text = error.to_string();
        assert!(text.len() < 160 && !text.contains(['<', '\u{1b}']), "{text}");
    }
}

#[test]
fn a_provider_that_hangs_holds_few_threads() {
    let provider = ScriptedProvider::openid(&[&Key::es256("k")]);
    provider.on("/token", Answer::Silence);
    let client = client(generic(&provider));
    client.authorization_url(&REQUEST, now()).unwrap();
    let busy = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..40).map(|_| scope.spawn(|| redeem(&client).unwrap_err())).collect();
        let errors = calls.into_iter().map(|call| call.join().unwrap());
        errors.filter(|error| matches!(error, ProviderError::Busy)).count()
    });
    assert!(busy > 0, "40 calls were in progress at once");
    assert!(provider.requests("/token").len() < 40);
    assert!(!matches!(redeem(&client).unwrap_err(), ProviderError::Busy));
}

#[test]
fn a_private_address_or_http_is_not_called_unless_allowed() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    provider.grant(&key.sign(&claims(&provider)));
    let strict = SocialSettings { allow_private: false, ..social() };
    unavailable(redeem(&Provider::new(generic(&provider), &strict)));
    assert!(provider.requests(METADATA).is_empty());
    assert!(redeem(&client(generic(&provider))).is_ok());
}

#[test]
fn a_provider_that_cannot_prove_its_name_receives_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let made = make_certificates(folder.path()).then_some(());
    if needs("openssl command (Debian: apt-get install openssl)", made).is_none() {
        return;
    }
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(folder.path().join("server.pem")).unwrap()],
            PrivateKeyDer::from_pem_file(folder.path().join("server.key")).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, listener.accept().unwrap().0);
        stream.read(&mut [0; 1]).is_ok_and(|length| length > 0)
    });
    let issuer = format!("https://localhost:{port}");
    let settings = Preset::generic("test".to_owned(), issuer, CLIENT.to_owned(), secret());
    let social = SocialSettings { timeout: Duration::from_secs(5), ..social() };
    let error = unavailable(redeem(&Provider::new(settings, &social)));
    assert!(error.contains("UnknownIssuer"), "{error}");
    assert!(!server.join().unwrap(), "a request was sent");
}

#[test]
fn a_response_of_another_issuer_is_noticed_before_the_code_is_sent() {
    let provider = ScriptedProvider::openid(&[&Key::es256("k")]);
    let issuer = provider.issuer();
    let client = client(generic(&provider));
    assert!(client.check_response_issuer(None, now()).is_ok());
    assert!(client.check_response_issuer(Some(&issuer), now()).is_ok());
    assert!(client.check_response_issuer(Some("https://evil.example"), now()).is_err());
    let name = "authorization_response_iss_parameter_supported";
    let metadata = with(provider.metadata(), name, json!(true));
    provider.on(METADATA, Answer::json(&metadata));
    assert!(client.check_response_issuer(None, later(3_600)).is_err());
    assert!(client.check_response_issuer(Some(&issuer), later(3_600)).is_ok());
}

#[test]
fn missing_claims_come_from_userinfo_of_the_same_subject() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let client = client(generic(&provider));
    let bare = without(without(claims(&provider), "email"), "email_verified");
    provider.grant(&key.sign(&bare));
    let info = json!({"sub": "248289761001", "email": "a@example.com", "email_verified": "true"});
    provider.on("/userinfo", Answer::json(&info));
    let identity = redeem(&client).unwrap();
    assert_eq!(identity.email.unwrap().as_str(), "a@example.com");
    assert!(identity.email_verified);
    assert_eq!(provider.requests("/userinfo")[0].headers["authorization"], "Bearer at-1");

    // The flag of one document is not about the address of the other.
    provider.grant(&key.sign(&with(bare.clone(), "email_verified", json!(true))));
    provider.on("/userinfo", Answer::json(&without(info.clone(), "email_verified")));
    assert!(!redeem(&client).unwrap().email_verified);

    for subject in ["248289761002", "", "248289761001 "] {
        let other = with(info.clone(), "sub", json!(subject));
        provider.on("/userinfo", Answer::json(&other));
        assert!(matches!(redeem(&client), Err(ProviderError::Subject)), "{subject:?}");
    }
    provider.on("/userinfo", Answer::json(&without(info, "sub")));
    unavailable(redeem(&client));
    // Without the scope there is no address, and the user is known all the same.
    provider.on("/userinfo", Answer::Reply(403, "{}".to_owned()));
    assert_eq!(redeem(&client).unwrap().email, None);
    provider.on("/userinfo", Answer::Reply(502, "{}".to_owned()));
    unavailable(redeem(&client));
}

#[test]
fn an_address_counts_as_verified_only_where_the_provider_is_trusted_and_says_so() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let is_verified = |trust: &EmailTrust, flag: Value| {
        let claims = with(claims(&provider), "email_verified", flag);
        provider.grant(&key.sign(&claims));
        let settings = ProviderSettings { email_trust: trust.clone(), ..generic(&provider) };
        redeem(&client(settings)).unwrap().email_verified
    };
    let domains = |text: &str| EmailTrust::parse(text).unwrap();
    assert!(is_verified(&EmailTrust::Verified, json!(true)));
    assert!(is_verified(&domains("example.com"), json!(true)));
    assert!(!is_verified(&domains("example.org"), json!(true)));
    assert!(!is_verified(&EmailTrust::Never, json!(true)));
    for flag in [json!(false), json!("false"), json!(1), json!("yes")] {
        assert!(!is_verified(&EmailTrust::Verified, flag.clone()), "{flag}");
    }
    // Not an address that mail can be sent to.
    let odd = with(claims(&provider), "email", json!("\"victim@example.com\"@evil.example"));
    provider.grant(&key.sign(&odd));
    let identity = redeem(&client(generic(&provider))).unwrap();
    assert_eq!((identity.email, identity.email_verified), (None, false));
}

#[test]
fn equal_subjects_of_two_issuers_are_two_identities() {
    let key = Key::es256("k");
    let [first, second] = [0, 1].map(|_| {
        let provider = ScriptedProvider::openid(&[&key]);
        provider.grant(&key.sign(&claims(&provider)));
        redeem(&client(generic(&provider))).unwrap().key
    });
    assert_eq!(first.subject, second.subject);
    assert_ne!(first, second);
}
