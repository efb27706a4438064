//! Settings of social log-in, good and bad.

use std::collections::HashMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::providers::PREFIX;
use super::*;
use crate::config::settings;
use crate::social::{ClientSecret, EmailTrust, PRESETS};

fn read_values(values: &[(&str, &str)]) -> (SocialSettings, Source) {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut source = Source::from_values(values.collect::<HashMap<_, _>>());
    let settings = read(&mut source, Mode::Production);
    (settings, source)
}

fn faulty(values: &[(&str, &str)]) -> Vec<String> {
    let mut names: Vec<String> =
        read_values(values).1.faults.into_iter().map(|fault| fault.name).collect();
    names.sort();
    names
}

#[test]
fn nothing_set_is_no_provider() {
    let (settings, source) = read_values(&[]);
    assert!(settings.providers.is_empty() && source.faults.is_empty());
    assert!(!settings.allow_private);
}

#[test]
fn providers_are_read_with_what_belongs_to_them() {
    let (settings, source) = read_values(&[
        ("HALLPASS_SOCIAL_GOOGLE_CLIENT_ID", "google-client"),
        ("HALLPASS_SOCIAL_GOOGLE_CLIENT_SECRET", "google-secret"),
        ("HALLPASS_SOCIAL_GOOGLE_NATIVE_CLIENT_IDS", "ios-client, android-client"),
        ("HALLPASS_SOCIAL_KAKAO_CLIENT_ID", "kakao-client"),
        ("HALLPASS_SOCIAL_KAKAO_SCOPES", "account_email"),
        ("HALLPASS_SOCIAL_OIDC_BIG_CO_ISSUER", "https://id.example.com/realms/x"),
        ("HALLPASS_SOCIAL_OIDC_BIG_CO_CLIENT_ID", "hallpass"),
        ("HALLPASS_SOCIAL_OIDC_BIG_CO_TRUST_EMAIL", "example.com"),
        ("HALLPASS_SOCIAL_OIDC_BIG_CO_DISPLAY_NAME", "Big Co"),
        ("HALLPASS_SOCIAL_RETURN_URLS", "https://app.example.com/in, myapp://in"),
        ("HALLPASS_SOCIAL_CALLBACK", "front-end"),
    ]);
    assert!(source.faults.is_empty(), "{:?}", source.faults);
    assert!(source.unknown.is_empty(), "{:?}", source.unknown);
    let ids: Vec<&str> = settings.providers.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["google", "kakao", "big-co"]);
    assert_eq!(settings.providers[0].native_client_ids, ["ios-client", "android-client"]);
    assert!(!settings.providers[1].is_openid());
    assert_eq!(settings.providers[2].display_name, "Big Co");
    let domains = EmailTrust::Domains(vec!["example.com".to_owned()]);
    assert_eq!(settings.providers[2].email_trust, domains);
    assert_eq!(settings.return_urls, ["https://app.example.com/in", "myapp://in"]);
    assert_eq!(settings.callback, Callback::FrontEnd);
    assert!(!format!("{settings:?}").contains("google-secret"));
}

#[test]
fn a_provider_without_a_page_to_return_to_is_a_warning() {
    let provider = [
        ("HALLPASS_SOCIAL_GITHUB_CLIENT_ID", "x"),
        ("HALLPASS_SOCIAL_GITHUB_CLIENT_SECRET", "x"),
        ("HALLPASS_SOCIAL_RETURN_URLS", "https://app.example.com/in"),
    ];
    let (_, source) = read_values(&provider[..2]);
    assert!(source.faults.is_empty());
    assert!(source.notes[0].contains("HALLPASS_SOCIAL_RETURN_URLS"), "{:?}", source.notes);
    assert!(read_values(&provider).1.notes.is_empty());
    assert!(read_values(&[]).1.notes.is_empty());
}

#[test]
fn all_faults_are_reported_together() {
    let names = faulty(&[
        ("HALLPASS_SOCIAL_GOOGLE_CLIENT_SECRET", "secret"),
        ("HALLPASS_SOCIAL_APPLE_CLIENT_ID", "com.example.web"),
        ("HALLPASS_SOCIAL_MICROSOFT_CLIENT_ID", "x"),
        ("HALLPASS_SOCIAL_MICROSOFT_CLIENT_SECRET", "x"),
        ("HALLPASS_SOCIAL_MICROSOFT_TENANT", "contoso.com"),
        ("HALLPASS_SOCIAL_OIDC_A_ISSUER", "http://id.example.com"),
        ("HALLPASS_SOCIAL_OIDC_A_TRUST_EMAIL", "yes please"),
        ("HALLPASS_SOCIAL_RETURN_URLS", "https://app.example.com/#in"),
    ]);
    assert_eq!(
        names,
        [
            "HALLPASS_SOCIAL_APPLE_KEY_ID",
            "HALLPASS_SOCIAL_APPLE_PRIVATE_KEY",
            "HALLPASS_SOCIAL_APPLE_TEAM_ID",
            "HALLPASS_SOCIAL_GOOGLE_CLIENT_ID",
            "HALLPASS_SOCIAL_MICROSOFT_TENANT",
            "HALLPASS_SOCIAL_OIDC_A_CLIENT_ID",
            "HALLPASS_SOCIAL_OIDC_A_ISSUER",
            "HALLPASS_SOCIAL_OIDC_A_TRUST_EMAIL",
            "HALLPASS_SOCIAL_RETURN_URLS",
        ]
    );
}

