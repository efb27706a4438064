//! Codes, addresses and passwords as people type and paste them.

use serde_json::{Value, json};

use crate::support::account::{CONFIRM, RESET};
use crate::support::{Answer, PASSWORD, World, on_both};

const MINA: &str = "mina@example.com";
const NEW: &str = "pear tree at dawn";

/// More than any number of attempts that a code has.
const MANY: usize = 20;

/// The code in other digits and with something between them.
fn spellings(code: &str) -> Vec<String> {
    let with_zero = |zero: u32| -> String {
        code.chars().map(|it| char::from_u32(zero + it.to_digit(10).unwrap()).unwrap()).collect()
    };
    let mixed = format!("{}{}", &with_zero(0xFF10).chars().take(3).collect::<String>(), &code[3..]);
    vec![
        format!("{}-{}", &code[..3], &code[3..]),
        format!("{}\u{2013}{}", &code[..2], &code[2..]),
        format!("  {}\u{a0}{}\n", &code[..3], &code[3..]),
        code.chars().flat_map(|it| [it, ' ', '-']).collect(),
        with_zero(0xFF10),
        with_zero(0x0660),
        with_zero(0x06F0),
        with_zero(0x0966),
        with_zero(0x1D7CE),
        mixed,
        format!("\u{200e}{code}\u{feff}"),
    ]
}

const NO_CODES: [&str; 12] = [
    "",
    " ",
    "12345",
    "1234567",
    "12345a",
    "abcdef",
    "12.3456",
    "１２３４５",
    "½23456",
    "一二三四五六",
    "123 456 7",
    "-12345",
];

/// The one fault of a refused request.
#[track_caller]
fn fault(answer: Answer, field: &str) -> Value {
    let problem = answer.refused(422, "validation_failed").json();
    let faults = problem["errors"].as_array().unwrap();
    assert_eq!((faults.len(), &faults[0]["field"]), (1, &json!(field)), "{problem}");
    faults[0].clone()
}

on_both! {
    fn a_name_to_log_in_with_that_is_white_space_is_missing(world) {
        let app = world.app();
        for name in ["", " ", "\t \n", "\u{3000}"] {
            let body = json!({"username": name, "password": PASSWORD});
            let refused = app.post("/v1/token-auth", &body).refused(422, "validation_failed");
            assert_eq!(refused.json()["errors"][0]["code"], "required", "{name:?}");
        }
    }

    fn a_code_is_read_in_any_digits_and_with_hyphens(world) {
        let app = world.app();
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        for spelling in spellings(&code) {
            app.verify_code(&token, &spelling).is(200);
        }
    }

    fn the_code_of_a_reset_and_of_a_new_address_is_read_likewise(world) {
        let app = world.app();
        app.person(&world, MINA);
        app.ask_reset(MINA).is(202);
        let code = world.proof_about(MINA, RESET, 1).code;
        app.reset_by_code(MINA, &spellings(&code)[4], NEW).is(204);
        let access = app.log_in(MINA, NEW).is(200).tokens().access;
        let body = json!({"new_email": " new@example.com ", "password": NEW});
        let waiting = app.as_holder("POST", "/v1/me/email", &access, &body).is(202);
        let code = world.proof_about("new@example.com", CONFIRM, 1).code;
        app.verify_code(&waiting.text("registration_token"), &spellings(&code)[0]).is(200);
    }

    fn what_cannot_be_a_code_costs_no_attempt(world) {
        let app = world.app_with(&[("HALLPASS_LIMITS", "on")]);
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        for number in 0..MANY.max(NO_CODES.len()) {
            let answer = app.verify_code(&token, NO_CODES[number % NO_CODES.len()]);
            assert_eq!(fault(answer, "code")["code"], "invalid_format");
        }
        app.verify_code(&token, &code).is(200);
        app.ask_reset(MINA).is(202);
        let code = world.proof_about(MINA, RESET, 1).code;
        for number in 0..MANY.max(NO_CODES.len()) {
            let answer = app.reset_by_code(MINA, NO_CODES[number % NO_CODES.len()], NEW);
            assert_eq!(fault(answer, "code")["code"], "invalid_format");
        }
        app.reset_by_code(MINA, &code, NEW).is(204);
    }

    fn a_wrong_code_costs_an_attempt_in_every_spelling(world) {
        let app = world.app();
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        let wrong = if code == "000000" { "111111" } else { "000000" };
        for spelling in &spellings(wrong)[..5] {
            app.verify_code(&token, spelling).refused(401, "code_invalid");
        }
        app.verify_code(&token, &code).refused(401, "code_invalid");
    }

    fn white_space_around_an_address_does_not_count(world) {
        let app = world.app();
        let token = app.register(" \tmina@example.com\u{a0}\n");
        let code = world.proof(MINA, 1).code;
        app.post("/v1/verify-email/resend", &json!({"email": "\u{3000}mina@example.com "})).is(202);
        world.settle_mail();
        assert_eq!(world.mails_so_far(MINA).len(), 2);
        let newer = world.proof(MINA, 2).code;
        app.verify_code(&token, if newer == code { &code } else { &newer }).is(200);
        let logged_in = app.log_in(" mina@example.com\r\n", PASSWORD).is(200).tokens();
        assert_eq!(app.me(&logged_in.access).is(200).json()["email"], MINA);
        assert_eq!(logged_in.claims()["username"], MINA);
        app.ask_reset("  mina@example.com ").is(202);
        let code = world.proof_about(MINA, RESET, 1).code;
        app.reset_by_code(" mina@example.com ", &code, NEW).is(204);
        for typed in ["\u{2003}MINA@example.com", "\u{feff}mina@example.com", "mina@example.com\u{200b} "] {
            app.log_in(typed, NEW).is(200);
            app.ask_reset(typed).is(202);
        }
        // Within an address it still is a fault, and nothing but white space is no name.
        for bad in ["mi na@example.com", "mina@ example.com", " "] {
            let answer = app.post("/v1/password-reset", &json!({"email": bad}));
            assert_eq!(fault(answer, "email")["code"], "invalid_email");
        }
        for blank in [" ", " \t\u{3000}", "\u{85}"] {
            assert_eq!(fault(app.log_in(blank, NEW), "username")["code"], "required");
        }
        // The document allows these: they are a name that no account has.
        for invisible in ["\u{ad}", " \t\u{feff}", "\u{e0001}\u{200b}"] {
            app.log_in(invisible, NEW).refused(401, "invalid_credentials");
        }
    }

    fn white_space_around_a_name_is_no_way_around_its_limit(world) {
        let app = world.app_with(&[("HALLPASS_LIMITS", "on")]);
        app.person(&world, MINA);
        for number in 0..5 {
            let name = format!("{}{MINA}{}", " ".repeat(number), "\u{200b}".repeat(number));
            app.log_in(&name, "wrong password").refused(401, "invalid_credentials");
        }
        app.log_in(&format!("{MINA}\u{3000}"), PASSWORD).refused(429, "rate_limited");
    }

    fn a_user_name_that_repeats_the_address_may_have_the_same_white_space(world) {
        let app = world.app();
        let body = json!({"email": " mina@example.com", "username": " mina@example.com", "password": PASSWORD});
        let token = app.register_with(&body);
        app.verify_code(&token, &world.proof(MINA, 1).code).is(200);
    }
}

