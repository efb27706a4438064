//! Settings of registration.

use crate::config::source::Source;
use crate::domain::{
    DomainPattern, EmailVerification, RegistrationMode, RegistrationRules, VerifyEmailProof,
};

/// Reads the rules for registration.
pub fn read_registration(s: &mut Source) -> RegistrationRules {
    let modes = [RegistrationMode::Open, RegistrationMode::Invited, RegistrationMode::Closed];
    RegistrationRules {
        mode: s.choice(
            "HALLPASS_REGISTRATION",
            RegistrationMode::Open,
            &modes.map(|mode| (mode.name(), mode)),
        ),
        allowed_domains: read_domains(s, "HALLPASS_EMAIL_DOMAINS_ALLOWED"),
        denied_domains: read_domains(s, "HALLPASS_EMAIL_DOMAINS_DENIED"),
    }
}

/// Reads when e-mail addresses have to be verified.
pub fn read_email_verification(s: &mut Source) -> EmailVerification {
    s.choice(
        "HALLPASS_EMAIL_VERIFICATION",
        EmailVerification::Mandatory,
        &[
            ("mandatory", EmailVerification::Mandatory),
            ("optional", EmailVerification::Optional),
            ("none", EmailVerification::None),
        ],
    )
}

/// Reads the evidence that a verification needs besides the link.
pub fn read_verify_email_proof(s: &mut Source) -> VerifyEmailProof {
    s.choice(
        "HALLPASS_VERIFY_EMAIL_PROOF",
        VerifyEmailProof::Required,
        &[("required", VerifyEmailProof::Required), ("link", VerifyEmailProof::Link)],
    )
}

fn read_domains(s: &mut Source, name: &str) -> Vec<DomainPattern> {
    s.parsed(name, Vec::new(), |text| {
        let domains: Option<Vec<DomainPattern>> =
            text.split(',').map(|part| DomainPattern::parse(part.trim())).collect();
        domains.ok_or_else(|| {
            "must be domains separated by commas: example.com, *.example.org (all below it)"
                .to_owned()
        })
    })
}
