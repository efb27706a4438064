//! Numbers in the metadata of an account: what a response acknowledges is stored and returned, to
//! the last bit. Texts are compared, since a parser may round as the service does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::support::{Answer, PASSWORD, TestApp, Tokens, World, on_both};

const MINA: &str = "mina@example.com";

/// Numbers that are returned as they were sent.
const EXACT: &str = "0.1,-0.0,0,1,1.0,9007199254740993,18446744073709551615,\
                     -9223372036854775808,1.7976931348623157e+308,2.2250738585072014e-308,5e-324";

/// Numbers that 64 bits do not hold, and what a double makes of them (RFC 8259 section 6).
const ROUNDED: [(&str, &str); 4] = [
    ("18446744073709551616", "1.8446744073709552e+19"),
    ("-9223372036854775809", "-9.223372036854776e+18"),
    ("0.30000000000000000001", "0.3"),
    ("1e2", "100.0"),
];

/// Numbers that a reader without exact rounding, which takes a shorter way, changes.
const HARD: &str = "938.4016537587079,0.00021692964355427675,0.0015929585998499215,13.325051679959621,\
                    2039.6742463940777,15122.197278670037,0.18730589874905362,1.3525491562421135,\
                    29.194961779867086,0.012244772636638243,102.51345607925299,0.9722443100475149";

fn patch(app: &TestApp, by: &Tokens, path: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {}", by.access);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    app.send("PATCH", path, &headers, body)
}

#[track_caller]
fn assert_has(answer: &Answer, text: &str) {
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.contains(text), "no {text} in {body}");
}

fn claims(tokens: &Tokens) -> String {
    let claims = tokens.access.split('.').nth(1).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// A service whose tokens have a claim from the user's and one from the operator's metadata, a
/// superuser, and a user.
fn begun(world: &World) -> (TestApp, Tokens, Tokens) {
    let settings = [("HALLPASS_CLAIMS", "own=metadata.n,of_staff=app_metadata.n")];
    let app = world.app_with(&settings);
    let root = app.superuser(world, "root@example.com");
    let mina = app.person(world, MINA);
    (app, root, mina)
}

on_both! {
    fn a_number_is_returned_as_it_was_sent(world) {
        let (app, root, mina) = begun(&world);
        let account = format!("/v1/users/{}", mina.user_id());
        for sent in [EXACT, HARD] {
            let (own, of_staff) =
                (format!("\"metadata\":{{\"n\":[{sent}]}}"), format!("\"app_metadata\":{{\"n\":[{sent}]}}"));
            let changed = patch(&app, &root, &account, &format!("{{{of_staff}}}")).is(200);
            assert_has(&changed, &of_staff);
            let mina = app.log_in(MINA, PASSWORD).is(200).tokens();
            assert_has(&patch(&app, &mina, "/v1/me", &format!("{{{own}}}")).is(200), &own);
            // A change of another member writes the whole anew.
            patch(&app, &mina, "/v1/me", "{\"metadata\":{\"x\":null}}").is(200);
            for path in ["/v1/me", "/v1/me/export"] {
                let answer = app.get_as(&mina.access, path).is(200);
                assert_has(&answer, &own);
                assert_has(&answer, &of_staff);
            }
            for path in [account.as_str(), "/v1/users"] {
                assert_has(&app.get_as(&root.access, path).is(200), &of_staff);
            }
            let mina = app.log_in(MINA, PASSWORD).is(200).tokens();
            for claim in [format!("\"own\":[{sent}]"), format!("\"of_staff\":[{sent}]")] {
                assert!(claims(&mina).contains(&claim), "no {claim} in {}", claims(&mina));
                assert_has(&app.token_verify(&mina.access).is(200), &claim);
            }
        }
    }

    fn a_number_that_64_bits_do_not_hold_is_acknowledged_as_it_is_stored(world) {
        let (app, _, mina) = begun(&world);
        for (sent, stored) in ROUNDED {
            let body = format!("{{\"metadata\":{{\"n\":{sent}}}}}");
            let stored = format!("\"metadata\":{{\"n\":{stored}}}");
            assert_has(&patch(&app, &mina, "/v1/me", &body).is(200), &stored);
            assert_has(&app.me(&mina.access).is(200), &stored);
        }
        for beyond in ["1e400", "-1e309"] {
            let body = format!("{{\"metadata\":{{\"n\":{beyond}}}}}");
            patch(&app, &mina, "/v1/me", &body).refused(400, "malformed_request");
        }
    }
}
