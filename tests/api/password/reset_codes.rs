//! Codes of reset mails: the number of attempts, and the account that they belong to.

use crate::support::account::RESET;
use crate::support::{DAY, PASSWORD, Proof, SECOND, TestApp, World, on_both, with_another_code};

const MINA: &str = "mina@example.com";
const NEW: &str = "pear tree at dawn";

/// Asks for the mail and reads it; it is the `number`th.
fn reset_mail(world: &World, app: &TestApp, email: &str, number: usize) -> Proof {
    app.ask_reset(email).is(202);
    world.proof_about(email, RESET, number)
}

fn wrong(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

on_both! {
    fn five_wrong_codes_void_the_code_of_a_mail_but_not_its_link(world) {
        let app = world.app();
        app.person(&world, MINA);
        let proof = reset_mail(&world, &app, MINA, 1);
        for _ in 0..4 {
            app.reset_by_code(MINA, wrong(&proof.code), NEW).refused(401, "code_invalid");
        }
        let next = reset_mail(&world, &app, MINA, 2);
        for _ in 0..5 {
            app.reset_by_code(MINA, wrong(&next.code), NEW).refused(401, "code_invalid");
        }
        app.reset_by_code(MINA, &next.code, NEW).refused(401, "code_invalid");
        app.reset_by_link(&next.link_token, NEW).is(204);
    }

    fn four_wrong_codes_are_forgiven(world) {
        let app = world.app();
        app.person(&world, MINA);
        let proof = reset_mail(&world, &app, MINA, 1);
        for _ in 0..4 {
            app.reset_by_code(MINA, wrong(&proof.code), NEW).refused(401, "code_invalid");
        }
        app.reset_by_code(MINA, &proof.code, NEW).is(204);
    }

    fn fifteen_wrong_codes_of_a_day_leave_the_links_only(world) {
        let app = world.app();
        app.person(&world, MINA);
        for mail in 1..=3 {
            let proof = reset_mail(&world, &app, MINA, mail);
            for _ in 0..5 {
                app.reset_by_code(MINA, wrong(&proof.code), NEW).refused(401, "code_invalid");
            }
            world.advance(SECOND * 60);
        }
        let proof = reset_mail(&world, &app, MINA, 4);
        app.reset_by_code(MINA, &proof.code, NEW).refused(401, "code_invalid");
        app.reset_by_link(&proof.link_token, NEW).is(204);
        // A used link makes a new start; so does a day.
        for mail in 5..=7 {
            let proof = reset_mail(&world, &app, MINA, mail);
            for _ in 0..5 {
                app.reset_by_code(MINA, wrong(&proof.code), NEW).refused(401, "code_invalid");
            }
        }
        world.advance(DAY + SECOND);
        let proof = reset_mail(&world, &app, MINA, 8);
        app.reset_by_code(MINA, &proof.code, PASSWORD).is(204);
    }

    fn a_code_belongs_to_its_address(world) {
        let app = world.app();
        app.person(&world, MINA);
        app.person(&world, "ada@example.com");
        let proof = reset_mail(&world, &app, MINA, 1);
        with_another_code(&proof, |number| {
            world.advance(SECOND);
            reset_mail(&world, &app, "ada@example.com", number - 1)
        });
        app.reset_by_code("ada@example.com", &proof.code, NEW).refused(401, "code_invalid");
        app.reset_by_code("none@example.com", &proof.code, NEW).refused(401, "code_invalid");
        app.reset_by_link(&proof.code, NEW).refused(401, "one_time_token_invalid");
        app.reset_by_code(MINA, &proof.code, NEW).is(204);
        app.log_in("ada@example.com", PASSWORD).is(200);
    }
}
