//! Claims about e-mail addresses, and the trust in them.

use serde_json::Value;

use super::EmailTrust;
use crate::domain::Email;

/// Claims of one document of a provider about the e-mail address. The claims of two documents are
/// never mixed: the flags belong to the address beside them.
#[derive(Clone, Debug, Default)]
pub(super) struct EmailClaims {
    pub name: Option<String>,
    pub email: Option<String>,
    pub email_verified: Option<Value>,
    /// `hd` of Google.
    pub hosted_domain: Option<String>,
    /// `xms_edov` of Microsoft.
    pub domain_owner_verified: Option<Value>,
}

impl EmailClaims {
    /// Returns the address, if it is one that mail can be sent to.
    pub(super) fn address(&self) -> Option<Email> {
        self.email.as_deref().and_then(|text| Email::parse(text).ok())
    }

    /// Returns whether another document is needed to know the address and its state.
    pub(super) fn is_incomplete(&self, trust: &EmailTrust) -> bool {
        let needs_flag = !matches!(trust, EmailTrust::Never | EmailTrust::Microsoft);
        self.email.is_none() || (needs_flag && self.email_verified.is_none())
    }

    /// Returns whether the address counts as verified.
    pub(super) fn is_trusted(&self, email: &Email, trust: &EmailTrust) -> bool {
        let verified = is_true(self.email_verified.as_ref());
        let domain = email.domain();
        match trust {
            EmailTrust::Never => false,
            EmailTrust::Verified => verified,
            EmailTrust::Domains(domains) => verified && domains.iter().any(|it| it == domain),
            EmailTrust::Google => {
                let is_gmail = matches!(domain, "gmail.com" | "googlemail.com");
                verified
                    && (is_gmail || self.hosted_domain.as_ref().is_some_and(|it| !it.is_empty()))
            }
            EmailTrust::Microsoft => {
                let flag = self.domain_owner_verified.as_ref();
                is_true(flag)
                    || flag.is_some_and(|it| it.as_u64() == Some(1) || it.as_str() == Some("1"))
            }
        }
    }
}

/// Returns whether a flag is set: `true`, or the text "true" that Apple and some others send.
fn is_true(flag: Option<&Value>) -> bool {
    match flag {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trusted(trust: &EmailTrust, email: &str, verified: Value) -> bool {
        let claims = EmailClaims {
            email: Some(email.to_owned()),
            email_verified: Some(verified),
            ..EmailClaims::default()
        };
        claims.is_trusted(&claims.address().unwrap(), trust)
    }

    #[test]
    fn a_flag_is_set_by_true_and_its_text_only() {
        let trust = EmailTrust::Verified;
        for set in [json!(true), json!("true")] {
            assert!(trusted(&trust, "a@example.com", set));
        }
        let unset = [
            json!(false),
            json!("false"),
            json!("False"),
            json!("TRUE"),
            json!(""),
            json!(1),
            json!("1"),
            json!(["true"]),
            json!({"true": true}),
            Value::Null,
        ];
        for unset in unset {
            assert!(!trusted(&trust, "a@example.com", unset.clone()), "{unset}");
        }
        assert!(!trusted(&EmailTrust::Never, "a@example.com", json!(true)));
    }

    #[test]
    fn domains_are_compared_whole() {
        let trust = EmailTrust::parse("Example.com, bücher.example").unwrap();
        for good in ["a@example.com", "A@EXAMPLE.COM", "a@xn--bcher-kva.example"] {
            assert!(trusted(&trust, good, json!(true)), "{good}");
        }
        for bad in ["a@sub.example.com", "a@badexample.com", "a@example.com.evil.example"] {
            assert!(!trusted(&trust, bad, json!(true)), "{bad}");
        }
        assert_eq!(EmailTrust::parse("on"), Some(EmailTrust::Verified));
        assert_eq!(EmailTrust::parse("off"), Some(EmailTrust::Never));
        assert_eq!(EmailTrust::parse("example.com,"), None);
        assert_eq!(EmailTrust::parse("*"), None);
    }

    #[test]
    fn google_is_authoritative_for_gmail_and_workspace_only() {
        let hosted = |domain: &str| EmailClaims {
            email: Some("a@example.com".to_owned()),
            email_verified: Some(json!(true)),
            hosted_domain: Some(domain.to_owned()),
            ..EmailClaims::default()
        };
        let is_trusted = |claims: &EmailClaims| {
            claims.is_trusted(&claims.address().unwrap(), &EmailTrust::Google)
        };
        assert!(is_trusted(&hosted("example.com")));
        assert!(!is_trusted(&hosted("")));
        assert!(trusted(&EmailTrust::Google, "a@gmail.com", json!(true)));
        assert!(!trusted(&EmailTrust::Google, "a@gmail.com", json!(false)));
        assert!(!trusted(&EmailTrust::Google, "a@example.com", json!(true)));
    }

    #[test]
    fn microsoft_says_so_by_its_own_claim_only() {
        let said = |flag: Option<Value>| {
            let claims = EmailClaims {
                email: Some("a@example.com".to_owned()),
                email_verified: Some(json!(true)),
                domain_owner_verified: flag,
                ..EmailClaims::default()
            };
            claims.is_trusted(&claims.address().unwrap(), &EmailTrust::Microsoft)
        };
        assert!([json!(true), json!("true"), json!(1), json!("1")].map(Some).into_iter().all(said));
        for flag in
            [None, Some(json!(false)), Some(json!("false")), Some(json!(0)), Some(json!("0"))]
        {
            assert!(!said(flag.clone()), "{flag:?}");
        }
    }
}
