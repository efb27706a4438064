//! `/users/`: accounts in the form of the reference's serializer. Staff read and change all
//! accounts, other users only their own, and never their staff flag.

use std::io;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use futures_util::{Stream, stream};
use serde_json::{Value, json};

use crate::domain::{Email, EmailChange, Fault, User, UserId, Username};
use crate::drf::accounts::{AccountFields, list_users};
use crate::drf::flows::{Authenticated, DrfFlows};
use crate::drf::http::answers::{failure, faults, read_fields};
use crate::drf::http::pages::{Rights, user_number};
use crate::drf::http::parsing::fields::{
    self, BAD_USERNAME, DOMAIN_DENIED, EMAIL_TAKEN, Extent, Faults, REQUIRED, USERNAME_TAKEN, one,
};
use crate::drf::http::parsing::value::Fields;
use crate::drf::http::request::Request;
use crate::drf::http::respond::{Answer, EXPIRED, WRONG_PASSWORD};
use crate::flows::{Error, Flows};
use crate::http::state::State;

/// Number of users of the list that are read at a time.
const PAGE: i64 = 500;

/// Answers requests to `/users/`.
pub fn answer_list(
    flows: DrfFlows<'_>,
    request: &Request,
    sender: &Authenticated,
) -> Result<Answer, Answer> {
    let caller = &sender.user;
    match request.method.as_str() {
        "GET" | "HEAD" => {
            if !caller.is_staff {
                return Ok(Answer::ok(json!([shown(caller, &request.origin)])));
            }
            let (list, next) =
                list_page(flows.core, UserId::NONE, &request.origin).map_err(failure)?;
            Ok(Answer::list(list, next))
        }
        "OPTIONS" => {
            let rights = if caller.is_staff { Rights::Write } else { Rights::Read };
            Ok(Answer::ok(request.page.description(rights)))
        }
        "POST" if !caller.is_staff => Err(Answer::forbidden()),
        "POST" => {
            let wanted = read_account(flows, request, caller, Extent::Whole, None)?;
            let user = flows.create_user(sender, wanted).map_err(conflict_response)?;
            let shown = shown(&user, &request.origin);
            Ok(Answer::created(shown, url(user.id, &request.origin)))
        }
        other => Err(Answer::method_not_allowed(other)),
    }
}

/// Answers requests to `/users/N/`.
pub fn answer_one(
    flows: DrfFlows<'_>,
    request: &Request,
    key: &str,
    sender: &Authenticated,
) -> Result<Answer, Answer> {
    let caller = &sender.user;
    let id = user_number(key).map(UserId);
    if !caller.is_staff && id != Some(caller.id) {
        return Err(Answer::forbidden());
    }
    let find = || match id {
        Some(id) => flows.find_user(id).map_err(failure),
        None => Ok(None),
    };
    let existing = || find()?.ok_or_else(Answer::not_found);
    match request.method.as_str() {
        "GET" | "HEAD" => Ok(Answer::ok(shown(&existing()?, &request.origin))),
        "OPTIONS" => {
            let rights = if find()?.is_some() { Rights::Write } else { Rights::Read };
            Ok(Answer::ok(request.page.description(rights)))
        }
        "PUT" => change(flows, request, existing()?.id, sender, Extent::Whole),
        "PATCH" => change(flows, request, existing()?.id, sender, Extent::Partial),
        "DELETE" => {
            let user = existing()?;
            if flows.delete_user(sender, user.id).map_err(conflict_response)? {
                Ok(Answer::deleted())
            } else {
                Err(Answer::not_found())
            }
        }
        other => Err(Answer::method_not_allowed(other)),
    }
}

fn change(
    flows: DrfFlows<'_>,
    request: &Request,
    id: UserId,
    sender: &Authenticated,
    extent: Extent,
) -> Result<Answer, Answer> {
    let wanted = read_account(flows, request, &sender.user, extent, Some(id))?;
    let device = &request.login_context.device;
    let changed = flows.update_user(sender, id, wanted, device).map_err(conflict_response)?;
    changed.map(|user| Answer::ok(shown(&user, &request.origin))).ok_or_else(Answer::not_found)
}

