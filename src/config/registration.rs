//! Settings of registration.

use super::source::Source;
use crate::domain::{DomainPattern, RegistrationMode, RegistrationRules};
use crate::flows::EmailVerification;

pub(super) fn read(s: &mut Source) -> RegistrationRules {
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

/// When an address has to be verified.
pub(super) fn read_email_verification(s: &mut Source) -> EmailVerification {
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
