//! Fields of the reference's serializers: accepted values, and messages of refusals.

use std::net::{Ipv4Addr, Ipv6Addr};

use unicode_normalization::char::is_combining_mark;

use crate::drf::http::parsing::value::{Fields, Text, Value, strip};

/// The message for a missing required field.
pub const REQUIRED: &str = "This field is required.";
/// The message for an invalid e-mail address.
pub const BAD_EMAIL: &str = "Enter a valid email address.";
/// The message for a user name that is taken.
pub const USERNAME_TAKEN: &str = "A user with that username already exists.";
/// The message for an e-mail address that is taken.
pub const EMAIL_TAKEN: &str = "A user with that email already exists.";

/// The message for an e-mail address whose domain the operator does not accept.
pub const DOMAIN_DENIED: &str = "Email addresses of this domain are not accepted.";

const NULL: &str = "This field may not be null.";
const BLANK: &str = "This field may not be blank.";
const NO_STRING: &str = "Not a valid string.";
const NO_BOOLEAN: &str = "Must be a valid boolean.";
const NUL_INSIDE: &str = "Null characters are not allowed.";
/// Message of Django for a user name with invalid characters.
pub const BAD_USERNAME: &str = "Enter a valid username. This value may contain only letters, numbers, \
                            and @/./+/-/_ characters.";

/// Longest user name, in characters.
pub const MAX_USERNAME: usize = 150;
/// Longest e-mail address, in characters.
pub const MAX_EMAIL: usize = 254;

/// Messages about a field.
pub type Faults = Vec<String>;

/// Returns a required text: `username`, `password` and `token` of the token endpoints.
pub fn required_text(fields: &Fields, name: &str) -> Result<String, Faults> {
    let value = fields.values.get(name).ok_or_else(|| one(REQUIRED))?;
    let text = non_blank(value, NO_STRING)?.ok_or_else(|| one(BLANK))?;
    all_good(character_faults(&text))?;
    Ok(text.content)
}

/// Returns the user name of an account; `None` if the field is absent.
pub fn username(fields: &Fields) -> Result<Option<String>, Faults> {
    let Some(value) = fields.values.get("username") else { return Ok(None) };
    let text = non_blank(value, NO_STRING)?.ok_or_else(|| one(BLANK))?;
    let mut faults = Faults::new();
    if !text.content.chars().all(is_username_character) {
        faults.push(BAD_USERNAME.to_owned());
    }
    faults.extend(length_fault(&text, MAX_USERNAME));
    faults.extend(character_faults(&text));
    all_good(faults)?;
    Ok(Some(text.content))
}

/// Returns the e-mail address of an account, possibly empty; `None` if the field is absent.
pub fn email(fields: &Fields) -> Result<Option<String>, Faults> {
    let Some(value) = fields.values.get("email") else { return Ok(None) };
    let Some(text) = non_blank(value, BAD_EMAIL)? else { return Ok(Some(String::new())) };
    let mut faults: Faults = length_fault(&text, MAX_EMAIL).into_iter().collect();
    faults.extend(character_faults(&text));
    if !is_email(&text.content) {
        faults.push(BAD_EMAIL.to_owned());
    }
    all_good(faults)?;
    Ok(Some(text.content))
}

/// Part of an account that a request sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All fields: one that is required must be there (POST, PUT).
    Whole,
    /// Some fields: an absent one is neither a fault nor set to its default (PATCH).
    Partial,
}

/// Returns a flag; `None` if the field is absent. In a form of a whole account, an absent flag is
/// false.
pub fn flag(fields: &Fields, name: &str, extent: Extent) -> Result<Option<bool>, Faults> {
    let by_default = (fields.from_form && extent == Extent::Whole).then_some(false);
    let Some(value) = fields.values.get(name) else { return Ok(by_default) };
    let known = match value {
        Value::Null => return Err(one(NULL)),
        Value::Bool(value) => Some(*value),
        Value::Number(number) => number.as_bool(),
        Value::Text(text) if text.content.is_empty() && fields.from_form => return Ok(None),
        Value::Text(text) => truth_of(&text.content),
        Value::Composite => None,
    };
    known.map(Some).ok_or_else(|| one(NO_BOOLEAN))
}

