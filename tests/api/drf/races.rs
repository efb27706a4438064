//! Staff give an account an address at the moment its owner verifies it.

use serde_json::json;

use super::stale_rights::{basic, send};
use crate::support::{PASSWORD, at_once, on_both};

const ROUNDS: usize = 12;
const BOSS: &str = "boss@example.com";

on_both! {
    fn a_verification_counts_although_staff_give_its_address_away(world) {
        let apps = [world.app(), world.app()];
        apps[0].staff(&world, BOSS);
        for round in 0..2 * ROUNDS {
            let (email, name) = (format!("new{round}@example.com"), format!("new{round}"));
            let other = send(&apps[1], &basic(BOSS), "POST", "/users/", &json!({"username": name}));
            let other = format!("/users/{}/", other.is(201).json()["id"]);
            let registration = apps[0].register(&email);
            let code = world.proof(&email, 1).code;
            let answers = at_once(2, |number| match number {
                0 => apps[0].verify_code(&registration, &code),
                _ if round % 2 == 0 => {
                    let new = json!({"username": format!("other{round}"), "email": email});
                    send(&apps[1], &basic(BOSS), "POST", "/users/", &new)
                }
                _ => send(&apps[1], &basic(BOSS), "PATCH", &other, &json!({"email": email})),
            });
            let [verified, given] = <[_; 2]>::try_from(answers).ok().unwrap();
            assert_eq!(verified.status, 200, "{} {}", verified.shown(), given.shown());
            apps[0].log_in(&email, PASSWORD).is(200);
        }
    }
}
