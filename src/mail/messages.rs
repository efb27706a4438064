//! What Hallpass writes to people: one [`Message`] a kind of mail, one set of templates a language.
//!
//! Templates live in `templates/LANGUAGE/NAME.{subject.txt,txt,html}`, compiled in; the HTML part
//! is put into `templates/layout.html`. A file at the same relative path in the folder of the
//! operator replaces a built-in one.
//!
//! A new mail is a variant of [`Message`] with its line in `name`, `values` and `samples`, its name
//! in `BUILT_IN`, and three templates a language. The tests and [`Messages::load`] ask for the rest.

use std::{fmt, path::Path, time::Duration};

use minijinja::{Environment, UndefinedBehavior, Value, context};

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
    /// Tells the owner of an account that somebody registers with the same address.
    AlreadyRegistered {
        /// Where to log in or reset the password, if the operator has such a page.
        link: Option<String>,
    },
    /// Tells that a session was ended because a replaced refresh token came again.
    RefreshTokenReused {
        /// When it came.
        at: UtcTime,
    },
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
const BUILT_IN: &[(&str, &str)] =
    built_in!["verify_email", "already_registered", "refresh_token_reused"];

impl Message {
    /// The name of its templates.
    const fn name(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::AlreadyRegistered { .. } => "already_registered",
            Self::RefreshTokenReused { .. } => "refresh_token_reused",
        }
    }

    /// What its templates can use, beside `service` and `language`.
    fn values(&self, language: Language) -> Value {
        match self {
            Self::VerifyEmail { link, code, lifetime } => {
                context! { link, code, lifetime => span(language, *lifetime) }
            }
            Self::AlreadyRegistered { link } => context! { link },
            Self::RefreshTokenReused { at } => context! { at => minute(*at) },
        }
    }

    /// One of each kind and shape, to try the templates with.
    fn samples() -> Vec<Self> {
        let link = || "https://example.com/page?token=sample".to_owned();
        vec![
            Self::VerifyEmail {
                link: link(),
                code: "123456".to_owned(),
                lifetime: Duration::from_hours(24),
            },
            Self::AlreadyRegistered { link: Some(link()) },
            Self::AlreadyRegistered { link: None },
            Self::RefreshTokenReused { at: UtcTime::from_seconds(1_767_225_600) },
        ]
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

/// A span of time in words, rounded down so that nothing is promised for longer than it lasts.
fn span(language: Language, span: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = span.as_secs();
    let (count, english, korean) = match seconds {
        // One day reads better as 24 hours: nobody asks whether it ends at midnight.
        _ if seconds >= 2 * DAY => (seconds / DAY, "day", "일"),
        _ if seconds >= 2 * HOUR || seconds == HOUR => (seconds / HOUR, "hour", "시간"),
        _ if seconds >= MINUTE => (seconds / MINUTE, "minute", "분"),
        _ => (seconds, "second", "초"),
    };
    match language {
        Language::English if count == 1 => format!("1 {english}"),
        Language::English => format!("{count} {english}s"),
        Language::Korean => format!("{count}{korean}"),
    }
}

/// `2026-01-01 12:30 UTC`
fn minute(at: UtcTime) -> String {
    let text = humantime::format_rfc3339_seconds(mime::system_time(at)).to_string();
    let to_the_minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", to_the_minute.replace('T', " "))
}

#[cfg(test)]
mod tests;
