//! `GET /v1/me/export`

use std::io;

use actix_web::http::Method;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{self, AddressVerification, Challenge, EndReason, KnownDevice, User, UtcTime};
use crate::flows::{Claims, ExportEntries, ExportPage, ExportPosition, MailLine};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::client::Client;
use crate::http::state::State;
use crate::http::v1::account::me::Profile;
use crate::http::v1::account::user::Account;
use crate::http::v1::event::Event;
use crate::http::v1::social::identity::Identity;
use crate::http::v1::time::rfc3339;

/// All data stored about a user, without hashes of secrets.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written in pieces")]
pub struct Export {
    /// The profile.
    profile: Profile,
    /// The account as staff see it.
    account: Account,
    /// Every stored session, the oldest first.
    sessions: Vec<ExportedSession>,
    /// Every known device, the oldest first.
    known_devices: Vec<ExportedDevice>,
    /// Identities at other services, the oldest first.
    identities: Vec<Identity>,
    /// Registrations and changes of the e-mail address.
    registrations: Vec<ExportedRegistration>,
    /// Links and codes that were mailed.
    one_time_tokens: Vec<ExportedToken>,
    /// Mail about the account or to its address.
    mails: Vec<ExportedMail>,
    /// Events of the account, the newest first.
    events: Vec<Event>,
}

/// One log-in on one device.
#[derive(Serialize, ToSchema)]
pub struct ExportedSession {
    /// The id of the session.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    id: String,
    /// Browser and operating system, as far as the client named them.
    #[schema(example = "Firefox on Windows")]
    device: String,
    /// The network it came from.
    #[schema(example = "192.0.2.0/24")]
    network: String,
    /// Authentication methods of the log-in (RFC 8176).
    #[schema(example = json!(["pwd"]))]
    amr: Vec<String>,
    /// Time of the log-in (RFC 3339, UTC).
    #[schema(format = "date-time")]
    first_seen_at: String,
    /// Time of the last refresh (RFC 3339, UTC).
    #[schema(format = "date-time")]
    last_seen_at: String,
    /// Latest possible end (RFC 3339, UTC).
    #[schema(format = "date-time")]
    expires_at: String,
    /// Time at which it was ended before that (RFC 3339, UTC).
    #[schema(format = "date-time")]
    ended_at: Option<String>,
    /// Reason of its end: `logged_out`, `too_many`, `token_reused`, `password_changed`,
    /// `password_reset`, `unauthorized_reported`, `ended_by_staff` or `account_disabled`.
    #[schema(example = "logged_out")]
    end_reason: Option<&'static str>,
}

/// A known device, whose log-ins are not slowed by failures elsewhere. Its description is not
/// stored.
#[derive(Serialize, ToSchema)]
pub struct ExportedDevice {
    /// Time at which it got its `device_token` (RFC 3339, UTC).
    #[schema(format = "date-time")]
    created_at: String,
    /// Time of the last log-in with it (RFC 3339, UTC).
    #[schema(format = "date-time")]
    last_seen_at: String,
}

/// A registration, or a change of the e-mail address.
#[derive(Serialize, ToSchema)]
pub struct ExportedRegistration {
    /// E-mail address to verify.
    #[schema(example = "mina@example.com")]
    email: String,
    /// The requested user name.
    username: Option<String>,
    /// The language of its mail.
    #[schema(example = "en")]
    locale: String,
    /// Time of expiry (RFC 3339, UTC).
    #[schema(format = "date-time")]
    expires_at: String,
    /// Time of the verification (RFC 3339, UTC).
    #[schema(format = "date-time")]
    proven_at: Option<String>,
}

/// A link or code that was mailed.
#[derive(Serialize, ToSchema)]
pub struct ExportedToken {
    /// Purpose of the token.
    #[schema(example = "reset_password")]
    purpose: &'static str,
    /// The e-mail address that it was mailed about.
    email: Option<String>,
    /// Details in its mail: a device, a new e-mail address.
    detail: String,
    /// Time of creation (RFC 3339, UTC).
    #[schema(format = "date-time")]
    created_at: String,
    /// Time of expiry (RFC 3339, UTC).
    #[schema(format = "date-time")]
    expires_at: String,
    /// Time of use (RFC 3339, UTC).
    #[schema(format = "date-time")]
    used_at: Option<String>,
}

