//! Built-in page that verifies an e-mail address. It keeps no tokens, so it opens no session.

use actix_web::http::StatusCode;
use actix_web::web;

use super::{Form, View};
use crate::domain::{PlainPassword, VerifyEmailProof};
use crate::flows::{Flows, LinkEvidence, Proof};
use crate::http::code::Code;
use crate::http::state::State;

const WRONG_PASSWORD: View = View("wrong_password", StatusCode::UNAUTHORIZED);

pub(super) async fn act(state: web::Data<State>, form: Form) -> View {
    let Form { token, password, device } = form;
    let evidence = match state.flows.policy().verify_email_proof {
        VerifyEmailProof::Link => LinkEvidence::LinkOnly,
        VerifyEmailProof::Required => match PlainPassword::parse(&password) {
            Ok(password) => LinkEvidence::Password(password),
            Err(_) => return WRONG_PASSWORD,
        },
    };
    let proof = Proof::Link { token, evidence };
    let verify = move |flows: &Flows| flows.verify_email_without_session(proof, &device);
    match state.run(verify).await.map_err(|error| error.code) {
        Ok(()) => View::DONE,
        Err(Code::InvalidCredentials | Code::ProofRequired) => WRONG_PASSWORD,
        Err(code) => View::of(code),
    }
}
