//! `GET /v1/me/export`

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::account::Account;
use super::event::Event;
use super::me::Profile;
use super::time::rfc3339;
use crate::domain::{self, EndReason, KnownDevice, OneTimeToken, Registration, UtcTime};
use crate::flows::{self, MailLine};
use crate::http::bearer::Bearer;
use crate::http::blocking::State;
use crate::http::client::Client;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::slices;

/// Everything that is stored about a person, besides hashes of secrets.
#[derive(Serialize, ToSchema)]
pub struct Export {
    /// The profile.
    profile: Profile,
    /// What staff see of the account.
    account: Account,
    /// Every session that is remembered, the oldest first.
    sessions: Vec<ExportedSession>,
    /// Every device that is known by its `device_token`, the oldest first.
    known_devices: Vec<ExportedDevice>,
    /// Registrations and changes of the address.
    registrations: Vec<ExportedRegistration>,
    /// Links and codes that were mailed.
    one_time_tokens: Vec<ExportedToken>,
    /// Mail about the account or to its address.
    mails: Vec<ExportedMail>,
    /// What happened to the account, the newest first.
    events: Vec<Event>,
}

/// One log-in on one device.
#[derive(Serialize, ToSchema)]
pub struct ExportedSession {
    /// Its id.
    #[schema(example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    id: String,
    /// Browser and system, as far as they said.
    #[schema(example = "Firefox on Windows")]
    device: String,
    /// The network it came from.
    #[schema(example = "192.0.2.0/24")]
    network: String,
    /// How the person proved who they are (RFC 8176).
    #[schema(example = json!(["pwd"]))]
    amr: Vec<String>,
    /// When the person logged in (RFC 3339, UTC).
    #[schema(format = "date-time")]
    first_seen_at: String,
    /// When it was last refreshed (RFC 3339, UTC).
    #[schema(format = "date-time")]
    last_seen_at: String,
    /// When it ends at the latest (RFC 3339, UTC).
    #[schema(format = "date-time")]
    expires_at: String,
    /// When it was ended before that (RFC 3339, UTC).
    #[schema(format = "date-time")]
    ended_at: Option<String>,
    /// Why it was ended: `logged_out`, `too_many`, `token_reused`, `password_changed`, `password_reset`,
    /// `disavowed`, `ended_by_staff` or `account_disabled`.
    #[schema(example = "logged_out")]
    end_reason: Option<&'static str>,
}

/// A device whose log-ins are not slowed by failures elsewhere. What it is is not stored.
#[derive(Serialize, ToSchema)]
pub struct ExportedDevice {
    /// When it got its `device_token` (RFC 3339, UTC).
    #[schema(format = "date-time")]
    created_at: String,
    /// When the person last logged in with it (RFC 3339, UTC).
    #[schema(format = "date-time")]
    last_seen_at: String,
}

/// A registration, or a change of the address.
#[derive(Serialize, ToSchema)]
pub struct ExportedRegistration {
    /// The address to prove.
    #[schema(example = "mina@example.com")]
    email: String,
    /// The name that was asked for.
    username: Option<String>,
    /// The language of its mail.
    #[schema(example = "en")]
    locale: String,
    /// Until when it waits or is remembered (RFC 3339, UTC).
    #[schema(format = "date-time")]
    expires_at: String,
    /// When it was proven (RFC 3339, UTC).
    #[schema(format = "date-time")]
    proven_at: Option<String>,
}

/// A link or code that was mailed.
#[derive(Serialize, ToSchema)]
pub struct ExportedToken {
    /// What it is good for.
    #[schema(example = "reset_password")]
    purpose: &'static str,
    /// The address it has to do with.
    email: Option<String>,
    /// What its mail told: a device, a new address.
    detail: String,
    /// When it was made (RFC 3339, UTC).
    #[schema(format = "date-time")]
    created_at: String,
    /// Until when it counts (RFC 3339, UTC).
    #[schema(format = "date-time")]
    expires_at: String,
    /// When it was used (RFC 3339, UTC).
    #[schema(format = "date-time")]
    used_at: Option<String>,
}

/// A mail that was ordered.
#[derive(Serialize, ToSchema)]
pub struct ExportedMail {
    /// What it was about.
    #[schema(example = "password_changed")]
    kind: String,
    /// Where it stands: `queued`, `sent`, `dropped` or `dead`.
    #[schema(example = "sent")]
    status: String,
    /// When it was ordered (RFC 3339, UTC).
    #[schema(format = "date-time")]
    created_at: String,
}

impl From<flows::Export> for Export {
    fn from(export: flows::Export) -> Self {
        Self {
            profile: export.user.clone().into(),
            account: export.user.into(),
            sessions: export.sessions.into_iter().map(session).collect(),
            known_devices: export.known_devices.into_iter().map(known_device).collect(),
            registrations: export.registrations.into_iter().map(registration).collect(),
            one_time_tokens: export.one_time_tokens.into_iter().map(token).collect(),
            mails: export.mails.into_iter().map(mail).collect(),
            events: export.events.into_iter().map(Event::for_owner).collect(),
        }
    }
}

fn session(session: domain::Session) -> ExportedSession {
    ExportedSession {
        id: session.id.0,
        device: session.device.label,
        network: session.device.network,
        amr: vec![session.amr],
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

fn registration(registration: Registration) -> ExportedRegistration {
    ExportedRegistration {
        email: registration.email.as_str().to_owned(),
        username: registration.username.map(|name| name.as_str().to_owned()),
        locale: registration.locale.as_str().to_owned(),
        expires_at: rfc3339(registration.expires_at),
        proven_at: registration.proven_at.map(rfc3339),
    }
}

fn token(token: OneTimeToken) -> ExportedToken {
    ExportedToken {
        purpose: token.purpose.name(),
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
    summary = "Everything stored about oneself",
    description = "All that the service keeps about the person, as JSON. Hashes of passwords and tokens are left out.",
    responses((status = 200, description = "All of it.", body = Export)),
    security(("bearer" = []))
)]
/// Exports what is stored.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
) -> Result<HttpResponse, ApiError> {
    let export = state.run(move |flows| flows.export(&claims, &device)).await?;
    let export = serde_json::to_vec(&Export::from(export)).map_err(|_| Code::InternalError)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"account.json\""))
        .content_type("application/json")
        .body(slices::of(export.into())))
}
