//! Settings of social log-in.

mod providers;
#[cfg(test)]
mod tests;

use url::Url;

use super::readers::{Mode, is_app_scheme, is_this_machine};
use super::source::Source;
use crate::outgoing::Targets;
use crate::social::{Callback, SocialSettings};

const RETURN_URLS: &str = "HALLPASS_SOCIAL_RETURN_URLS";
const CALLBACK: &str = "HALLPASS_SOCIAL_CALLBACK";

/// Reads the settings of social log-in.
pub(super) fn read(s: &mut Source, mode: Mode) -> SocialSettings {
    let allow_private =
        s.choice("HALLPASS_SOCIAL_ALLOW_PRIVATE", false, &[("on", true), ("off", false)]);
    let targets = if allow_private { Targets::Any } else { Targets::Public };
    let providers = providers::read_all(s, targets);
    if allow_private && mode == Mode::Production {
        s.notes.push(
            "HALLPASS_SOCIAL_ALLOW_PRIVATE is on: a provider can make this service call addresses of \
             its own network"
                .to_owned(),
        );
    }
    let callback = s.choice(
        CALLBACK,
        Callback::Service,
        &[("service", Callback::Service), ("front-end", Callback::FrontEnd)],
    );
    let posts_form = providers.iter().find(|provider| provider.response_mode.is_some());
    if let (Callback::FrontEnd, Some(provider)) = (callback, posts_form) {
        let name = &provider.display_name;
        s.fault(CALLBACK, format!("must be service: {name} sends a form, which no page receives"));
    }
    let return_urls = read_return_urls(s, mode);
    if return_urls.is_empty() && !providers.is_empty() {
        s.notes.push(format!(
            "{RETURN_URLS} is not set: browsers cannot log in at a provider, since there is no page \
             to return to"
        ));
    }
    SocialSettings {
        providers,
        return_urls,
        callback,
        allow_private,
        timeout: SocialSettings::TIMEOUT,
    }
}

/// Pages that flows may return to. They get parameters, so they have no fragment.
fn read_return_urls(s: &mut Source, mode: Mode) -> Vec<String> {
    let is_page = |text: &str| {
        Url::parse(text).is_ok_and(|url| {
            let is_safe = match url.scheme() {
                "https" => true,
                "http" => mode != Mode::Production || url.host_str().is_some_and(is_this_machine),
                scheme => is_app_scheme(scheme),
            };
            let has_credentials = !url.username().is_empty() || url.password().is_some();
            is_safe && url.fragment().is_none() && !has_credentials
        })
    };
    s.parsed(RETURN_URLS, Vec::new(), |text| {
        let urls: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        match urls.iter().find(|url| !is_page(url)) {
            None => Ok(urls),
            Some(url) => Err(format!(
                "{url:?} is not a page that a log-in can return to: an https URL (http on this \
                 machine or in development) or one of an app, without fragment"
            )),
        }
    })
}
