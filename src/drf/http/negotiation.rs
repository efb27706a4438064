//! Content negotiation: the `Accept` header and `?format=`, interpreted as by Django REST
//! framework.
//!
//! The reference offers JSON and an HTML page. Hallpass sends JSON in place of the page, so a
//! client that accepts HTML only is served too, and one that accepts neither gets 406.

use crate::drf::http::parsing::header::Parametrised;

/// Layout of a response: on one line, or indented by this many spaces.
pub type Indent = Option<usize>;

/// Reasons why no acceptable representation exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NegotiationError {
    /// 406: `Accept` matches nothing that is offered.
    NotAcceptable,
    /// 404: an unknown format.
    UnknownFormat,
}

#[derive(Clone, Copy)]
struct Offer {
    format: &'static str,
    main: &'static str,
    sub: &'static str,
}

const OFFERS: [Offer; 2] = [
    Offer { format: "json", main: "application", sub: "json" },
    Offer { format: "api", main: "text", sub: "html" },
];

const MAX_INDENT: i64 = 8;

/// Chooses by the `Accept` header (absent: anything) and the format in the URL, if any.
pub fn negotiate(accept: Option<&str>, format: Option<&str>) -> Result<Indent, NegotiationError> {
    let format = format.filter(|name| !name.is_empty());
    let offers: Vec<Offer> =
        OFFERS.into_iter().filter(|offer| format.is_none_or(|name| name == offer.format)).collect();
    if offers.is_empty() {
        return Err(NegotiationError::UnknownFormat);
    }
    let mut accepted: Vec<Parametrised> =
        accept.unwrap_or("*/*").split(',').map(Parametrised::parse).collect();
    accepted.sort_by_key(precedence);
    for group in accepted.chunk_by(|one, other| precedence(one) == precedence(other)) {
        for offer in &offers {
            if let Some(media_type) = group.iter().find(|range| range.covers(offer.main, offer.sub))
            {
                let indents = offer.format == "json";
                return Ok(if indents { indent_asked_for(media_type) } else { None });
            }
        }
    }
    Err(NegotiationError::NotAcceptable)
}

/// Returns the precedence of a media range: a more specific one is tried earlier.
fn precedence(range: &Parametrised) -> u8 {
    let (main, sub) = range.media_type();
    let mut names = range.parameter_names();
    match (main, sub) {
        ("*", _) => 3,
        (_, "*") => 2,
        _ if names.all(|name| name == "q") => 1,
        _ => 0,
    }
}

/// Returns the indentation of `application/json; indent=4`.
fn indent_asked_for(range: &Parametrised) -> Indent {
    let wanted: i64 = range.parameter("indent")?.trim().parse().ok()?;
    usize::try_from(wanted.clamp(0, MAX_INDENT)).ok().filter(|&spaces| spaces > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_served_to_clients_that_accept_json_html_or_anything() {
        for accept in [None, Some("*/*"), Some("text/html"), Some("a/b, application/*;q=0")] {
            assert_eq!(negotiate(accept, None), Ok(None), "{accept:?}");
        }
    }

    #[test]
    fn other_types_are_not_acceptable() {
        for accept in ["", "*", "image/png", "text/plain", "application/json x", "/"] {
            assert_eq!(
                negotiate(Some(accept), None),
                Err(NegotiationError::NotAcceptable),
                "{accept}"
            );
        }
    }

    #[test]
    fn a_format_in_the_url_narrows_the_choice() {
        assert_eq!(negotiate(None, Some("json")), Ok(None));
        assert_eq!(negotiate(None, Some("yaml")), Err(NegotiationError::UnknownFormat));
        assert_eq!(
            negotiate(Some("text/html"), Some("json")),
            Err(NegotiationError::NotAcceptable)
        );
    }

    #[test]
    fn an_indent_is_obeyed_within_bounds() {
        assert_eq!(negotiate(Some("application/json; indent=4"), None), Ok(Some(4)));
        assert_eq!(negotiate(Some("*/*; indent=99"), None), Ok(Some(8)));
        assert_eq!(negotiate(Some("application/json; indent=-1"), None), Ok(None));
        assert_eq!(negotiate(Some("text/html; indent=4"), None), Ok(None));
    }
}
