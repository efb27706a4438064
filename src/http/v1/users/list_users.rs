//! `GET /v1/users`
#![expect(unused_qualifications, reason = "of the macro that describes the parameters")]

use actix_web::web;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::domain::{Email, Fault, Length, UserId};
use crate::flows::UserFilter;
use crate::http::error::ApiError;
use crate::http::request::bearer::Sender;
use crate::http::request::body::{Body, Fields, Query};
use crate::http::state::State;
use crate::http::v1::account::user::Account;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;

/// Filters and page of the list of accounts.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Page` is read from")]
pub struct ListUsersQuery {
    /// A part of the user name or the e-mail address, in any letter case.
    #[param(min_length = 1, max_length = 254, required = false)]
    search: Option<String>,
    /// Only accounts that may log in, or only those that may not.
    #[param(required = false)]
    is_active: Option<bool>,
    /// Only staff, or only others.
    #[param(required = false)]
    is_staff: Option<bool>,
    /// Maximum number of accounts on the page.
    #[param(minimum = 1, maximum = 200, default = 50, required = false)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[param(required = false, pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// The parsed parameters.
pub struct Page {
    filter: UserFilter,
    limit: usize,
    after: Option<UserId>,
}

impl Body for Page {
    fn read(fields: &mut Fields) -> Option<Self> {
        let search = fields.optional("search", |text| match text.chars().count() {
            0 => Err(Fault::TooShort(Length::Characters(1))),
            1..=Email::MAX_LENGTH => Ok(text.to_owned()),
            _ => Err(Fault::TooLong(Length::Characters(Email::MAX_LENGTH))),
        });
        let truth = |text: &str| text.parse::<bool>().map_err(|_| Fault::WrongType);
        let is_active = fields.optional("is_active", truth);
        let is_staff = fields.optional("is_staff", truth);
        let limit = fields.optional("limit", |text| match text.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
            _ => Err(Fault::InvalidFormat),
        });
        let after = fields.optional("cursor", |text| read_cursor(text).ok_or(Fault::InvalidFormat));
        Some(Self {
            filter: UserFilter { search, is_active, is_staff },
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            after,
        })
    }
}

/// A page of users in the order of their ids.
#[derive(Serialize, ToSchema)]
pub struct Accounts {
    /// The accounts.
    users: Vec<Account>,
    /// Cursor of the next page; null on the last one.
    #[schema(example = "57")]
    next_cursor: Option<String>,
}

/// Parses the id of the last user that the page examined. It is opaque to clients.
fn read_cursor(text: &str) -> Option<UserId> {
    let is_number =
        (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).map(UserId)
}

#[utoipa::path(
    get,
    path = "/v1/users",
    operation_id = "listUsers",
    tag = "users",
    summary = "List accounts",
    description = "For staff, and for API keys with the scope `users:read`, in the order of their ids. Pages stay consistent while accounts are created and deleted: none appears twice or is left out. \
        A `search` puts those whose user name or e-mail address begins with it on the first page, if they fit there, and \
        looks for the others among 1,000 users for each page: a page may be short or empty and have a `next_cursor` all \
        the same. Follow it until it is null.",
    params(ListUsersQuery),
    responses((status = 200, description = "A page of accounts.", body = Accounts)),
    security(("bearer" = []), ("api_key" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "validation_failed"])))
)]
/// Lists accounts.
pub async fn handle(
    state: web::Data<State>,
    Sender(caller): Sender,
    Query(Page { filter, limit, after }): Query<Page>,
) -> Result<web::Json<Accounts>, ApiError> {
    let page = state.run(move |flows| flows.list_users(&caller, &filter, after, limit)).await?;
    Ok(web::Json(Accounts {
        users: page.users.into_iter().map(Account::from).collect(),
        next_cursor: page.next.map(|last| last.to_string()),
    }))
}
