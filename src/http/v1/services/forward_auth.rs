//! `GET /v1/forward-auth`

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::domain::{Email, Username};
use crate::flows::{Claims, VerifiedToken};
use crate::http::browsers::access_cookie;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::bearer;
use crate::http::state::State;

/// Path of forward authentication. Some proxies (Envoy) send the method of the original request and
/// append its path, so every method and every path below is answered.
pub const PATH: &str = "/v1/forward-auth";

/// Returns whether `path` is that of forward authentication, or below it.
pub fn is_asked_at(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

const X_AUTH_USER_ID: HeaderName = HeaderName::from_static("x-auth-user-id");
const X_AUTH_USERNAME: HeaderName = HeaderName::from_static("x-auth-username");
const X_AUTH_EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
const X_AUTH_ROLES: HeaderName = HeaderName::from_static("x-auth-roles");
const X_AUTH_STAFF: HeaderName = HeaderName::from_static("x-auth-staff");

/// Characters that a header cannot carry safely, and the escape character itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

#[utoipa::path(
    get,
    path = "/v1/forward-auth",
    operation_id = "forwardAuth",
    tag = "services",
    summary = "Forward authentication",
    description = "For reverse proxies (`auth_request` of nginx, ForwardAuth of Traefik, `forward_auth` of Caddy, `ext_authz` of Envoy). Any method and any path below get the same response. Reads the access token from `Authorization: Bearer`, or from the cookie that cookie mode sets. Answered from memory. `X-Auth-User-Id`, `X-Auth-Username`, `X-Auth-Email`, `X-Auth-Roles` and `X-Auth-Staff` name the user; bytes beyond printable ASCII, and `%`, are percent-encoded UTF-8.",
    responses((status = 200, description = "The request is authenticated.", headers(
        ("X-Auth-User-Id" = String, description = "The user id."),
        ("X-Auth-Username" = String, description = "The user name; `user-` and the user id where the user name is an e-mail address that the user has not verified."),
        ("X-Auth-Email" = String, description = "The e-mail address, empty if there is none."),
        ("X-Auth-Roles" = String, description = "The roles, separated by commas; empty if there are none."),
        ("X-Auth-Staff" = String, description = "`true` for staff, `false` for others."),
    ))),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["origin_rejected"])))
)]
/// Lets a request pass or refuses it.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let token = holder(&state, &request)?;
    let claims = &token.claims;
    let shown = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let is_staff = HeaderValue::from_static(if claims.is_staff { "true" } else { "false" });
    Ok(HttpResponse::Ok()
        .insert_header((X_AUTH_USER_ID, claims.user_id))
        .insert_header((X_AUTH_USERNAME, shown(&username(claims))))
        .insert_header((X_AUTH_EMAIL, shown(&claims.email)))
        .insert_header((X_AUTH_ROLES, claims.roles.join(",")))
        .insert_header((X_AUTH_STAFF, is_staff))
        .finish())
}

/// Returns the user name. If it is an e-mail address that the user has not verified, or a
/// placeholder of another user id, returns a name made of the user id: an application would confuse
/// the user with the owner of the address, or with the user of that id.
fn username(claims: &Claims) -> Cow<'_, str> {
    // Letters of any width are recognised, since the application may normalise the name.
    let name = Username::unchecked(&claims.username);
    let is_own = || claims.email_verified && name.is_address(&Email::unchecked(&claims.email));
    let is_of_another = || name.is_reserved() && !name.is_made_of(claims.user_id());
    if (name.normalised().contains('@') && !is_own()) || is_of_another() {
        return format!("{}{}", Username::PLACEHOLDER, claims.user_id).into();
    }
    claims.username.as_str().into()
}

/// Returns the token of the header or else of the cookie. The browser sends the cookie with every
/// request, so the header is the intended one.
fn holder(state: &State, request: &HttpRequest) -> Result<Arc<VerifiedToken>, ApiError> {
    if request.headers().contains_key(AUTHORIZATION) {
        return bearer::check(request);
    }
    let cookie = access_cookie(request).ok_or(Code::AuthenticationRequired)?;
    if !state.browsers.may_forward(request.headers()) {
        return Err(Code::OriginRejected.into());
    }
    Ok(state.flows.verify_token(&cookie)?)
}
