//! Search for users, in pages, at a cost that does not depend on their number.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::{Row, present};
use crate::domain::{Email, User, UserId, Username};
use crate::store::schema::users;
use crate::store::{Conn, Result};

/// Number of users that one page of a search examines besides those that an index finds.
const LOOKED_AT: usize = 1_000;

/// A filter of users. A field that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// A part of the user name or the e-mail address, in any letter case.
    pub search: Option<String>,
    /// The value of `is_active`.
    pub is_active: Option<bool>,
    /// The value of `is_staff`.
    pub is_staff: Option<bool>,
}

/// A page of users, in the order of their ids.
#[derive(Debug)]
pub struct UserPage {
    /// The accounts that match, possibly none although there are more.
    pub users: Vec<User>,
    /// The last user of the page, if there may be more.
    pub next: Option<UserId>,
}

/// The columns that a search compares.
#[derive(Queryable)]
struct Candidate {
    id: i64,
    username_norm: String,
    email_norm: Option<String>,
}

type CandidateColumns = (users::id, users::username_norm, users::email_norm);
const CANDIDATE: CandidateColumns = (users::id, users::username_norm, users::email_norm);

/// Returns up to `limit` users after `after`, or the first page. User ids only increase, so pages
/// stay correct while users come and go.
pub fn list_page(
    conn: &mut Conn,
    filter: &UserFilter,
    after: Option<UserId>,
    limit: usize,
) -> Result<UserPage> {
    match &filter.search {
        // Postgres refuses a statement with NUL, and no user name or address has one.
        Some(search) if search.contains('\0') => Ok(UserPage { users: Vec::new(), next: None }),
        Some(search) => search_page(conn, filter, &Searched::new(search), after, limit),
        None => {
            let mut found = find_next(conn, filter, after, limit + 1)?;
            let is_more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| is_more).map(|last| UserId(last.id));
            let users = load(conn, found.iter().map(|it| it.id))?;
            Ok(UserPage { users, next })
        }
    }
}

/// The search text, normalised as user names and as e-mail addresses are.
struct Searched {
    name: String,
    address: String,
}

impl Searched {
    fn new(search: &str) -> Self {
        Self { name: Username::normalise(search), address: search.to_ascii_lowercase() }
    }

    fn is_in(&self, candidate: &Candidate) -> bool {
        let address = candidate.email_norm.as_ref();
        candidate.username_norm.contains(&self.name)
            || address.is_some_and(|address| address.contains(&self.address))
    }
}

/// Returns a page of a search. Users whose name or address begins with the text are found by the
/// indexes, and are on the first page if all of them fit. The others are searched in the order of
/// their ids, among [`LOOKED_AT`] users per page.
fn search_page(
    conn: &mut Conn,
    filter: &UserFilter,
    searched: &Searched,
    after: Option<UserId>,
    limit: usize,
) -> Result<UserPage> {
    let beginning = find_beginning(conn, filter, searched, limit)?;
    let mut looked_at = find_next(conn, filter, after, LOOKED_AT + 1)?;
    let is_more = looked_at.len() > LOOKED_AT;
    looked_at.truncate(LOOKED_AT);
    let mut next = looked_at.last().filter(|_| is_more).map(|last| UserId(last.id));

    let mut ids = if after.is_none() { beginning.clone() } else { HashSet::new() };
    let mut last = after.unwrap_or(UserId::NONE);
    let others = looked_at.iter().filter(|it| !beginning.contains(&it.id) && searched.is_in(it));
    for other in others {
        if ids.len() == limit {
            next = Some(last);
            break;
        }
        ids.insert(other.id);
        last = UserId(other.id);
    }
    Ok(UserPage { users: load(conn, ids)?, next })
}

