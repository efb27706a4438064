//! Settings of providers: those with a preset, and those that are known by their issuer only.

use crate::config::settings::is_provider_name;
use crate::config::source::Source;
use crate::domain::SecretText;
use crate::outgoing::Targets;
use crate::social::{
    AppleKey, ClientSecret, Credential, EmailTrust, IssuerName, PRESETS, Preset, ProviderSettings,
    is_endpoint,
};

pub(super) const PREFIX: &str = "HALLPASS_SOCIAL_";
/// The ends of the settings of a provider that is known by its issuer only.
const GENERIC_ENDS: [&str; 8] = [
    "_ISSUER",
    "_CLIENT_ID",
    "_CLIENT_SECRET",
    "_CLIENT_SECRET_FILE",
    "_SCOPES",
    "_TRUST_EMAIL",
    "_DISPLAY_NAME",
    "_NATIVE_CLIENT_IDS",
];

/// Reads the providers, in the order in which they are listed.
pub(super) fn read_all(s: &mut Source, targets: Targets) -> Vec<ProviderSettings> {
    let presets = PRESETS.iter().filter_map(|preset| read_preset(s, preset));
    let mut providers: Vec<ProviderSettings> = presets.collect();
    for name in generic_names(s) {
        providers.extend(read_generic(s, &name, targets));
    }
    providers
}

/// Reads a provider with a preset, if anything is set of it.
fn read_preset(s: &mut Source, preset: &Preset) -> Option<ProviderSettings> {
    let prefix = format!("{PREFIX}{}", preset.id.to_ascii_uppercase());
    // The tenant has a default, which may stand there by itself.
    if s.names_after(&format!("{prefix}_")).iter().all(|name| name == "TENANT") {
        return None;
    }
    let client_id = required(s, &format!("{prefix}_CLIENT_ID"));
    let secret_name = format!("{prefix}_CLIENT_SECRET");
    let client_secret = match preset.credential {
        Credential::Secret => required_secret(s, &secret_name).map(ClientSecret::Fixed),
        Credential::OptionalSecret => Some(optional_secret(s, &secret_name)),
        Credential::SignedSecret => read_apple_key(s, &prefix).map(ClientSecret::Apple),
    };
    let tenants = if preset.has_tenants() { read_tenant(s, &prefix) } else { None };
    let mut settings = preset.settings(client_id?, client_secret?);
    settings.issuer = tenants.unwrap_or(settings.issuer);
    read_scopes(s, &prefix, &mut settings, |has_openid| {
        has_openid == preset.has_id_tokens() || (preset.works_without_openid && !has_openid)
    });
    settings.native_client_ids = read_native_client_ids(s, &prefix);
    if !settings.native_client_ids.is_empty() && !preset.has_id_tokens() {
        let name = native_client_ids(&prefix);
        s.fault(&name, "is not for this provider, which has no id tokens");
    }
    Some(settings)
}

/// A provider that is known by its issuer only.
fn read_generic(s: &mut Source, name: &str, targets: Targets) -> Option<ProviderSettings> {
    let prefix = format!("{PREFIX}OIDC_{name}");
    let id = name.to_ascii_lowercase().replace('_', "-");
    if Preset::find(&id).is_some() {
        s.fault(&format!("{prefix}_ISSUER"), "has the name of a built-in provider: choose another");
    }
    let issuer_name = format!("{prefix}_ISSUER");
    let issuer = required(s, &issuer_name);
    if issuer.as_deref().is_some_and(|issuer| !is_issuer(issuer, targets)) {
        s.fault(
            &issuer_name,
            "must be an https URL without query and fragment (or http, with \
             HALLPASS_SOCIAL_ALLOW_PRIVATE=on)",
        );
    }
    let client_id = required(s, &format!("{prefix}_CLIENT_ID"));
    let secret = optional_secret(s, &format!("{prefix}_CLIENT_SECRET"));
    let trust = s.parsed(&format!("{prefix}_TRUST_EMAIL"), EmailTrust::Never, |text| {
        EmailTrust::parse(text)
            .ok_or_else(|| "must be on, off, or domains separated by commas".to_owned())
    });
    let native_client_ids = read_native_client_ids(s, &prefix);
    let display_name = s.text(&format!("{prefix}_DISPLAY_NAME"));
    let mut settings = Preset::generic(id, issuer?, client_id?, secret);
    read_scopes(s, &prefix, &mut settings, |has_openid| has_openid);
    settings.email_trust = trust;
    settings.native_client_ids = native_client_ids;
    settings.display_name = display_name.unwrap_or(settings.display_name);
    Some(settings)
}

