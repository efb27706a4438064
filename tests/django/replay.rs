//! The Django REST adapter against what the real stack answered: every exchange of `replay/*.json`,
//! which `tests/django_reference/record.py` recorded, is sent again.

use super::corpus::{Corpus, Exchange, Expected};
use super::wire::{self, Reply};
use super::{service, tokens};
use crate::postgres;

const HEADERS: [&str; 8] = [
    "content-type",
    "allow",
    "vary",
    "www-authenticate",
    "location",
    "x-content-type-options",
    "referrer-policy",
    "x-frame-options",
];

macro_rules! replay {
    ($($scenario:ident)*) => {
        const SCENARIOS: &[&str] = &[
            $(include_str!(concat!("replay/", stringify!($scenario), ".json"))),*
        ];

        $(
            #[test]
            fn $scenario() {
                let text = include_str!(concat!("replay/", stringify!($scenario), ".json"));
                replay(text, &[]);
            }
        )*
    };
}

replay! {
    login_bodies syntax content_types forms login_headers tokens_in_bodies header_authentication
    basic_authentication methods order_of_checks accepts paths users_read users_create users_emails
    users_booleans users_change users_by_others
}

#[test]
fn every_scenario_over_postgres() {
    for text in SCENARIOS {
        let Some(schema) = postgres::fresh_schema() else { return };
        replay(text, &[("DATABASE_URL", &schema)]);
    }
}

/// Sends every request of a scenario, in order, to one fresh service, and reports all differences.
fn replay(text: &str, database: &[(&str, &str)]) {
    let corpus: Corpus = serde_json::from_str(text).unwrap();
    let service = service::start(
        &[&[("HALLPASS_JWT_SECRET", corpus.secrets.site.as_str())], database].concat(),
    );
    let differences: Vec<String> = corpus
        .exchanges
        .iter()
        .filter_map(|exchange| {
            let error = repeat(exchange, &corpus, service.port).err()?;
            Some(format!("{}: {error}", exchange.name))
        })
        .collect();
    let count = (differences.len(), corpus.exchanges.len());
    assert!(
        differences.is_empty(),
        "{} of {} differ\n{}",
        count.0,
        count.1,
        differences.join("\n")
    );
}

fn repeat(exchange: &Exchange, corpus: &Corpus, port: u16) -> Result<(), String> {
    let now = tokens::now();
    let fill = |text: &str| tokens::fill(text, corpus, now);
    let reply = wire::send(port, &exchange.request, fill);
    let host = exchange.request.host().map_or_else(|| format!("127.0.0.1:{port}"), str::to_owned);
    let fill = |text: &str| tokens::fill(text, corpus, now).replace("{{host}}", &host);
    let expected = exchange.hallpass.as_ref().unwrap_or(&exchange.reference);
    compare(expected, &reply, fill, corpus, now)
}

fn compare(
    expected: &Expected,
    reply: &Reply,
    fill: impl Fn(&str) -> String,
    corpus: &Corpus,
    now: i64,
) -> Result<(), String> {
    let differs = |what: &str, expected: &str, found: &str| {
        Err(format!("{what}\n    expected {expected}\n    found    {found}"))
    };
    if reply.status != expected.status {
        let found = format!("{} {}", reply.status, reply.body);
        let expected = format!("{} {:?}", expected.status, expected.body);
        return differs("status", &expected, &found);
    }
    if let Some(headers) = &expected.headers {
        for name in HEADERS {
            let expected = headers.get(name).map(|value| fill(value));
            let found = reply.header(name).map(str::to_owned);
            if expected != found {
                return differs(name, &format!("{expected:?}"), &format!("{found:?}"));
            }
        }
    }
    if let Some(prefix) = &expected.body_prefix
        && !reply.body.starts_with(prefix)
    {
        return differs("body", prefix, &reply.body);
    }
    let Some(body) = &expected.body else { return Ok(()) };
    let body = fill(body);
    let Some((before, after)) = body.split_once("{{issued}}") else {
        return if body == reply.body { Ok(()) } else { differs("body", &body, &reply.body) };
    };
    let issued = reply.body.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let issued = issued.ok_or_else(|| format!("no token in {}", reply.body))?;
    let wanted = expected.token.as_ref().ok_or("the recording has no token")?;
    tokens::check_issued(issued, wanted, corpus, now)
}