/// Returns the users that follow `after` in the order of their ids.
fn find_next(
    conn: &mut Conn,
    filter: &UserFilter,
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<Candidate>> {
    let after = after.unwrap_or(UserId::NONE).0;
    let followers = || {
        let followers = present().filter(users::id.gt(after)).order(users::id);
        followers.select(CANDIDATE).limit(rows(limit))
    };
    if filter.is_staff.is_none() && filter.is_active.is_none() {
        return Ok(followers().load(conn)?);
    }
    // Each combination of the two is one range of the index `users_by_rights`.
    let wanted =
        |choice: Option<bool>| [false, true].into_iter().filter(move |it| choice != Some(!it));
    let mut found: Vec<Candidate> = Vec::new();
    for is_staff in wanted(filter.is_staff) {
        for is_active in wanted(filter.is_active) {
            // Named in the statement: Postgres knows how rare a value is, not how rare a parameter.
            let flags = format!("is_staff = {is_staff} AND is_active = {is_active}");
            found.extend(followers().filter(sql::<Bool>(&flags)).load::<Candidate>(conn)?);
        }
    }
    found.sort_unstable_by_key(|it| it.id);
    found.truncate(limit);
    Ok(found)
}

/// Returns the users whose name or address begins with the text. Returns none if there are more
/// than `limit`, or too many to filter: then the filter is the more selective condition.
fn find_beginning(
    conn: &mut Conn,
    filter: &UserFilter,
    searched: &Searched,
    limit: usize,
) -> Result<HashSet<i64>> {
    let is_filtered = filter.is_staff.is_some() || filter.is_active.is_some();
    let most = if is_filtered { LOOKED_AT } else { limit };
    let is_wanted = |is_staff: bool, is_active: bool| {
        filter.is_staff.is_none_or(|wanted| wanted == is_staff)
            && filter.is_active.is_none_or(|wanted| wanted == is_active)
    };
    let mut found = HashSet::new();
    for (column, beginning) in
        [("username_norm", &searched.name), ("email_norm", &searched.address)]
    {
        let text = in_order_of_bytes(conn, column);
        let end = end_of(beginning);
        let range = sql::<Bool>(&format!("{text} >= ")).bind::<Text, _>(beginning);
        let range = range.sql(&format!(" AND {text} < ")).bind::<Text, _>(end);
        // Filtered here: the database would read the whole range to find a few.
        let in_range = users::table
            .filter(range)
            .select((users::id, users::is_staff, users::is_active))
            .limit(rows(most + 1))
            .load::<(i64, bool, bool)>(conn)?;
        if in_range.len() > most {
            return Ok(HashSet::new());
        }
        let wanted = in_range.into_iter().filter(|it| is_wanted(it.1, it.2));
        found.extend(wanted.map(|it| it.0));
    }
    if found.len() > limit {
        found.clear();
    }
    Ok(found)
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    username_norm: String,
}

/// Returns the users whose user name may be a spelling of `email`, with their normalised names: the
/// user of that name, and those whose name has the same local part and characters beyond ASCII. An
/// ASCII name has one spelling, so accounts of other domains are not read.
pub fn find_named_like(conn: &mut Conn, email: &Email) -> Result<Vec<(UserId, String)>> {
    let exact = users::table.filter(users::username_norm.eq(email.normalised()));
    let mut found: Vec<(i64, String)> =
        exact.select((users::id, users::username_norm)).load(conn)?;
    let (indexed_by, text) = (indexed_by(conn), in_order_of_bytes(conn, "username_norm"));
    // Exactly the condition of the index `users_named_beyond_ascii`.
    let condition = match conn {
        Conn::Postgres(_) => {
            "octet_length(username_norm) <> char_length(username_norm) AND strpos(username_norm, '@') > 0"
        }
        Conn::Sqlite(_) => {
            "length(CAST(username_norm AS BLOB)) <> length(username_norm) AND instr(username_norm, '@') > 0"
        }
    };
    let beginning = format!("{}@", email.local_part());
    let others = diesel::sql_query(format!(
        "SELECT id, username_norm FROM users {indexed_by} \
         WHERE {condition} AND {text} >= $1 AND {text} < $2"
    ));
    let others = others.bind::<Text, _>(&beginning).bind::<Text, _>(end_of(&beginning));
    found.extend(others.load::<Named>(conn)?.into_iter().map(|it| (it.id, it.username_norm)));
    found.sort_unstable();
    Ok(found.into_iter().map(|(id, name)| (UserId(id), name)).collect())
}

/// Returns the hint of the index for SQLite, which would choose the one of all user names: it does
/// not know the sizes of indexes.
const fn indexed_by(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => "",
        Conn::Sqlite(_) => "INDEXED BY users_named_beyond_ascii",
    }
}

/// Returns `column` in byte order, whatever the collation of the database is.
fn in_order_of_bytes(conn: &Conn, column: &str) -> String {
    let collation = match conn {
        Conn::Postgres(_) => "\"C\"",
        Conn::Sqlite(_) => "BINARY",
    };
    format!("{column} COLLATE {collation}")
}

/// Returns the end of the range of texts that begin with `beginning`.
fn end_of(beginning: &str) -> String {
    format!("{beginning}{}", char::MAX)
}

fn load(conn: &mut Conn, ids: impl IntoIterator<Item = i64>) -> Result<Vec<User>> {
    let ids: Vec<i64> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found = present().filter(users::id.eq_any(ids)).order(users::id);
    Ok(found.load::<Row>(conn)?.into_iter().map(User::from).collect())
}

fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