/// The names of providers between `HALLPASS_SOCIAL_OIDC_` and the end of a setting.
fn generic_names(s: &Source) -> Vec<String> {
    let set = s.names_after(&format!("{PREFIX}OIDC_"));
    let name = |text: &String| {
        let name = GENERIC_ENDS.iter().find_map(|end| text.strip_suffix(end))?;
        is_provider_name(name).then(|| name.to_owned())
    };
    let mut names: Vec<String> = set.iter().filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

fn required(s: &mut Source, name: &str) -> Option<String> {
    let text = s.text(name).map(|text| text.trim().to_owned());
    if text.is_none() {
        s.fault(name, "is required for this provider");
    }
    text
}

fn required_secret(s: &mut Source, name: &str) -> Option<SecretText> {
    let before = s.faults.len();
    let secret = s.secret(name).filter(|text| !text.is_empty());
    if secret.is_none() && s.faults.len() == before {
        s.fault(name, "is required for this provider");
    }
    secret.map(SecretText::from)
}

fn optional_secret(s: &mut Source, name: &str) -> ClientSecret {
    let secret = s.secret(name).filter(|text| !text.is_empty());
    secret.map_or(ClientSecret::None, |text| ClientSecret::Fixed(text.into()))
}

fn read_apple_key(s: &mut Source, prefix: &str) -> Option<AppleKey> {
    let team_id = required(s, &format!("{prefix}_TEAM_ID"));
    let key_id = required(s, &format!("{prefix}_KEY_ID"));
    let name = format!("{prefix}_PRIVATE_KEY");
    let private_key = required_secret(s, &name);
    let key = AppleKey { team_id: team_id?, key_id: key_id?, private_key: private_key? };
    if !key.is_usable() {
        s.fault(&name, "must be the text of the .p8 file: a P-256 key in PEM (PKCS #8)");
    }
    Some(key)
}

fn read_tenant(s: &mut Source, prefix: &str) -> Option<IssuerName> {
    let name = format!("{prefix}_TENANT");
    let tenant = s.text(&name).unwrap_or_else(|| Preset::DEFAULT_TENANT.to_owned());
    let issuer = Preset::microsoft_issuer(tenant.trim());
    if issuer.is_none() {
        s.fault(&name, "must be the id of a tenant (a UUID), common, organizations or consumers");
    }
    issuer
}

fn read_scopes(
    s: &mut Source,
    prefix: &str,
    settings: &mut ProviderSettings,
    may_have_openid: impl Fn(bool) -> bool,
) {
    let name = format!("{prefix}_SCOPES");
    let Some(text) = s.text(&name) else { return };
    // RFC 6749 section 3.3.
    let is_scope =
        |it: &&str| it.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    let scopes: Vec<&str> = text.split_whitespace().collect();
    settings.scopes = scopes.join(" ");
    if !scopes.iter().all(is_scope) {
        s.fault(&name, "must be scopes separated by spaces");
    } else if !may_have_openid(settings.is_openid()) {
        let advice = if settings.is_openid() {
            "must not contain openid: this provider has no id tokens"
        } else {
            "must contain openid"
        };
        s.fault(&name, advice);
    }
}

/// Returns the name of the setting.
fn native_client_ids(prefix: &str) -> String {
    format!("{prefix}_NATIVE_CLIENT_IDS")
}

fn read_native_client_ids(s: &mut Source, prefix: &str) -> Vec<String> {
    let name = native_client_ids(prefix);
    let Some(text) = s.text(&name) else { return Vec::new() };
    let ids: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
    if ids.iter().any(String::is_empty) {
        s.fault(&name, "must be client ids separated by commas");
    }
    ids
}

fn is_issuer(text: &str, targets: Targets) -> bool {
    is_endpoint(text, targets) && !text.contains('?')
}