#[test]
fn too_short_and_too_long_tell_the_bound() {
    let world = World::sqlite();
    let app = world.app_with(&[
        ("HALLPASS_PASSWORD_MIN_LENGTH", "11"),
        ("HALLPASS_PASSWORD_MAX_LENGTH", "99"),
    ]);
    let tokens = app.person(&world, MINA);
    let register = |field: &str, value: &str| {
        let mut body = json!({"email": "new@example.com", "password": PASSWORD});
        body[field] = value.into();
        fault(app.post("/v1/register", &body), field)
    };
    let told = |fault: &Value| {
        let number = |name: &str| fault.get(name).map(|it| it.as_u64().unwrap());
        let (min, max) = (number("min"), number("max"));
        let bound = min.or(max).expect("a bound").to_string();
        let message = fault["message"].as_str().unwrap();
        assert!(message.split(' ').any(|word| word == bound), "{message}");
        (fault["code"].as_str().unwrap().to_owned(), min, max)
    };
    let short = |bound| ("too_short".to_owned(), Some(bound), None);
    let long = |bound| ("too_long".to_owned(), None, Some(bound));
    assert_eq!(told(&register("password", "plum tree!")), short(11));
    for length in [100, 1025, 5000] {
        let varied: String = "plum tree at dusk ".chars().cycle().take(length).collect();
        assert_eq!(told(&register("password", &varied)), long(99), "{length}");
    }
    assert_eq!(told(&register("username", &"a".repeat(151))), long(150));
    assert_eq!(told(&register("locale", &format!("en{}", "-abcdefgh".repeat(4)))), long(35));
    assert_eq!(told(&register("email", &format!("a@{}.com", "b.".repeat(130)))), long(254));
    let log_in = |name: &str, password: &str| app.log_in(name, password);
    assert_eq!(told(&fault(log_in(&"a".repeat(255), PASSWORD), "username")), long(254));
    assert_eq!(told(&fault(log_in(MINA, &"a".repeat(1025)), "password")), long(1024));
    let change = app.change_password(&tokens.access, None, "too short");
    assert_eq!(told(&fault(change, "new_password")), short(11));
    let metadata = json!({"metadata": {"note": "x".repeat(4096)}});
    let answer = app.as_holder("PATCH", "/v1/me", &tokens.access, &metadata);
    assert_eq!(told(&fault(answer, "metadata")), long(4096));
    // Other faults have no bound.
    let other = register("username", "mina!");
    assert_eq!((other.get("min"), other.get("max")), (None, None));
}
