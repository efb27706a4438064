//! Tokens, codes and passwords in the database: only their hashes are stored.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::api::limits::attempts::limited;
use crate::support::account::{CONFIRM, NEW_DEVICE, PASSWORD_CHANGED, RESET};
use crate::support::{PASSWORD, TestApp, World, link_token, on_both};

const MINA: &str = "mina@example.com";
const NEW: &str = "pear tree at dawn";

/// Secrets that were handed out, each with its name.
#[derive(Default)]
struct HandedOut {
    /// 256 random bits, of which SHA-256 is stored.
    tokens: Vec<(&'static str, String)>,
    codes: Vec<String>,
    /// Signed, not stored at all.
    jwts: Vec<String>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn sha256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

/// Reversible encodings of a text.
fn readable_forms(text: &str) -> Vec<String> {
    let bare = text.split_once('_').filter(|(prefix, _)| prefix.len() == 3).map_or(text, |it| it.1);
    let mut forms = Vec::new();
    for text in [text, bare] {
        let reversed: String = text.chars().rev().collect();
        forms.extend([text.to_owned(), reversed, hex(text.as_bytes()), STANDARD.encode(text)]);
    }
    if let Ok(bytes) = URL_SAFE_NO_PAD.decode(bare) {
        forms.extend([hex(&bytes), STANDARD.encode(bytes)]);
    }
    forms.into_iter().map(|form| form.to_lowercase()).collect()
}

/// Runs every flow that returns or mails a secret.
fn everything(world: &World, app: &TestApp) -> HandedOut {
    let mut out = HandedOut::default();
    let registration = app.register(MINA);
    let proof = world.proof(MINA, 1);
    let answer = app.verify_code(&registration, &proof.code).is(200);
    let first = answer.tokens();
    let second = app.refresh(&first.refresh).is(200).tokens();
    let log_in = app.log_in_on("Mozilla/5.0 (Windows NT 10.0) Firefox/143.0", MINA).is(200);
    app.ask_reset(MINA).is(202);
    let reset = world.proof_about(MINA, RESET, 1);
    let waiting = app.change_email(&second.access, "new@example.com").is(202);
    let change = world.proof_about("new@example.com", CONFIRM, 1);
    let notice = world.link_about(MINA, NEW_DEVICE, 1);
    let staff = app.staff(world, "staff@example.com");
    let invited = json!({"email": "invited@example.com"});
    app.ask_as(&staff.access, "POST", "/v1/users", &invited).is(201);
    let invitation = link_token(&world.mails_to("invited@example.com", 1)[0]);
    let root = app.superuser(world, "root@example.com");
    out.tokens.extend([
        ("registration", registration),
        ("link", proof.link_token),
        ("refresh of a registration", first.refresh),
        ("successor", second.refresh),
        ("device of a registration", answer.text("device_token")),
        ("refresh of a log-in", log_in.text("refresh_token")),
        ("device of a log-in", log_in.text("device_token")),
        ("reset", reset.link_token),
        ("change", waiting.text("registration_token")),
        ("link of a change", change.link_token),
        ("notice", notice),
        ("invitation", invitation),
        ("API key", app.api_key(&root, &["introspect"]).1),
    ]);
    out.codes.extend([proof.code, reset.code, change.code]);
    let signatures = [first.access, second.access, log_in.text("access_token")];
    out.jwts.extend(signatures.iter().map(|it| it.rsplit_once('.').unwrap().1.to_owned()));
    out
}

on_both! {
    fn no_token_is_stored_in_clear(world) {
        let app = world.app();
        let out = everything(&world, &app);
        world.settle_mail();
        let rows: Vec<String> = world.rows_with("").iter().map(|row| row.to_lowercase()).collect();
        let holding = |text: &str| rows.iter().filter(|row| row.contains(text)).count();
        for (name, token) in &out.tokens {
            for form in readable_forms(token) {
                assert_eq!(holding(&form), 0, "the {name} token is stored as {form}");
            }
            assert!(holding(&sha256(token)) > 0, "of the {name} token its SHA-256 is stored");
        }
        for form in out.jwts.iter().flat_map(|it| readable_forms(it)) {
            assert_eq!(holding(&form), 0, "the signature of an access token is stored as {form}");
        }
        assert_eq!(world.count("refresh_tokens WHERE length(token_hash) <> 32"), 0);
        assert_eq!(world.count("known_devices WHERE length(token_hash) <> 32"), 0);
    }

    fn no_code_can_be_guessed_from_what_is_stored(world) {
        let app = world.app();
        let out = everything(&world, &app);
        let rows: Vec<String> = world.rows_with("").iter().map(|row| row.to_lowercase()).collect();
        let fields = |row: &String| -> Vec<String> {
            row.split(['|', ',', '(', ')', '"', ' ']).map(str::to_owned).collect()
        };
        let fields: Vec<String> = rows.iter().flat_map(fields).collect();
        for code in &out.codes {
            assert!(!fields.contains(code), "{code} is a field");
            for form in [hex(code.as_bytes()), sha256(code)] {
                assert!(!rows.iter().any(|row| row.contains(&form)), "{code} is stored as {form}");
            }
        }
        for kind in ["registration", "reset_password"] {
            let with_code = format!("challenges WHERE kind = '{kind}' AND code_hash IS NOT NULL");
            assert!(world.count(&with_code) > 0, "{kind}");
        }
    }

    fn no_password_is_stored_in_clear(world) {
        let app = world.app();
        let mina = app.person(&world, MINA);
        app.register("waiting@example.com");
        app.change_password(&mina.access, Some(PASSWORD), NEW).is(204);
        world.mail_about(MINA, PASSWORD_CHANGED, 1);
        let rows: Vec<String> = world.rows_with("").iter().map(|row| row.to_lowercase()).collect();
        for form in [PASSWORD, NEW].iter().flat_map(|it| {
            [readable_forms(it), vec![sha256(it)]].concat()
        }) {
            assert!(!rows.iter().any(|row| row.contains(&form)), "a password is stored as {form}");
        }
        let hashes = "password_hash LIKE '$bcrypt-sha256$v=2,t=2b,r=4$%'";
        assert_eq!(world.count(&format!("users WHERE {hashes}")), 1);
        assert_eq!(world.count(&format!("registration_details WHERE {hashes}")), 1);
    }

    fn of_the_address_of_a_client_the_network_is_stored(world) {
        let app = limited(&world);
        let from = [("x-forwarded-for", "203.0.113.77")];
        let by_v6 = [("x-forwarded-for", "2001:db8:1:2:3:4:5:6")];
        app.person(&world, MINA);
        for headers in [from, by_v6] {
            for password in [PASSWORD, "wrong"] {
                let body = json!({"username": MINA, "password": password});
                app.post_with("/v1/token-auth", &headers, &body);
            }
            let reset = json!({"email": MINA});
            app.post_with("/v1/password-reset", &headers, &reset).is(202);
        }
        world.settle_mail();
        for address in ["203.0.113.77", "2001:db8:1:2:3", hex(&[203, 0, 113, 77]).as_str()] {
            assert_eq!(world.rows_with(address), Vec::<String>::new(), "{address}");
        }
        assert!(!world.rows_with("203.0.113.0/24").is_empty());
        assert!(!world.rows_with("2001:db8:1:2::/64").is_empty());
    }
}