/// Parses the fields of an account.
fn read_account(
    flows: DrfFlows<'_>,
    request: &Request,
    caller: &User,
    extent: Extent,
    own: Option<UserId>,
) -> Result<AccountFields, Answer> {
    let fields = &read_fields(request)?;
    let username = read_username(fields, extent);
    let email = read_email(fields, |email| flows.may_set_address(caller, email));
    let is_staff = fields::flag(fields, "is_staff", extent);
    let good = AccountFields {
        username: username.clone().unwrap_or_default(),
        email: email.clone().unwrap_or_default(),
        is_staff: is_staff.clone().unwrap_or_default(),
    };
    // A user name that is taken is reported together with the faults of the other fields.
    let device = &request.login_context.device;
    let taken = flows.taken(caller, &good, own, device).map_err(failure)?;
    let username_faults = username.err().or_else(|| taken.username.then(|| one(USERNAME_TAKEN)));
    let email_faults = email.err().or_else(|| taken.email.then(|| one(EMAIL_TAKEN)));
    let is_staff_faults = is_staff.err();
    if username_faults.is_none() && email_faults.is_none() && is_staff_faults.is_none() {
        return Ok(good);
    }
    Err(faults([
        ("username", username_faults),
        ("email", email_faults),
        ("is_staff", is_staff_faults),
    ]))
}

fn read_username(fields: &Fields, extent: Extent) -> Result<Option<Username>, Faults> {
    match fields::username(fields)? {
        None if extent == Extent::Whole => Err(one(REQUIRED)),
        name => Ok(name.map(|name| Username::unchecked(&name))),
    }
}

fn read_email(fields: &Fields, may_set: impl Fn(&Email) -> bool) -> Result<EmailChange, Faults> {
    let Some(text) = fields::email(fields)? else { return Ok(EmailChange::Keep) };
    if text.is_empty() {
        return Ok(EmailChange::Remove);
    }
    let email = Email::unchecked(&text);
    if may_set(&email) { Ok(EmailChange::Set(email)) } else { Err(one(DOMAIN_DENIED)) }
}

/// Returns the response to a conflict with a concurrent request, with the protection of superusers,
/// or with the names of other users.
fn conflict_response(error: Error) -> Answer {
    match error {
        Error::InvalidCredentials => Answer::detail(StatusCode::FORBIDDEN, WRONG_PASSWORD),
        Error::TokenRevoked => Answer::detail(StatusCode::FORBIDDEN, EXPIRED),
        Error::Invalid(list) => match &list[..] {
            [it] if it.fault == Fault::TokenTooLarge => {
                let field = if it.field == "email" { "email" } else { "username" };
                faults([(field, Some(one(&it.fault.message())))])
            }
            _ => faults([("username", Some(one(BAD_USERNAME)))]),
        },
        Error::PermissionDenied | Error::LastSuperuser => Answer::forbidden(),
        Error::UsernameTaken => faults([("username", Some(one(USERNAME_TAKEN)))]),
        Error::EmailTaken => faults([("email", Some(one(EMAIL_TAKEN)))]),
        other => failure(other),
    }
}

/// Returns some users with ids above `after`, and the last of these ids if there may be more.
fn list_page(
    flows: &Flows,
    after: UserId,
    origin: &str,
) -> Result<(Vec<Value>, Option<UserId>), Error> {
    let users = list_users(flows, after, PAGE)?;
    let is_full = i64::try_from(users.len()).is_ok_and(|found| found == PAGE);
    let next = users.last().filter(|_| is_full).map(|last| last.id);
    Ok((users.iter().map(|user| shown(user, origin)).collect(), next))
}

/// Returns the list after the user `after`, read from the database while it is sent. A fault aborts
/// the response.
pub fn rest_of_list(
    state: Data<State>,
    after: UserId,
    origin: String,
) -> impl Stream<Item = Result<Vec<Value>, io::Error>> {
    stream::try_unfold(Some(after), move |after| {
        let (state, origin) = (state.clone(), origin.clone());
        async move {
            let Some(after) = after else { return Ok(None) };
            let page = state.run(move |flows| list_page(flows, after, &origin)).await;
            page.map(Some).map_err(|error| io::Error::other(error.code.name()))
        }
    })
}

fn url(id: UserId, origin: &str) -> String {
    format!("{origin}/users/{id}/")
}

fn shown(user: &User, origin: &str) -> Value {
    json!({
        "url": url(user.id, origin),
        "username": user.username.as_str(),
        "email": user.email_text(),
        "is_staff": user.is_staff,
    })
}
