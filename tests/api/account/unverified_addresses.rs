//! An address that an account has not verified never blocks its owner: the user who verifies it
//! gets it.

use serde_json::{Value, json};

use crate::support::account::{RESET, VERIFY};
#[cfg(feature = "drf-jwt")]
use crate::support::link_token;
use crate::support::{PASSWORD, TestApp, Tokens, World, on_both};

const OWNER: &str = "owner@example.com";
const SQUATTER: &str = "squatter";
const NEW: &str = "pear tree at dawn";

/// A user who is called `SQUATTER` and has no address.
fn squatter(world: &World, app: &TestApp) -> Tokens {
    let id = app.person(world, "old@example.com").user_id();
    world.execute(&format!(
        "UPDATE users SET username = '{SQUATTER}', username_norm = '{SQUATTER}', email = NULL, \
         email_norm = NULL, email_verified = FALSE WHERE id = {id}"
    ));
    app.log_in(SQUATTER, PASSWORD).is(200).tokens()
}

/// Gives the user the address of the owner, unverified, through the adapter.
#[cfg(feature = "drf-jwt")]
fn take_through_the_adapter(app: &TestApp, squatter: &Tokens) {
    let json_type = ("content-type", "application/json");
    let log_in = json!({"username": SQUATTER, "password": PASSWORD}).to_string();
    let answer = app.send_undocumented("POST", "/api-token-auth/", &[json_type], log_in);
    let header = format!("JWT {}", answer.is(200).text("token"));
    let path = format!("/users/{}/", squatter.user_id());
    let headers = [json_type, ("authorization", header.as_str())];
    let body = json!({"username": SQUATTER, "email": OWNER}).to_string();
    app.send_undocumented("PATCH", &path, &headers, body).is(200);
}

fn me(app: &TestApp, name: &str, password: &str) -> Value {
    app.me(&app.log_in(name, password).is(200).tokens().access).is(200).json()
}

/// The owner has the address, and the other account is there without it.
fn belongs_to_owner(world: &World, app: &TestApp, owner: &Tokens, squatter: &Tokens, name: &str) {
    let own = me(app, OWNER, NEW);
    assert_eq!((&own["user_id"], &own["email_verified"]), (&json!(owner.user_id()), &json!(true)));
    let other = me(app, name, PASSWORD);
    assert_eq!((&other["user_id"], &other["email"]), (&json!(squatter.user_id()), &json!("")));
    // A reset is of the owner's account.
    app.ask_reset(OWNER).is(202);
    app.reset_by_link(&world.link_about(OWNER, RESET, 1), "a quince on the sill").is(204);
    assert_eq!(me(app, OWNER, "a quince on the sill")["user_id"], owner.user_id());
    app.log_in(name, PASSWORD).is(200);
}

fn register(world: &World, app: &TestApp) -> Tokens {
    let body = json!({"email": OWNER, "password": NEW});
    let token = app.register_with(&body);
    app.verify_code(&token, &world.proof_about(OWNER, VERIFY, 1).code).is(200).tokens()
}

on_both! {
    fn a_registration_gets_it_from_an_account_without_another(world) {
        let app = world.app();
        let squatter = squatter(&world, &app);
        // As an import or staff leave it.
        world.execute(&format!("UPDATE users SET email = '{OWNER}', email_norm = '{OWNER}' WHERE id = {}", squatter.user_id()));
        let owner = register(&world, &app);
        belongs_to_owner(&world, &app, &owner, &squatter, SQUATTER);
    }

    #[cfg(feature = "drf-jwt")]
    fn a_registration_gets_it_from_the_adapter_with_and_without_notices(world) {
        let app = world.app_with(&[("HALLPASS_SECURITY_NOTICES", "off")]);
        let squatter = squatter(&world, &app);
        take_through_the_adapter(&app, &squatter);
        let owner = register(&world, &app);
        belongs_to_owner(&world, &app, &owner, &squatter, SQUATTER);
    }

    #[cfg(feature = "drf-jwt")]
    fn a_change_of_address_gets_it_from_an_account_that_is_switched_off(world) {
        let app = world.app();
        let squatter = squatter(&world, &app);
        take_through_the_adapter(&app, &squatter);
        world.execute(&format!("UPDATE users SET is_active = FALSE WHERE id = {}", squatter.user_id()));
        let owner = app.person(&world, "mover@example.com");
        let moved = app.move_to(&world, &owner.access, OWNER);
        assert_eq!(app.me(&moved.access).is(200).json()["email"], OWNER);
        assert_eq!(world.count(&format!("users WHERE email_norm = '{OWNER}'")), 1);
    }

    fn an_account_that_staff_created_keeps_it_only_until_its_owner_registers(world) {
        let app = world.app();
        let staff = app.superuser(&world, "root@example.com");
        let body = json!({"email": OWNER, "username": SQUATTER, "password": PASSWORD});
        app.as_holder("POST", "/v1/users", &staff.access, &body).is(201);
        let squatter = app.log_in(OWNER, PASSWORD).is(200).tokens();
        let owner = register(&world, &app);
        belongs_to_owner(&world, &app, &owner, &squatter, SQUATTER);
    }

    #[cfg(feature = "drf-jwt")]
    fn a_user_who_sets_it_at_the_adapter_blocks_no_invitation(world) {
        let app = world.app();
        let staff = app.superuser(&world, "root@example.com");
        let squatter = app.person(&world, "old@example.com");
        let id = squatter.user_id();
        world.execute(&format!("UPDATE users SET username = '{SQUATTER}', username_norm = '{SQUATTER}' WHERE id = {id}"));
        take_through_the_adapter(&app, &squatter);
        assert_eq!(world.count(&format!("users WHERE id = {id} AND email = '{OWNER}'")), 1);
        app.as_holder("POST", "/v1/users", &staff.access, &json!({"email": OWNER})).is(201);
        assert_eq!(world.count(&format!("users WHERE id = {id} AND email = 'old@example.com' AND email_verified")), 1);
        let link = link_token(&world.mails_to(OWNER, 1)[0]);
        app.reset_by_link(&link, NEW).is(204);
        assert_eq!(me(&app, OWNER, NEW)["email_verified"], true);
    }
}