/// A queued or sent mail.
#[derive(Serialize, ToSchema)]
pub struct ExportedMail {
    /// Subject of the mail.
    #[schema(example = "password_changed")]
    kind: String,
    /// State: `queued`, `sent`, `dropped` or `dead`.
    #[schema(example = "sent")]
    status: String,
    /// Time at which it was queued (RFC 3339, UTC).
    #[schema(format = "date-time")]
    created_at: String,
}

fn session(session: domain::Session) -> ExportedSession {
    ExportedSession {
        id: session.id.0,
        device: session.device.label,
        network: session.device.network,
        amr: session.amr.names().to_vec(),
        first_seen_at: rfc3339(session.created_at),
        last_seen_at: rfc3339(session.last_seen_at),
        expires_at: rfc3339(session.expires_at),
        ended_at: session.ended_at.map(rfc3339),
        end_reason: session.end_reason.map(EndReason::name),
    }
}

fn known_device(device: KnownDevice) -> ExportedDevice {
    ExportedDevice {
        created_at: rfc3339(device.created_at),
        last_seen_at: rfc3339(device.last_seen_at),
    }
}

fn registration(registration: AddressVerification) -> ExportedRegistration {
    ExportedRegistration {
        email: registration.email.as_str().to_owned(),
        username: registration.username.map(|name| name.as_str().to_owned()),
        locale: registration.locale.as_str().to_owned(),
        expires_at: rfc3339(registration.challenge.expires_at),
        proven_at: registration.challenge.used_at.map(rfc3339),
    }
}

fn token(token: Challenge) -> ExportedToken {
    ExportedToken {
        purpose: token.kind.name(),
        email: token.email.map(|email| email.as_str().to_owned()),
        detail: token.detail,
        created_at: rfc3339(token.created_at),
        expires_at: rfc3339(token.expires_at),
        used_at: token.used_at.map(rfc3339),
    }
}

fn mail(mail: MailLine) -> ExportedMail {
    let created_at = rfc3339(UtcTime::from_micros(mail.created_at));
    ExportedMail { kind: mail.kind, status: mail.status, created_at }
}

#[utoipa::path(
    get,
    path = "/v1/me/export",
    operation_id = "exportMe",
    tag = "account",
    summary = "Export of all data of the own account",
    description = "All data that the service stores about the user, as JSON. Hashes of passwords and tokens are left out. \
        At most 10 exports an hour. The response is streamed and may be large. If it cannot be completed, or the session ends \
        meanwhile, the connection is closed before the end of the document.",
    responses((status = 200, description = "The export.", body = Export)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["rate_limited"])))
)]
/// Exports the stored data. A HEAD request is not an export: it reads only the account.
pub async fn handle(
    request: HttpRequest,
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
) -> Result<HttpResponse, ApiError> {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"account.json\""))
        .content_type("application/json");
    if request.method() == Method::HEAD {
        state.run(move |flows| flows.require_active_user(claims.user_id())).await?;
        return Ok(answer.streaming(stream::empty::<io::Result<Bytes>>()));
    }
    let begun = claims.clone();
    let user = state.run(move |flows| flows.begin_export(&begun, &device)).await?;
    let beginning = beginning(user).map_err(|_| Code::InternalError)?;
    let pieces = stream::iter([Ok(beginning)]).chain(lists(state, claims));
    Ok(answer.streaming(pieces.map_ok(Bytes::from)))
}

/// Returns the text before the first list.
fn beginning(user: User) -> serde_json::Result<String> {
    let profile = serde_json::to_string(&Profile::from(user.clone()))?;
    let account = serde_json::to_string(&Account::from(user))?;
    Ok(format!("{{\"profile\":{profile},\"account\":{account},"))
}

