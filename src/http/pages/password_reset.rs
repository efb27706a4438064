//! Built-in page that sets a new password, after a reset or an invitation.

use actix_web::http::StatusCode;
use actix_web::web;

use super::{Form, View};
use crate::domain::Fault;
use crate::flows::{Flows, ResetProof};
use crate::http::state::State;

pub(super) async fn act(state: web::Data<State>, form: Form) -> View {
    let Form { token, password, device } = form;
    let policy = &state.flows.policy().password;
    let password = match policy.accept(&password, None, None) {
        Ok(password) => password.into_plain(),
        Err(fault) => return refused(fault),
    };
    let proof = ResetProof::Link(token);
    let reset = move |flows: &Flows| flows.reset_password(proof, &password, &device);
    match state.run(reset).await {
        Ok(()) => View::DONE,
        Err(error) => match error.faults().first() {
            Some(fault) => refused(fault.fault),
            None => View::of(error.code),
        },
    }
}

fn refused(fault: Fault) -> View {
    View(fault.code(), StatusCode::UNPROCESSABLE_ENTITY)
}
