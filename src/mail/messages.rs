//! What Hallpass writes to people: one [`Message`] a kind of mail, one set of templates a language.
//!
//! Templates live in `templates/LANGUAGE/NAME.{subject.txt,txt,html}`, compiled in; the HTML part
//! is put into `templates/layout.html`. A file at the same relative path in the folder of the
//! operator replaces a built-in one.
//!
//! A new mail is a variant of [`Message`] with its line in `name`, `values` and `samples`, its name
//! in `BUILT_IN`, and three templates a language. The tests and [`Messages::load`] ask for the rest.

mod samples;
mod words;

use std::{fmt, path::Path, time::Duration};

use minijinja::{Environment, UndefinedBehavior, Value, context};

use self::words::{minute, no_link, span};
use super::{mime, overrides};
use crate::domain::{Language, UtcTime};

/// A kind of mail with what it has to say.
pub enum Message {
    /// Proves that the address belongs to the person who registers.
    VerifyEmail {
        /// Where the link leads, token and all.
        link: String,
        /// The digits to type instead.
        code: String,
        /// How long both are valid.
        lifetime: Duration,
    },
    /// Proves that the new address of an account belongs to the person who changes it.
    VerifyNewEmail {
        /// Where the link leads, token and all.
        link: String,
        /// The digits to type instead.
        code: String,
        /// How long both are valid.
        lifetime: Duration,
    },
    /// Tells the owner of an account that a user registers with its address, or wants it as new one.
    AlreadyRegistered {
        /// For those who registered because they forgot their password.
        reset: Option<TimedLink>,
    },
    /// Lets a user who forgot the password choose a new one.
    ResetPassword {
        /// Where the link leads, token and all.
        link: String,
        /// The digits to type instead.
        code: String,
        /// How long both are valid.
        lifetime: Duration,
    },
    /// Tells that staff made an account, and lets its owner choose the first password.
    Invitation {
        /// Where the link leads, token and all.
        link: String,
        /// How long it is valid.
        lifetime: Duration,
    },
    /// Tells of a log-in on a device not seen before.
    NewDevice {
        /// When a user logged in.
        at: UtcTime,
        /// What the device says it is; may be empty.
        device: String,
        /// Where to end all sessions.
        not_me: TimedLink,
    },
    /// Tells that the password was changed or reset.
    PasswordChanged {
        /// When it was.
        at: UtcTime,
        /// Where to end all sessions.
        not_me: TimedLink,
    },
    /// Tells the old address that a user asked for a new one.
    EmailChangeRequested {
        /// When a user asked.
        at: UtcTime,
        /// The address to be.
        new_email: String,
        /// Where to stop the change and end all sessions.
        not_me: TimedLink,
    },
    /// Tells the old address that it is replaced.
    EmailChanged {
        /// When it was.
        at: UtcTime,
        /// The address of the account from now on.
        new_email: String,
        /// Where to bring the old address back and end all sessions.
        not_me: TimedLink,
    },
    /// Tells that the user name was changed, as it was an address that another user has verified.
    UsernameChanged {
        /// When it was.
        at: UtcTime,
        /// The user name before.
        old_username: String,
        /// The user name from now on.
        new_username: String,
        /// Where to end all sessions; `None` if the address of the account is not verified.
        not_me: Option<TimedLink>,
    },
    /// Tells that a session was ended because a replaced refresh token came again.
    RefreshTokenReused {
        /// When it came.
        at: UtcTime,
        /// Where to end all the other sessions too.
        not_me: TimedLink,
    },
    /// Tells that an identity at a provider was linked to the account.
    IdentityLinked {
        /// When it was.
        at: UtcTime,
        /// The name of the provider.
        provider: String,
        /// Where to unlink it and end all sessions.
        not_me: TimedLink,
    },
    /// Tells that an identity at a provider was unlinked from the account.
    IdentityUnlinked {
        /// When it was.
        at: UtcTime,
        /// The name of the provider.
        provider: String,
        /// Where to end all sessions.
        not_me: TimedLink,
    },
}

/// A link that is valid for a time.
pub struct TimedLink {
    /// Where the link leads, token and all.
    pub link: String,
    /// How long it is valid.
    pub lifetime: Duration,
}

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[
            (LAYOUT, include_str!("templates/layout.html")),
            $(
                built_in!(@file "en", $name, "subject.txt"),
                built_in!(@file "en", $name, "txt"),
                built_in!(@file "en", $name, "html"),
                built_in!(@file "ko", $name, "subject.txt"),
                built_in!(@file "ko", $name, "txt"),
                built_in!(@file "ko", $name, "html"),
            )+
        ]
    };
    (@file $language:literal, $name:literal, $part:literal) => {
        (
            concat!($language, "/", $name, ".", $part),
            include_str!(concat!("templates/", $language, "/", $name, ".", $part)),
        )
    };
}

const LAYOUT: &str = "layout.html";
const BUILT_IN: &[(&str, &str)] = built_in![
    "verify_email",
    "verify_new_email",
    "already_registered",
    "reset_password",
    "invitation",
    "new_device",
    "password_changed",
    "email_change_requested",
    "email_changed",
    "username_changed",
    "refresh_token_reused",
    "identity_linked",
    "identity_unlinked",
];

