//! The client at implementations of OpenID Connect that share no code with this one.

use hallpass::clock::{Clock as _, SystemClock};

use super::*;
use crate::implementations::RealProvider;

#[test]
fn a_certified_provider_logs_in_a_user() {
    if let Some(provider) = RealProvider::oidc_provider(REQUEST.redirect_uri) {
        log_in_at(provider);
    }
}

#[test]
fn a_provider_of_authlib_logs_in_a_user() {
    if let Some(provider) = RealProvider::authlib(REQUEST.redirect_uri) {
        log_in_at(provider);
    }
}

fn log_in_at(mut provider: RealProvider) {
    let issuer = provider.issuer().to_owned();
    let secret = ClientSecret::Fixed(SecretText::from(provider.client_secret().to_owned()));
    let client_id = provider.client_id().to_owned();
    let mut settings = Preset::generic("test".to_owned(), issuer.clone(), client_id, secret);
    settings.email_trust = EmailTrust::Verified;
    let social = SocialSettings { timeout: Duration::from_secs(10), ..social() };
    let client = Provider::new(settings, &social);

    assert_eq!(client.diagnose(SystemClock.now()).unwrap(), [""; 0]);
    let mut log_in = |request: &AuthorizationRequest<'_>, login: &str| {
        let url = client.authorization_url(request, SystemClock.now()).unwrap();
        let response = parameters(&provider.log_in(&url, login));
        assert_eq!(response["state"], request.state);
        let iss = response.get("iss").map(String::as_str);
        client.check_response_issuer(iss, SystemClock.now()).unwrap();
        assert!(client.check_response_issuer(None, SystemClock.now()).is_err());
        response["code"].clone()
    };
    for (login, verified) in [("mina", true), ("unverified-ravi", false)] {
        let request = AuthorizationRequest { nonce: login, ..REQUEST };
        let code = log_in(&request, login);
        let response = CodeResponse { code: &code, request };
        let identity = client.redeem(&response, SystemClock.now()).unwrap();
        assert_eq!((identity.key.issuer, identity.key.subject), (issuer.clone(), login.to_owned()));
        assert_eq!(identity.email.unwrap().as_str(), format!("{login}@example.com"));
        assert_eq!(identity.email_verified, verified);
        let again = client.redeem(&response, SystemClock.now()).unwrap_err();
        assert!(matches!(again, ProviderError::Code(_)), "{again}");
    }
    // A code is of no use without the verifier of its flow.
    let code = log_in(&REQUEST, "eve");
    let request = AuthorizationRequest { code_verifier: &"x".repeat(43), ..REQUEST };
    let stolen = client.redeem(&CodeResponse { code: &code, request }, SystemClock.now());
    assert!(matches!(stolen, Err(ProviderError::Code(_))));
}