fn apple_key() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = STANDARD.encode(pair.to_pkcs8v1().unwrap());
    format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----")
}

#[test]
fn a_provider_that_sends_a_form_needs_the_callback_of_the_service() {
    let key = apple_key();
    let apple = |callback| {
        faulty(&[
            ("HALLPASS_SOCIAL_APPLE_CLIENT_ID", "com.example.web"),
            ("HALLPASS_SOCIAL_APPLE_TEAM_ID", "TEAM123456"),
            ("HALLPASS_SOCIAL_APPLE_KEY_ID", "KEY1234567"),
            ("HALLPASS_SOCIAL_APPLE_PRIVATE_KEY", &key),
            ("HALLPASS_SOCIAL_CALLBACK", callback),
        ])
    };
    assert_eq!(apple("service"), [""; 0]);
    assert_eq!(apple("front-end"), ["HALLPASS_SOCIAL_CALLBACK"]);
}

#[test]
fn every_secret_of_a_provider_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let key = apple_key();
    let secrets = settings().filter(|setting| setting.secret);
    let mut tried = 0;
    for name in secrets.filter_map(|setting| setting.name.strip_prefix(PREFIX)) {
        let name = name.replace("<NAME>", "X");
        let secret = if name == "APPLE_PRIVATE_KEY" { key.as_str() } else { "from a file" };
        std::fs::write(&path, format!("{secret}\n")).unwrap();
        let provider = name.rsplitn(3, '_').last().unwrap();
        let file = format!("{name}_FILE");
        let mut values: HashMap<String, String> = ["CLIENT_ID", "TEAM_ID", "KEY_ID", "ISSUER"]
            .iter()
            .filter(|end| **end == "CLIENT_ID" || provider == "APPLE" || provider == "OIDC_X")
            .map(|end| (format!("{PREFIX}{provider}_{end}"), "https://id.example.com".to_owned()))
            .collect();
        values.insert(format!("{PREFIX}{file}"), path.to_str().unwrap().to_owned());
        let mut source = Source::from_values(values);
        let settings = read(&mut source, Mode::Production);
        assert!(source.faults.is_empty(), "{name}: {:?}", source.faults);
        let found = match &settings.providers[0].client_secret {
            ClientSecret::Fixed(found) => found,
            ClientSecret::Apple(key) => &key.private_key,
            ClientSecret::None => panic!("{name} was not read"),
        };
        assert_eq!(found.expose_text(), secret, "{name}");
        let longest_line = secret.lines().max_by_key(|line| line.len()).unwrap();
        assert!(!format!("{settings:?}").contains(longest_line), "{name} prints");
        tried += 1;
    }
    assert_eq!(tried, PRESETS.len() + 1);
}

#[test]
fn a_setting_that_cannot_be_meant_is_refused() {
    let client = |provider: &str, rest: &[(&str, &str)]| {
        let prefix = format!("HALLPASS_SOCIAL_{provider}_");
        let all: Vec<(String, &str)> = [("CLIENT_ID", "x"), ("CLIENT_SECRET", "x")]
            .iter()
            .chain(rest)
            .map(|(name, value)| (format!("{prefix}{name}"), *value))
            .collect();
        let all: Vec<(&str, &str)> = all.iter().map(|(name, it)| (name.as_str(), *it)).collect();
        faulty(&all)
    };
    assert_eq!(client("GITHUB", &[]), [""; 0]);
    assert_eq!(client("GITHUB", &[("SCOPES", "openid")]), ["HALLPASS_SOCIAL_GITHUB_SCOPES"]);
    assert_eq!(client("GOOGLE", &[("SCOPES", "email")]), ["HALLPASS_SOCIAL_GOOGLE_SCOPES"]);
    assert_eq!(client("GOOGLE", &[("SCOPES", "openid")]), [""; 0]);
    let native = "HALLPASS_SOCIAL_NAVER_NATIVE_CLIENT_IDS";
    assert_eq!(client("NAVER", &[("NATIVE_CLIENT_IDS", "x")]), [native]);
    let issuer = ("ISSUER", "https://id.example.com");
    assert_eq!(client("OIDC_X", &[issuer]), [""; 0]);
    assert_eq!(client("OIDC_GOOGLE", &[issuer]), ["HALLPASS_SOCIAL_OIDC_GOOGLE_ISSUER"]);
    assert_eq!(faulty(&[("HALLPASS_SOCIAL_OIDC_X_SCOPES", "openid")]).len(), 2);
}

#[test]
fn a_return_url_is_a_page_of_https_or_of_an_app() {
    for good in ["https://app.example.com/in?a=b", "http://localhost:5173/in", "myapp:/in"] {
        assert_eq!(faulty(&[("HALLPASS_SOCIAL_RETURN_URLS", good)]), [""; 0], "{good}");
    }
    for bad in [
        "http://app.example.com/in",
        "/in",
        "javascript:alert(1)",
        "https://user@app.example.com/in",
        "https://:secret@app.example.com/in",
        "https://app.example.com/in#x",
        "*",
        "https://app.example.com/in,",
    ] {
        assert_eq!(faulty(&[("HALLPASS_SOCIAL_RETURN_URLS", bad)]).len(), 1, "{bad}");
    }
}
