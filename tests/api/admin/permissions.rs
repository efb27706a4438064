//! Permissions: the tables of `docs/security.md`, checked line by line.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hallpass::domain::Scope;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp, Tokens, World, on_both};
use crate::{HAS_DOCS, HAS_DRF};

const PAGE: &str = include_str!("../../../docs/security.md");
const SCHEMA: &str = include_str!("../../../src/store/schema.rs");
const NEW: &str = "pear tree at dawn";

/// The cells of the table below a heading of the page, without its head.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(&format!("\n### {heading}\n")).expect("the heading");
    let rows = rest.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// Returns the texts between backquotes.
fn quoted(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split('`').skip(1).step_by(2)
}

/// Accounts that a test makes as it needs them.
struct Cast<'a> {
    world: &'a World,
    app: &'a TestApp,
    root: Tokens,
    /// The secret of an API key with every scope.
    service: String,
    number: Cell<u32>,
    /// Users who stay unchanged, by role.
    bystanders: RefCell<BTreeMap<String, Rc<Person>>>,
}

/// A user with a session of the API and one of the adapter.
struct Person {
    email: String,
    tokens: Tokens,
    /// Empty in a build without the adapter.
    django: String,
}

impl<'a> Cast<'a> {
    fn new(world: &'a World, app: &'a TestApp) -> Self {
        let root = app.superuser(world, "root@example.com");
        let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
        let service = app.api_key(&root, &scopes).1;
        let (number, bystanders) = <_>::default();
        Self { world, app, root, service, number, bystanders }
    }

    fn name(&self) -> String {
        format!("person{}", self.number.replace(self.number.get() + 1))
    }

    /// An account of that role that stays as it is.
    fn bystander(&self, role: &str) -> Rc<Person> {
        let mut bystanders = self.bystanders.borrow_mut();
        let make = || self.person(role);
        Rc::clone(bystanders.entry(role.to_owned()).or_insert_with(make))
    }

    /// A new account of that role, logged in.
    fn person(&self, role: &str) -> Rc<Person> {
        let email = format!("{}@example.com", self.name());
        let role = role.trim_start_matches("another ");
        let is_staff = role != "user";
        let body = json!({"email": email, "password": PASSWORD, "is_staff": is_staff});
        self.app.ask_as(&self.root.access, "POST", "/v1/users", &body).is(201);
        if role == "superuser" {
            let raise = format!("UPDATE users SET is_superuser = TRUE WHERE email = '{email}'");
            self.world.execute(&raise);
        }
        let tokens = self.app.log_in(&email, PASSWORD).is(200).tokens();
        let django = if HAS_DRF { self.django_token(&email) } else { String::new() };
        Rc::new(Person { email, tokens, django })
    }

    fn django_token(&self, email: &str) -> String {
        let body = json!({"username": email, "password": PASSWORD}).to_string();
        let json = [("content-type", "application/json")];
        let answer = self.app.send_undocumented("POST", "/api-token-auth/", &json, body);
        answer.is(200).text("token")
    }

    /// Sends a request as that person, or as one without an account.
    fn ask(&self, as_whom: Option<&Person>, method: &str, path: &str, body: &Value) -> Answer {
        let is_v1 = path.starts_with("/v1");
        let authorization = as_whom.map(|it| {
            if is_v1 {
                format!("Bearer {}", it.tokens.access)
            } else {
                format!("JWT {}", it.django)
            }
        });
        self.ask_with(authorization.as_deref(), method, path, body)
    }