/// Returns the text of all lists, and of the end. Rows are read while the response is sent. After
/// an error the connection is closed without the end of the document.
fn lists(
    state: web::Data<State>,
    claims: Claims,
) -> impl Stream<Item = io::Result<String>> + 'static {
    let start = Some((ExportPosition::START, false));
    stream::try_unfold(start, move |place| {
        let (state, claims) = (state.clone(), claims.clone());
        async move {
            let Some((position, follows_entry)) = place else { return Ok(None) };
            let page = state.run(move |flows| flows.export_page(&claims, &position)).await;
            let page = page.map_err(|error| io::Error::other(error.code.name()))?;
            Ok(Some(page_text(page, follows_entry)?))
        }
    })
}

/// Returns the text of a page, and the start of the next one. `follows_entry` is true after an
/// entry of the same list.
fn page_text(
    page: ExportPage,
    follows_entry: bool,
) -> serde_json::Result<(String, Option<(ExportPosition, bool)>)> {
    let ExportPage { begins_list, entries, next } = page;
    let (name, entries) = texts(entries)?;
    let has_entries = follows_entry || !entries.is_empty();
    let mut text = if begins_list { format!("\"{name}\":[") } else { String::new() };
    if follows_entry && !entries.is_empty() {
        text.push(',');
    }
    text.push_str(&entries);
    let Some(next) = next else { return Ok((text + "]}", None)) };
    let ends_list = next.begins_list();
    if ends_list {
        text.push_str("],");
    }
    Ok((text, Some((next, has_entries && !ends_list))))
}

/// Returns the name of the list and the text of its entries.
fn texts(entries: ExportEntries) -> serde_json::Result<(&'static str, String)> {
    Ok(match entries {
        ExportEntries::Sessions(list) => ("sessions", joined(list, session)?),
        ExportEntries::KnownDevices(list) => ("known_devices", joined(list, known_device)?),
        ExportEntries::Identities(list) => ("identities", joined(list, Identity::from)?),
        ExportEntries::Registrations(list) => ("registrations", joined(list, registration)?),
        ExportEntries::OneTimeTokens(list) => ("one_time_tokens", joined(list, token)?),
        ExportEntries::Mails(list) => ("mails", joined(list, mail)?),
        ExportEntries::Events(list) => ("events", joined(list, Event::for_owner)?),
    })
}

fn joined<T, S: Serialize>(list: Vec<T>, shown: fn(T) -> S) -> serde_json::Result<String> {
    let entries: Result<Vec<String>, _> =
        list.into_iter().map(|entry| serde_json::to_string(&shown(entry))).collect();
    Ok(entries?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_without_entries_leave_the_json_valid() {
        let event = || {
            let at = UtcTime::from_seconds(1_800_000_000);
            let context = domain::EventContext::of(domain::UserId(7), at);
            let (id, kind) = (domain::EventId::new(at), domain::EventKind::LoggedIn);
            domain::Event { id, kind, context, detail: String::new(), api_key_name: None }
        };
        for sizes in [[0_usize, 0, 0], [0, 2, 1], [2, 0, 1], [1, 1, 0], [0, 0, 1]] {
            let (mut text, mut follows_entry) = ("{".to_owned(), false);
            for (number, size) in sizes.into_iter().enumerate() {
                let entries = ExportEntries::Events((0..size).map(|_| event()).collect());
                let is_last = number == 2;
                let next = (!is_last).then(|| ExportPosition::START.behind("id"));
                let page = ExportPage { begins_list: number == 0, entries, next };
                let (more, next) = page_text(page, follows_entry).unwrap();
                text.push_str(&more);
                follows_entry = next.is_some_and(|(_, follows_entry)| follows_entry);
            }
            let export: serde_json::Value = serde_json::from_str(&text).unwrap();
            let found = export["events"].as_array().map(Vec::len);
            assert_eq!(found, Some(sizes.iter().sum::<usize>()), "{text}");
        }
    }
}
