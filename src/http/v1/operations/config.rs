//! `GET /v1/config`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{
    ChallengeKind, DomainPattern, EmailVerification, Language, Metadata, VerifyEmailProof,
};
use crate::http::state::State;
use crate::http::v1::password::password_policy::PublicPolicy;
use crate::http::v1::social::provider::SocialProvider;

/// Settings of this installation that a front end needs.
#[derive(Serialize, ToSchema)]
pub struct PublicConfig {
    /// Name of the service in mail and pages.
    #[schema(example = "Hallpass")]
    service_name: String,
    /// The issuer of access tokens.
    #[schema(example = "http://127.0.0.1:8000")]
    issuer: String,
    /// The audiences of access tokens.
    #[schema(example = json!(["http://127.0.0.1:8000"]))]
    audience: Vec<String>,
    /// Verification of e-mail addresses: `mandatory`, `optional` or `none`.
    #[schema(example = "mandatory", pattern = "^(mandatory|optional|none)$")]
    email_verification: &'static str,
    /// Users who may register: `open` (all), `invited` (users whom staff invited) or `closed` (the same,
    /// and `register` is refused).
    #[schema(example = "open", pattern = "^(open|invited|closed)$")]
    registration: &'static str,
    /// Permitted domains of e-mail addresses; empty: all. `*.example.com` stands for all below it.
    #[schema(example = json!(["example.com", "*.example.org"]))]
    email_domains_allowed: Vec<String>,
    /// Domains whose addresses are refused, even if `email_domains_allowed` has them.
    #[schema(example = json!([]))]
    email_domains_denied: Vec<String>,
    /// Evidence required besides the mail's link: `required` (the registration token or the
    /// password) or `link` (none).
    #[schema(example = "required", pattern = "^(required|link)$")]
    verify_email_proof: &'static str,
    /// The rules for a new password.
    password_policy: PublicPolicy,
    /// Lifetime of an access token, in seconds.
    #[schema(example = 300)]
    access_token_expires_in: u64,
    /// Lifetime of an unused refresh token, in seconds.
    #[schema(example = 604_800)]
    refresh_token_expires_in: u64,
    /// Longest lifetime of a session, in seconds.
    #[schema(example = 2_592_000)]
    session_expires_in: u64,
    /// Grace period in which a replaced refresh token returns its successor, in seconds.
    #[schema(example = 30)]
    refresh_grace: u64,
    /// Lifetime of a pending registration, in seconds.
    #[schema(example = 86_400)]
    registration_expires_in: u64,
    /// Lifetime of the link and code of a reset mail, in seconds.
    #[schema(example = 1_800)]
    password_reset_expires_in: u64,
    /// Lifetime of a pending change of the e-mail address, in seconds.
    #[schema(example = 3_600)]
    email_change_expires_in: u64,
    /// Age up to which a log-in replaces the password in sensitive requests, in seconds.
    #[schema(example = 300)]
    reauth_window: u64,
    /// Maximum size of an account's `metadata` in bytes.
    #[schema(example = 4_096)]
    metadata_max_bytes: usize,
    /// Languages of mail, as BCP 47 tags.
    #[schema(example = json!(["en", "ko"]))]
    languages: Vec<&'static str>,
    /// Services at which users can log in, in the order in which they should be shown.
    social_providers: Vec<SocialProvider>,
}

fn shown(domains: &[DomainPattern]) -> Vec<String> {
    domains.iter().map(ToString::to_string).collect()
}

#[utoipa::path(
    get,
    path = "/v1/config",
    operation_id = "publicConfig",
    tag = "configuration",
    summary = "Public configuration",
    description = "Modes, rules and lifetimes of this installation. Nothing in it is secret.",
    responses((status = 200, description = "The configuration.", body = PublicConfig))
)]
/// Returns the configuration.
pub async fn handle(state: web::Data<State>) -> web::Json<PublicConfig> {
    let policy = state.flows.policy();
    web::Json(PublicConfig {
        service_name: state.service_name.clone(),
        issuer: state.flows.issuer().to_owned(),
        audience: state.flows.audiences().to_vec(),
        email_verification: match policy.email_verification {
            EmailVerification::Mandatory => "mandatory",
            EmailVerification::Optional => "optional",
            EmailVerification::None => "none",
        },
        registration: policy.registration.mode.name(),
        email_domains_allowed: shown(&policy.registration.allowed_domains),
        email_domains_denied: shown(&policy.registration.denied_domains),
        verify_email_proof: match policy.verify_email_proof {
            VerifyEmailProof::Required => "required",
            VerifyEmailProof::Link => "link",
        },
        password_policy: (&policy.password).into(),
        access_token_expires_in: state.flows.access_token_lifetime().as_secs(),
        refresh_token_expires_in: policy.refresh_idle.as_secs(),
        session_expires_in: policy.session_lifetime.as_secs(),
        refresh_grace: policy.refresh_grace.as_secs(),
        registration_expires_in: ChallengeKind::Registration.lifetime().as_secs(),
        password_reset_expires_in: ChallengeKind::ResetPassword.lifetime().as_secs(),
        email_change_expires_in: ChallengeKind::ChangeEmail.lifetime().as_secs(),
        reauth_window: policy.reauth_window.as_secs(),
        metadata_max_bytes: Metadata::MAX_BYTES,
        languages: Language::ALL.map(Language::tag).to_vec(),
        social_providers: state
            .flows
            .list_providers()
            .into_iter()
            .map(SocialProvider::from)
            .collect(),
    })
}