impl Message {
    /// The name of its templates.
    const fn name(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::VerifyNewEmail { .. } => "verify_new_email",
            Self::AlreadyRegistered { .. } => "already_registered",
            Self::ResetPassword { .. } => "reset_password",
            Self::Invitation { .. } => "invitation",
            Self::NewDevice { .. } => "new_device",
            Self::PasswordChanged { .. } => "password_changed",
            Self::EmailChangeRequested { .. } => "email_change_requested",
            Self::EmailChanged { .. } => "email_changed",
            Self::UsernameChanged { .. } => "username_changed",
            Self::RefreshTokenReused { .. } => "refresh_token_reused",
            Self::IdentityLinked { .. } => "identity_linked",
            Self::IdentityUnlinked { .. } => "identity_unlinked",
        }
    }

    /// Returns its link, token and all, if it has one.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::VerifyEmail { link, .. }
            | Self::VerifyNewEmail { link, .. }
            | Self::ResetPassword { link, .. }
            | Self::Invitation { link, .. } => Some(link),
            Self::AlreadyRegistered { reset: link }
            | Self::UsernameChanged { not_me: link, .. } => {
                link.as_ref().map(|link| link.link.as_str())
            }
            Self::NewDevice { not_me, .. }
            | Self::PasswordChanged { not_me, .. }
            | Self::EmailChangeRequested { not_me, .. }
            | Self::EmailChanged { not_me, .. }
            | Self::RefreshTokenReused { not_me, .. }
            | Self::IdentityLinked { not_me, .. }
            | Self::IdentityUnlinked { not_me, .. } => Some(&not_me.link),
        }
    }

    /// Returns its code, if it has one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::VerifyEmail { code, .. }
            | Self::VerifyNewEmail { code, .. }
            | Self::ResetPassword { code, .. } => Some(code),
            _ => None,
        }
    }

    /// What its templates can use, beside `service` and `language`.
    fn values(&self, language: Language) -> Value {
        match self {
            Self::VerifyEmail { link, code, lifetime }
            | Self::VerifyNewEmail { link, code, lifetime }
            | Self::ResetPassword { link, code, lifetime } => {
                context! { link, code, lifetime => span(language, *lifetime) }
            }
            Self::AlreadyRegistered { reset } => context! {
                link => reset.as_ref().map(|reset| &reset.link),
                lifetime => reset.as_ref().map(|reset| span(language, reset.lifetime)),
            },
            Self::Invitation { link, lifetime } => {
                context! { link, lifetime => span(language, *lifetime) }
            }
            Self::NewDevice { at, device, not_me } => {
                context! { at => minute(*at), device => no_link(device), ..not_me.values(language) }
            }
            Self::EmailChangeRequested { at, new_email, not_me }
            | Self::EmailChanged { at, new_email, not_me } => context! {
                at => minute(*at), new_email => mime::one_line(new_email), ..not_me.values(language)
            },
            Self::UsernameChanged { at, old_username, new_username, not_me } => context! {
                at => minute(*at),
                old_username => mime::one_line(old_username),
                new_username => mime::one_line(new_username),
                not_me => not_me.as_ref().map(|not_me| &not_me.link),
                lifetime => not_me.as_ref().map(|not_me| span(language, not_me.lifetime)),
            },
            Self::IdentityLinked { at, provider, not_me }
            | Self::IdentityUnlinked { at, provider, not_me } => context! {
                at => minute(*at), provider => mime::one_line(provider), ..not_me.values(language)
            },
            Self::PasswordChanged { at, not_me } | Self::RefreshTokenReused { at, not_me } => {
                context! { at => minute(*at), ..not_me.values(language) }
            }
        }
    }
}

impl TimedLink {
    /// What the templates of a notice use of the link that reports unauthorized activity.
    fn values(&self, language: Language) -> Value {
        context! { not_me => &self.link, lifetime => span(language, self.lifetime) }
    }
}

/// A mail in words.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part, a whole document.
    pub html: String,
}

/// Shows the subject only: the parts hold codes and links.
impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendered").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The templates, ready to use.
pub struct Messages {
    templates: Environment<'static>,
}

impl Messages {
    /// Takes the built-in templates and those of the folder over them. A file that is no template,
    /// has another name or does not render is an error that names it.
    pub fn load(override_dir: Option<&Path>) -> Result<Self, String> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_formatter(super::html::format);
        for &(name, source) in BUILT_IN {
            templates.add_template(name, source).map_err(|fault| fault.to_string())?;
        }
        let replacements = override_dir.map(overrides::read).transpose()?.unwrap_or_default();
        for (name, source) in replacements {
            if !BUILT_IN.iter().any(|(known, _)| *known == name) {
                return Err(unknown(&name));
            }
            templates
                .add_template_owned(name.clone(), source)
                .map_err(|fault| format!("mail template {name}: {fault}"))?;
        }
        let messages = Self { templates };
        for language in Language::ALL {
            for sample in Message::samples() {
                messages.render(language, &sample, "Sample")?;
            }
        }
        Ok(messages)
    }

    /// Writes a mail in this language. `service_name` is what people know the site as.
    pub fn render(
        &self,
        language: Language,
        message: &Message,
        service_name: &str,
    ) -> Result<Rendered, String> {
        let values = context! {
            service => service_name,
            language => language.tag(),
            ..message.values(language)
        };
        let part = |part: &str| {
            self.part(&format!("{}/{}.{part}", language.tag(), message.name()), &values)
        };
        let subject = mime::one_line(&part("subject.txt")?);
        if subject.is_empty() {
            let (language, name) = (language.tag(), message.name());
            return Err(format!("mail template {language}/{name}.subject.txt: it is empty"));
        }
        let body = Value::from_safe_string(part("html")?);
        let html = self.part(LAYOUT, &context! { subject => &subject, body, ..values.clone() })?;
        Ok(Rendered { subject, text: part("txt")? + "\n", html: html + "\n" })
    }

    fn part(&self, name: &str, values: &Value) -> Result<String, String> {
        let rendered = self.templates.get_template(name).and_then(|found| found.render(values));
        rendered.map_err(|fault| format!("mail template {name}: {fault}"))
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
    format!("mail template {name}: there is none of this name; there are {}", known.join(", "))
}

#[cfg(test)]
mod tests;
