//! Built-in page that reports unauthorized activity.

use actix_web::web;

use super::{Form, View};
use crate::http::state::State;

pub(super) async fn act(state: web::Data<State>, form: Form) -> View {
    let token = form.token;
    match state.run(move |flows| flows.report_unauthorized(&token, &form.device)).await {
        Ok(()) => View::DONE,
        Err(error) => View::of(error.code),
    }
}