/// Returns the text of a value without white space around it; `None` if it is blank.
fn non_blank(value: &Value, no_string: &str) -> Result<Option<Text>, Faults> {
    let text = match value {
        Value::Null => return Err(one(NULL)),
        Value::Bool(_) | Value::Composite => return Err(one(no_string)),
        Value::Number(number) => Text { content: number.to_text(), lone_surrogate: None },
        Value::Text(text) => {
            let content = strip(&text.content).to_owned();
            Text { content, lone_surrogate: text.lone_surrogate }
        }
    };
    Ok((!text.content.is_empty()).then_some(text))
}

/// Returns a list of one message.
pub fn one(text: &str) -> Faults {
    vec![text.to_owned()]
}

fn all_good(faults: Faults) -> Result<(), Faults> {
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn length_fault(text: &Text, limit: usize) -> Option<String> {
    (text.content.chars().count() > limit)
        .then(|| format!("Ensure this field has no more than {limit} characters."))
}

fn character_faults(text: &Text) -> Faults {
    let nul = text.content.contains('\0').then(|| NUL_INSIDE.to_owned());
    let surrogate = text
        .lone_surrogate
        .map(|number| format!("Surrogate characters are not allowed: U+{number:X}."));
    nul.into_iter().chain(surrogate).collect()
}

fn truth_of(text: &str) -> Option<bool> {
    match text {
        "t" | "T" | "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On"
        | "ON" | "1" => Some(true),
        "f" | "F" | "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off"
        | "Off" | "OFF" | "0" => Some(false),
        _ => None,
    }
}

/// Returns whether `character` matches `[\w.@+-]` of Python: a letter, digit or number of any
/// script, or one of these.
fn is_username_character(character: char) -> bool {
    // Rust counts some marks and enclosed letters as alphabetic; Python does not.
    let is_enclosed = matches!(
        character,
        '\u{24b6}'..='\u{24e9}'
            | '\u{1f130}'..='\u{1f149}'
            | '\u{1f150}'..='\u{1f169}'
            | '\u{1f170}'..='\u{1f189}'
    );
    let is_word = character.is_alphanumeric() && !is_combining_mark(character) && !is_enclosed;
    is_word || matches!(character, '_' | '.' | '@' | '+' | '-')
}

/// Returns whether Django's `EmailValidator` accepts `text`.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    if text.chars().count() > 320 || !(is_dot_atom(local) || is_quoted_string(local)) {
        return false;
    }
    domain == "localhost"
        || is_domain(domain)
        || is_literal(domain)
        || idna::domain_to_ascii(domain).is_ok_and(|ascii| is_domain(&ascii))
}

fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-!#$%&'*+/=?^_`{}|~".contains(&byte))
    })
}

fn is_quoted_string(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let allowed = match character {
            '\\' => matches!(
                characters.next(),
                Some('\u{1}'..='\u{9}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{7f}')
            ),
            '\u{1}'..='\u{1f}' => !matches!(character, '\t' | '\n' | '\r'),
            ' ' | '"' => false,
            other => other.is_ascii() && other != '\0',
        };
        if !allowed {
            return false;
        }
    }
    true
}

fn is_domain(domain: &str) -> bool {
    let Some((parents, last)) = domain.rsplit_once('.') else { return false };
    let is_letters =
        |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && is_letters(label)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    parents.split('.').all(is_label)
        && (2..=63).contains(&last.len())
        && is_letters(last)
        && !last.ends_with('-')
}

