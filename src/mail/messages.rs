//! The texts of mails: one [`Message`] for each kind of mail, one set of templates for each
//! language.
//!
//! Templates live in `templates/LANGUAGE/NAME.{subject.txt,txt,html}`, compiled in; the HTML part
//! is put into `templates/layout.html`. A file at the same relative path in the operator's folder
//! replaces a built-in one.
//!
//! A new mail is a variant of [`Message`] with its line in `name`, `values` and `samples`, its name
//! in `BUILT_IN`, and three templates for each language. The tests and [`Messages::load`] check
//! that none is missing.

mod message;
mod samples;
mod words;

use std::fmt;
use std::path::Path;

use minijinja::{Environment, UndefinedBehavior, Value, context};

pub use self::message::{Message, TimedLink};
use super::{mime, overrides};
use crate::domain::Language;

macro_rules! built_in {
    ([$($language:literal),+], $names:tt) => {
        &[
            &[(LAYOUT, include_str!("templates/layout.html"))],
            $(built_in!(@language $language, $names)),+
        ]
    };
    (@language $language:literal, [$($name:literal),+ $(,)?]) => {
        &[$(
            built_in!(@file $language, $name, "subject.txt"),
            built_in!(@file $language, $name, "txt"),
            built_in!(@file $language, $name, "html"),
        )+]
    };
    (@file $language:literal, $name:literal, $part:literal) => {
        (
            concat!($language, "/", $name, ".", $part),
            include_str!(concat!("templates/", $language, "/", $name, ".", $part)),
        )
    };
}

const LAYOUT: &str = "layout.html";
const BUILT_IN: &[&[(&str, &str)]] = built_in!(
    ["en", "ko"],
    [
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
    ]
);

/// The text of a mail.
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

/// The templates.
pub struct Messages {
    templates: Environment<'static>,
}

impl Messages {
    /// Prepares the built-in templates, and those of the folder in their place.
    ///
    /// # Errors
    ///
    /// Names the file that is not a template, has an unknown name or does not render.
    pub fn load(override_dir: Option<&Path>) -> Result<Self, String> {
        let replacements = override_dir.map(overrides::read).transpose()?.unwrap_or_default();
        for (name, _) in &replacements {
            if !built_in_files().any(|(known, _)| known == name) {
                return Err(unknown(name));
            }
        }
        let is_built_in = replacements.is_empty();
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_formatter(super::html::format);
        // Parses a template when it is first used: parsed, all together take 700 KB of memory.
        templates.set_loader(move |name| {
            let replaced = replacements.iter().find(|(it, _)| it == name);
            let replaced = replaced.map(|(_, source)| source.as_str());
            let built_in = || built_in_files().find(|(it, _)| *it == name).map(|it| it.1);
            Ok(replaced.or_else(built_in).map(str::to_owned))
        });
        let messages = Self { templates };
        if is_built_in {
            // The tests render them.
            return Ok(messages);
        }
        for language in Language::ALL {
            for sample in Message::samples() {
                messages.render(language, &sample, "Sample")?;
            }
        }
        Ok(messages)
    }

    /// Renders a mail in this language. `service_name` is the name of the site in the text.
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

/// Returns the names and texts of the built-in templates.
fn built_in_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    BUILT_IN.iter().copied().flatten().copied()
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = built_in_files().map(|(known, _)| known).collect();
    format!("mail template {name}: there is none of this name; there are {}", known.join(", "))
}

#[cfg(test)]
mod tests;
