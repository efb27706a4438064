//! `POST /v1/verify-email`

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{PlainPassword, PlainToken, Transport, parse_code};
use crate::flows::{Flows, LinkEvidence, Proof};
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::schema::MailCode;
use crate::http::state::State;
use crate::http::v1::token::token_pair::TokenPair;

/// The code of the mail, from the browser that registered.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes one of the forms that `VerifyEmailRequest` reads")]
pub struct CodeProof {
    /// From the response to `register`.
    #[schema(example = "hpg_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s")]
    registration_token: String,
    /// The code of the mail.
    #[schema(value_type = MailCode)]
    code: String,
    /// Set the refresh token as a cookie, for browsers.
    #[schema(example = false)]
    use_cookie: Option<bool>,
}

/// The link of the mail, opened in the browser that registered.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes one of the forms that `VerifyEmailRequest` reads")]
pub struct LinkProof {
    /// The token of the mail's link.
    #[schema(example = "Zm9yIHRoZSBsb3ZlIG9mIGV4YW1wbGVzIG9ubHku")]
    token: String,
    /// From the response to `register`. With neither this nor a password the response is
    /// `proof_required`.
    #[schema(
        required = false,
        nullable = false,
        example = "hpg_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s"
    )]
    registration_token: Option<String>,
    /// Set the refresh token as a cookie, for browsers.
    #[schema(example = false)]
    use_cookie: Option<bool>,
}

/// Link of the mail, opened on another device by a user who knows the password.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes one of the forms that `VerifyEmailRequest` reads")]
pub struct PasswordProof {
    /// The token of the mail's link.
    #[schema(example = "Zm9yIHRoZSBsb3ZlIG9mIGV4YW1wbGVzIG9ubHku")]
    token: String,
    /// The password of the registration.
    #[schema(
        format = "password",
        min_length = 1,
        max_length = 1024,
        example = "plum tree at dusk"
    )]
    password: String,
    /// Set the refresh token as a cookie, for browsers.
    #[schema(example = false)]
    use_cookie: Option<bool>,
}

/// Evidence that verifies an e-mail address.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum VerifyEmailRequest {
    /// The code of the mail.
    Code(CodeProof),
    /// The link, in the same browser.
    Link(LinkProof),
    /// The link, on another device.
    Password(PasswordProof),
}

/// A parsed verification.
pub struct VerificationRequest {
    proof: Proof,
    use_cookie: Option<bool>,
}

impl Body for VerificationRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let use_cookie = fields.flag("use_cookie");
        Some(Self { proof: read_proof(fields)?, use_cookie })
    }
}

fn read_proof(fields: &mut Fields) -> Option<Proof> {
    let any = |text: &str| Ok(PlainToken::presented(text));
    if !fields.has("token") {
        let registration_token = fields.required("registration_token", any);
        let code = fields.required("code", parse_code);
        return Some(Proof::Code { registration_token: registration_token?, code: code? });
    }
    let token = fields.required("token", any);
    let evidence = if fields.has("password") {
        let password = fields.required("password", PlainPassword::parse);
        password.map(LinkEvidence::Password)
    } else {
        let holder = fields.optional("registration_token", any);
        Some(holder.map_or(LinkEvidence::LinkOnly, LinkEvidence::SameBrowser))
    };
    Some(Proof::Link { token: token?, evidence: evidence? })
}

/// The e-mail address is verified and the user logged in.
#[derive(Serialize, ToSchema)]
pub struct EmailVerified {
    /// Always `verified`.
    #[schema(example = "verified", pattern = "^verified$")]
    status: &'static str,
    /// The e-mail address.
    #[schema(example = "mina@example.com")]
    email: String,
    #[serde(flatten)]
    tokens: TokenPair,
}

#[utoipa::path(
    post,
    path = "/v1/verify-email",
    operation_id = "verifyEmail",
    tag = "account",
    summary = "Verify the e-mail address",
    description = "Takes the six digits of the mail with the registration token, or the token of the mail's link with the registration token (same browser) or the password (other device). The same request gets the same success again during the lifetime of the registration. A change of the e-mail address (`POST /v1/me/email`) is verified here too.",
    request_body(content = VerifyEmailRequest, example = json!({"registration_token": "hpg_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s", "code": "123456"})),
    responses((status = 200, description = "The e-mail address is verified; the user is logged in.", body = EmailVerified)),
    extensions(("x-error-codes" = json!(["code_invalid", "one_time_token_invalid", "one_time_token_expired", "invalid_credentials", "proof_required", "registration_closed", "token_too_large", "origin_rejected", "rate_limited", "overloaded", "unavailable"])))
)]
/// Verifies an e-mail address.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    Json(VerificationRequest { proof, use_cookie }): Json<VerificationRequest>,
) -> Result<HttpResponse, ApiError> {
    let transport = Transport::wanted(use_cookie);
    state.browsers.check(&request, transport)?;
    let verify = move |flows: &Flows| flows.verify_email(proof, transport, &device);
    let (email, log_in) = state.run(verify).await?;
    let mut answer = HttpResponse::Ok();
    let tokens = transport.deliver_log_in(log_in, &state.browsers, &mut answer).await;
    let email = email.as_str().to_owned();
    Ok(answer.json(EmailVerified { status: "verified", email, tokens }))
}