fn is_literal(domain: &str) -> bool {
    let inner = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|address| {
        address.parse::<Ipv4Addr>().is_ok() || address.parse::<Ipv6Addr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drf::http::parsing::value::{Number, Values};

    fn json(name: &str, value: Value) -> Fields {
        let mut values = Values::default();
        values.insert(name, value);
        Fields { values, from_form: false }
    }

    fn form(name: &str, value: &str) -> Fields {
        Fields { from_form: true, ..json(name, Value::text(value)) }
    }

    fn text(value: Value) -> Result<String, Faults> {
        required_text(&json("token", value), "token")
    }

    #[test]
    fn a_text_field_refuses_what_is_no_text() {
        assert_eq!(required_text(&Fields::default(), "token"), Err(one(REQUIRED)));
        assert_eq!(text(Value::Null), Err(one(NULL)));
        assert_eq!(text(Value::text(" \u{1c}\u{3000} ")), Err(one(BLANK)));
        assert_eq!(text(Value::Bool(true)), Err(one(NO_STRING)));
        assert_eq!(text(Value::Composite), Err(one(NO_STRING)));
    }

    #[test]
    fn a_text_field_trims_and_takes_numbers() {
        assert_eq!(text(Value::text("\u{85} a b ")), Ok("a b".to_owned()));
        assert_eq!(text(Value::Number(Number::from_json("1.50"))), Ok("1.5".to_owned()));
    }

    #[test]
    fn forbidden_characters_are_all_reported() {
        let value = Text { content: "\0\u{fffd}".to_owned(), lone_surrogate: Some(0xd800) };
        let surrogate = "Surrogate characters are not allowed: U+D800.";
        assert_eq!(
            text(Value::Text(value)),
            Err(vec![NUL_INSIDE.to_owned(), surrogate.to_owned()])
        );
    }

    #[test]
    fn a_username_is_letters_digits_and_five_signs() {
        let check = |name: &str| username(&json("username", Value::text(name)));
        for good in ["한글.é+ж_@x-1", "½", "²", "٣", "ⅷ", "①", "ª", "@"] {
            assert_eq!(check(good), Ok(Some(good.to_owned())));
        }
        for bad in ["a b", "a!", "e\u{301}", "\u{940}", "a\u{200d}b", "Ⓐ", "a\nb"] {
            assert_eq!(check(bad), Err(one(BAD_USERNAME)), "{bad}");
        }
        let long = "Ensure this field has no more than 150 characters.";
        assert_eq!(check(&"é".repeat(151)), Err(one(long)));
    }

    #[test]
    fn an_email_is_what_django_takes_for_one() {
        let check = |address: &str| email(&json("email", Value::text(address)));
        for good in [
            "a@b.cd",
            "a@localhost",
            "\"a\\\"b\"@c.de",
            "a@[127.0.0.1]",
            "a@[::1]",
            "a@한글.kr",
            "a!#$%&'*+/=?^_`{|}~-z@b.cd",
            "a@b.123",
        ] {
            assert_eq!(check(good), Ok(Some(good.to_owned())));
        }
        for bad in [
            "a@b",
            "@b.cd",
            "a@",
            "a",
            "a b@c.de",
            "a@-b.cd",
            "a@b-.cd",
            "a@b.c",
            "a@b..cd",
            "a@b_c.de",
            "é@b.cd",
            "a@[300.1.1.1]",
            ".a@b.cd",
            "a@LOCALHOST",
        ] {
            assert_eq!(check(bad), Err(one(BAD_EMAIL)), "{bad}");
        }
        assert_eq!(check("  "), Ok(Some(String::new())));
    }

    #[test]
    fn a_flag_takes_the_words_of_forms() {
        let check = |value| flag(&json("is_staff", value), "is_staff", Extent::Whole);
        assert_eq!(check(Value::text("Yes")), Ok(Some(true)));
        assert_eq!(check(Value::Number(Number::from_json("0.0"))), Ok(Some(false)));
        for bad in [Value::text("yEs"), Value::text(""), Value::Composite] {
            assert_eq!(check(bad), Err(one(NO_BOOLEAN)));
        }
        assert_eq!(check(Value::Null), Err(one(NULL)));
    }

    #[test]
    fn a_form_without_a_flag_means_false_unless_it_is_partial() {
        assert_eq!(flag(&form("token", ""), "is_staff", Extent::Whole), Ok(Some(false)));
        assert_eq!(flag(&form("token", ""), "is_staff", Extent::Partial), Ok(None));
        assert_eq!(flag(&form("is_staff", ""), "is_staff", Extent::Whole), Ok(None));
        assert_eq!(flag(&json("token", Value::Null), "is_staff", Extent::Whole), Ok(None));
    }
}