    /// Sends a request with that `Authorization` header.
    fn ask_with(
        &self,
        authorization: Option<&str>,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Answer {
        let mut headers = Vec::new();
        headers.extend(authorization.map(|it| ("authorization", it)));
        let (kind, body) = match body {
            Value::Null => ("", String::new()),
            Value::String(form) => ("application/x-www-form-urlencoded", form.clone()),
            body => ("application/json", body.to_string()),
        };
        if !body.is_empty() {
            headers.push(("content-type", kind));
        }
        self.app.send_undocumented(method, path, &headers, body)
    }

    /// Sends a request with the API key.
    fn ask_as_service(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask_with(Some(&format!("Bearer {}", self.service)), method, path, body)
    }

    /// A column of the account, as text.
    fn stored(&self, id: i64, column: &str) -> String {
        let sql = format!("SELECT coalesce(CAST({column} AS TEXT), '') AS text FROM users");
        self.world.text(&format!("{sql} WHERE id = {id}"))
    }
}

/// A valid body of the request, for any sender.
fn body_of(cast: &Cast, request: &str, email: &str) -> Value {
    let fresh = format!("{}@example.com", cast.name());
    match request {
        "POST /v1/register" | "POST /v1/users" => json!({"email": fresh, "password": PASSWORD}),
        "POST /v1/verify-email" => json!({"registration_token": "hpg_none", "code": "123456"}),
        "POST /v1/verify-email/resend" | "POST /v1/password-reset" => json!({"email": fresh}),
        "POST /v1/password-reset/confirm" => json!({"token": "none", "new_password": NEW}),
        "POST /v1/not-me"
        | "POST /v1/token-verify"
        | "POST /api-token-verify/"
        | "POST /api-token-refresh/" => json!({"token": "none"}),
        "POST /v1/token-auth" | "POST /api-token-auth/" => {
            json!({"username": email, "password": "wrong"})
        }
        "POST /v1/token-refresh" | "POST /v1/token-revoke" => json!({"refresh_token": "hpr_none"}),
        "POST /v1/introspect" | "POST /v1/revoke" => json!("token=none"),
        "POST /v1/api-keys" => json!({"name": "a service", "scopes": ["introspect"]}),
        "PATCH /v1/me" | "PATCH /v1/users/{id}" => json!({"locale": "ko"}),
        "DELETE /v1/me" => json!({"password": PASSWORD}),
        "POST /v1/me/email" => json!({"new_email": fresh, "password": PASSWORD}),
        "POST /v1/password-change" => json!({"current_password": PASSWORD, "new_password": NEW}),
        "POST /users/" | "PATCH /users/{id}/" => json!({"username": cast.name()}),
        "PUT /users/{id}/" => json!({"username": cast.name(), "email": email}),
        "POST /v1/social/{provider}/start" => json!({"return_to": "https://app.test/in"}),
        "POST /v1/social/{provider}/finish" => {
            json!({"flow_token": "hps_none", "code": "none", "state": "none"})
        }
        "POST /v1/social/{provider}/token" => json!({"id_token": "none", "nonce": "none"}),
        _ => Value::Null,
    }
}

/// Asks what a cell is about: one request of one role, about one kind of account.
fn outcome(cast: &Cast, request: &str, whose: &str, role: &str) -> Answer {
    let (method, path) = request.split_once(' ').expect("method and path");
    let kind = match whose {
        "staff" => "another staff",
        "a superuser" => "another superuser",
        _ => "another user",
    };
    let of_role = |role: &str, stays: bool| {
        if stays || method == "GET" { cast.bystander(role) } else { cast.person(role) }
    };
    let asking =
        (!["anonymous", "service"].contains(&role)).then(|| of_role(role, whose != "oneself"));
    let other = of_role(kind, role == "anonymous" || whose == "oneself");
    let about = asking.as_ref().filter(|_| whose == "oneself").unwrap_or(&other);
    let id = if path.contains("api-keys/{id}") {
        cast.app.api_key(&cast.root, &["introspect"]).0
    } else if path.contains("sessions/{id}") {
        about.tokens.session.clone()
    } else {
        about.tokens.user_id().to_string()
    };
    let body = body_of(cast, request, &about.email);
    let path = path.replace("{id}", &id);
    if role == "service" {
        return cast.ask_as_service(method, &path, &body);
    }
    cast.ask(asking.as_deref(), method, &path, &body)
}

/// The built-in pages show what their link proves.
const PAGES: [&str; 3] = ["GET /verify-email", "GET /password-reset", "GET /not-me"];

/// Returns whether a response is that of the cell.
fn matches_cell(request: &str, cell: &str, answer: &Answer) -> bool {
    if cell != "yes" {
        return answer.status.to_string() == cell;
    }
    // Of what the body has to prove only this is asked: that no access token is wanted for it.
    let lacks = ["authentication_required", "token_invalid", "permission_denied", "not_found"];
    let proves_nothing = request.starts_with("POST /v1/token-")
        || request.starts_with("POST /api-token-")
        || ["POST /v1/verify-email", "POST /v1/password-reset/confirm", "POST /v1/not-me"]
            .contains(&request)
        || request.contains("/{provider}/")
        || PAGES.contains(&request);
    if !proves_nothing {
        return (200..300).contains(&answer.status);
    }
    // There is no provider here.
    let is_social = request.contains("/{provider}/") && answer.code() == "not_found";
    let is_refused = lacks.contains(&answer.code().as_str()) && !is_social;
    answer.status < 500 && (!is_refused || request == "POST /v1/token-verify")
}

/// The requests that the page has to name: each operation of the document, those of the adapter
/// and the built-in pages.
fn requests() -> BTreeSet<String> {
    let document: Value = serde_json::from_str(&hallpass::http::openapi::document()).unwrap();
    let mut requests = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            requests.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    for (path, methods) in ADAPTER.into_iter().chain([("/docs/", "GET")]) {
        requests.extend(methods.split(' ').map(|method| format!("{method} {path}")));
    }
    requests.extend(PAGES.map(str::to_owned));
    requests
}

/// The paths of the Django REST adapter with their methods.
const ADAPTER: [(&str, &str); 7] = [
    ("/", "GET"),
    ("/restricted/", "GET"),
    ("/users/", "GET POST"),
    ("/users/{id}/", "GET PUT PATCH DELETE"),
    ("/api-token-auth/", "POST"),
    ("/api-token-verify/", "POST"),
    ("/api-token-refresh/", "POST"),
];

/// Returns whether this build serves a request of the page.
fn is_served(request: &str) -> bool {
    let (_, path) = request.split_once(' ').expect("method and path");
    match path {
        "/docs/" => HAS_DOCS,
        _ => HAS_DRF || ADAPTER.iter().all(|it| it.0 != path),
    }
}

/// A value that a field does not have yet.
fn new_value(cast: &Cast, field: &str) -> Value {
    match field {
        "user_id" | "updated_at" | "tokens_from" | "rights_changed_at" => json!(999_999),
        "username" => json!(cast.name()),
        "email" => json!(format!("{}@example.com", cast.name())),
        "password" => json!(NEW),
        "is_active" => json!(false),
        "email_verified" | "is_staff" | "is_superuser" => json!(true),
        "locale" => json!("ko"),
        "metadata" => json!({"pet": "hedgehog"}),
        "disabled_reason" => json!("a reason"),
        "disabled_until" => json!("2030-01-01T00:00:00Z"),
        "roles" => json!(["editor"]),
        "app_metadata" => json!({"plan": "pro"}),
        _ => json!("2020-01-01T00:00:00Z"),
    }
}

fn column_of(field: &str) -> &str {
    match field {
        "user_id" => "id",
        "password" => "password_hash",
        "identities" => "(SELECT count(*) FROM identities WHERE user_id = users.id)",
        other => other,
    }
}

/// Tries all that could change a field of an account; tells whether it did.
fn changes(cast: &Cast, role: &str, field: &str) -> bool {
    let about = cast.person("user");
    let asking = if role.ends_with("staff") { cast.bystander("staff") } else { Rc::clone(&about) };
    let (id, value) = (about.tokens.user_id(), new_value(cast, field));
    let path = match role {
        "owner" => "/v1/me".to_owned(),
        "staff" | "service" => format!("/v1/users/{id}"),
        _ => format!("/users/{id}/"),
    };
    let before = cast.stored(id, column_of(field));
    let mut body = json!({ field: value });
    if ["staff", "service"].contains(&role) && field.starts_with("disabled_") {
        // They stay only where the account is switched off.
        body["is_active"] = json!(false);
    }
    if role == "service" {
        cast.ask_as_service("PATCH", &path, &body);
    } else {
        cast.ask(Some(&asking), "PATCH", &path, &body);
    }
    if role == "owner" && field == "email" {
        // The pending address has to be verified.
        assert_eq!(cast.stored(id, "email"), before);
        cast.app.move_to(cast.world, &asking.tokens.access, value.as_str().unwrap());
    }
    if role == "owner" && field == "password" {
        cast.app.change_password(&asking.tokens.access, Some(PASSWORD), NEW).is(204);
    }
    cast.stored(id, column_of(field)) != before
}

/// Returns whether the field can be set when an account is created.
fn chooses(cast: &Cast, role: &str, field: &str) -> bool {
    let (staff, value) = (cast.bystander("staff"), new_value(cast, field));
    let email = format!("{}@example.com", cast.name());
    let mut body = match role {
        "Django adapter, staff" => json!({"username": cast.name()}),
        _ => json!({"email": email, "password": PASSWORD}),
    };
    body[field] = value.clone();
    let (answer, made) = match role {
        "anonymous" => (cast.ask(None, "POST", "/v1/register", &body), 202),
        "service" => (cast.ask_as_service("POST", "/v1/users", &body), 201),
        "staff" => (cast.ask(Some(&staff), "POST", "/v1/users", &body), 201),
        _ => (cast.ask(Some(&staff), "POST", "/users/", &body), 201),
    };
    if role != "Django adapter, staff" {
        let refused = ["validation_failed", "permission_denied"];
        let is_told = answer.status == made || refused.contains(&answer.code().as_str());
        assert!(is_told, "{}", answer.shown());
        return answer.status == made;
    }
    // The adapter passes over what it does not know.
    let id = answer.is(made).json()["url"].as_str().unwrap().rsplit('/').nth(1).unwrap().parse();
    let stored = cast.stored(id.unwrap(), column_of(field));
    stored == value.as_str().map_or(value.to_string(), str::to_owned)
        || value == json!(true) && stored == "1"
}

/// Returns whether the role can read the field of an account.
fn reads(cast: &Cast, role: &str, field: &str) -> bool {
    let (owner, staff) = (cast.bystander("user"), cast.bystander("staff"));
    let id = owner.tokens.user_id();
    let answer = match role {
        "anonymous" => return false,
        "owner" => cast.ask(Some(&owner), "GET", "/v1/me", &Value::Null),
        "staff" => cast.ask(Some(&staff), "GET", &format!("/v1/users/{id}"), &Value::Null),
        "service" => cast.ask_as_service("GET", &format!("/v1/users/{id}"), &Value::Null),
        "Django adapter, owner" => {
            cast.ask(Some(&owner), "GET", &format!("/users/{id}/"), &Value::Null)
        }
        _ => cast.ask(Some(&staff), "GET", &format!("/users/{id}/"), &Value::Null),
    };
    answer.is(200).json().get(field).is_some()
}

on_both! {
    fn each_request_is_open_to_the_roles_that_the_page_on_security_names(world) {
        let app = world.app();
        let cast = Cast::new(&world, &app);
        let roles = ["anonymous", "user", "staff", "superuser", "service"];
        let mut named = BTreeSet::new();
        for row in table("Requests") {
            assert_eq!(row.len(), 7, "{row:?}");
            named.extend(quoted(row[0]).map(str::to_owned));
            for request in quoted(row[0]).filter(|it| is_served(it)) {
                for whose in row[1].split(", ") {
                    for (role, cell) in roles.into_iter().zip(&row[2..]) {
                        let answer = outcome(&cast, request, whose, role);
                        let told = matches_cell(request, cell, &answer);
                        assert!(told, "{request} of {whose} by {role}: {}", answer.shown());
                    }
                }
            }
        }
        assert_eq!(named, requests());
        if HAS_DRF {
            let listed = |role: &str| {
                let list = cast.ask(Some(&cast.bystander(role)), "GET", "/users/", &Value::Null);
                list.is(200).json().as_array().unwrap().len()
            };
            assert_eq!((listed("user"), listed("staff") > 1), (1, true));
        }
    }

    fn each_field_is_read_and_written_by_the_roles_that_the_page_on_security_names(world) {
        let app = world.app();
        let cast = Cast::new(&world, &app);
        let roles = [
            "anonymous", "owner", "staff", "service", "Django adapter, owner",
            "Django adapter, staff",
        ];
        let mut named = BTreeSet::new();
        for row in table("Fields of the account") {
            assert_eq!(row.len(), 7, "{row:?}");
            for field in quoted(row[0]) {
                named.insert(column_of(field));
                let columns = roles.into_iter().zip(&row[1..]);
                for (role, cell) in columns.filter(|it| HAS_DRF || !it.0.starts_with("Django")) {
                    let may = |what: &str| cell.split([',', ' ']).any(|word| word == what);
                    assert_eq!(reads(&cast, role, field), may("read"), "{role} reads {field}");
                    if role != "anonymous" {
                        assert_eq!(changes(&cast, role, field), may("change"), "{role}, {field}");
                    }
                    if !role.ends_with("owner") {
                        assert_eq!(chooses(&cast, role, field), may("choose"), "{role}, {field}");
                    }
                }
            }
        }
        // Each column stands there, those aside that follow from others.
        let (_, users) = SCHEMA.split_once("users (id) {").unwrap();
        let columns = users.split('}').next().unwrap().lines();
        let columns = columns.filter_map(|it| it.trim().split_once(" -> ")).map(|it| it.0);
        let missing: Vec<&str> = columns
            .filter(|it| !["username_norm", "email_norm"].contains(it) && !named.contains(it))
            .collect();
        assert_eq!(missing, [""; 0]);
    }

    fn what_answers_hold_of_an_account_is_on_the_page_on_security(world) {
        let app = world.app();
        let cast = Cast::new(&world, &app);
        let rows = table("Fields of the account");
        let named: Vec<&str> = rows.iter().flat_map(|row| quoted(row[0])).collect();
        let (user, staff) = (cast.person("user"), cast.person("staff"));
        let id = user.tokens.user_id();
        for (asking, path) in [
            (&user, "/v1/me".to_owned()),
            (&staff, format!("/v1/users/{id}")),
            (&user, format!("/users/{id}/")),
            (&staff, format!("/users/{id}/")),
        ] {
            if !HAS_DRF && path.starts_with("/users/") {
                continue;
            }
            let account = cast.ask(Some(asking), "GET", &path, &Value::Null).is(200).json();
            for field in account.as_object().unwrap().keys().filter(|it| *it != "url") {
                assert!(named.contains(&field.as_str()), "{path} has {field}");
            }
        }
    }
}
