//! Tests of the tokens of the Django REST adapter: valid and invalid ones.

use crate::domain::{Email, Locale, Metadata, PasswordHash, Roles, UserId, Username};
use crate::drf::token::*;

const NOW: i64 = 1_800_000_000;

fn now() -> UtcTime {
    UtcTime::from_seconds(NOW)
}

fn tokens() -> DrfTokens {
    DrfTokens::new(&[b"the secret of the site"], Lifetimes::default())
}

/// Fills in `{now-1}` and the like.
fn filled(text: &str) -> String {
    let mut text = text.replace("{now}", &NOW.to_string());
    for offset in [-604_801_i64, -604_800, -604_799, -1, 1, 5, 6, 60, 300] {
        text = text.replace(&format!("{{now{offset:+}}}"), &(NOW + offset).to_string());
    }
    text
}

fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(&filled(claims)));
    let signature = hmac::sign(&tokens().keys[0], message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn check(header: &str, claims: &str) -> Result<Claims, TokenError> {
    tokens().check(&signed(header, claims), now())
}

fn user() -> User {
    User {
        id: UserId(7),
        username: Username::unchecked("김 \"x\""),
        email: Email::parse("kim@example.com").ok(),
        email_verified: true,
        password_hash: PasswordHash::unusable(),
        is_active: true,
        is_staff: false,
        is_superuser: false,
        locale: Locale::default(),
        created_at: now(),
        updated_at: now(),
        last_login_at: None,
        metadata: Metadata::default(),
        disabled_reason: None,
        tokens_from: UtcTime::from_micros(0),
        rights_changed_at: UtcTime::from_micros(0),
        roles: Roles::default(),
        app_metadata: Metadata::default(),
        disabled_until: None,
    }
}

#[test]
fn an_issued_token_has_the_claims_of_the_reference() {
    let token = tokens().issue(&user(), &Origin::at(now()), now());
    let mut parts = token.split('.');
    let header = decode(parts.next().unwrap()).unwrap();
    assert_eq!(Value::Object(header), json!({"typ": "JWT", "alg": "HS256"}));
    let claims = decode(parts.next().unwrap()).unwrap();
    assert_eq!(
        Value::Object(claims),
        json!({
            "user_id": 7,
            "username": "김 \"x\"",
            "exp": NOW + 300,
            "email": "kim@example.com",
            "orig_iat": NOW,
            // Our own addition.
            "gen": 0,
        })
    );
    let claims = tokens().check(&token, now()).unwrap();
    assert!(tokens().belongs_to(&claims, &user(), now()));
    assert_eq!(claims.username().as_deref(), Some("김 \"x\""));
    assert_eq!(tokens().origin(&claims, now()), Ok(Origin::at(now())));
}

#[test]
fn a_token_belongs_to_one_account_and_one_generation_of_its_tokens() {
    let revoked = UtcTime::from_micros((NOW - 10) * 1_000_000 + 500_000);
    let user = User { tokens_from: revoked, ..user() };
    let micros = revoked.micros();
    for (claims, belongs) in [
        (json!({"user_id": 7, "gen": micros, "orig_iat": NOW - 99}), true),
        (json!({"user_id": 7, "gen": micros - 1, "orig_iat": NOW}), false),
        (json!({"user_id": 7, "gen": micros + 1, "orig_iat": NOW}), false),
        (json!({"user_id": 7, "gen": micros.to_string(), "orig_iat": NOW}), false),
        (json!({"user_id": 7, "gen": null, "orig_iat": NOW}), false),
        (json!({"user_id": 8, "gen": micros, "orig_iat": NOW}), false),
        (json!({"user_id": "7", "gen": micros, "orig_iat": NOW}), false),
        (json!({"user_id": null, "gen": micros}), false),
        // Tokens of the replaced stack.
        (json!({"user_id": 7, "orig_iat": NOW - 9}), true),
        (json!({"user_id": 7, "orig_iat": NOW - 10}), false),
        (json!({"user_id": 7, "orig_iat": NOW - 11}), false),
        (json!({"user_id": 7, "orig_iat": NOW + 5}), true),
        (json!({"user_id": 7, "orig_iat": NOW + 6}), false),
        // The lifetime may be longer there than here.
        (json!({"user_id": 7, "exp": NOW + 86_400}), false),
        (json!({"user_id": 7, "iat": NOW - 9, "exp": NOW + 86_400}), true),
        (json!({"user_id": 7, "iat": NOW - 10, "exp": NOW + 86_400}), false),
        (json!({"user_id": 7, "orig_iat": 0, "exp": NOW + 290}), false),
        (json!({"user_id": 7, "orig_iat": "now", "exp": NOW + 290}), false),
        (json!({"user_id": 8, "orig_iat": NOW}), false),
        (json!({"orig_iat": NOW}), false),
    ] {
        let Value::Object(members) = claims.clone() else { unreachable!() };
        assert_eq!(tokens().belongs_to(&Claims(members), &user, now()), belongs, "{claims}");
    }
    // Before the first revocation the name alone suffices, and a refresh checks the time of the
    // log-in.
    let user = User { tokens_from: UtcTime::from_micros(0), ..user };
    for (claims, belongs) in [
        (json!({"exp": NOW + 86_400}), true),
        (json!({"orig_iat": NOW + 6}), true),
        (json!({"user_id": 8}), false),
    ] {
        let Value::Object(members) = claims.clone() else { unreachable!() };
        assert_eq!(tokens().belongs_to(&Claims(members), &user, now()), belongs, "{claims}");
    }
}

#[test]
fn a_token_of_the_reference_is_believed() {
    // Made by PyJWT 1.7.1: jwt.encode({"username": "admin", "exp": 1800000300}, KEY, "HS256").
    let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
                 eyJ1c2VybmFtZSI6ImFkbWluIiwiZXhwIjoxODAwMDAwMzAwfQ.\
                 3raM7BLDGnJkgNNqVG0YhS_2GISgvsfA0bqHMZz_rvc";
    let claims = tokens().check(token, now()).unwrap();
    assert_eq!(claims.username().as_deref(), Some("admin"));
}

#[test]
fn the_form_is_checked_strictly() {
    let good = signed(HEADER, r#"{"username":"a","exp":{now+300}}"#);
    assert!(tokens().check(&good, now()).is_ok());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let last = signature.chars().last().unwrap();
    let other_bits = char::from(last as u8 + 1);
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!("{message}.AAAA"),
        format!("{good}.AAAA"),
        format!("{good}="),
        format!("{good}!!!!"),
        format!(" {good}"),
        format!("{message}.{}{other_bits}", &signature[..signature.len() - 1]),
        format!("é.{good}"),
        "a".repeat(MAX_LENGTH + 1),
    ] {
        assert_eq!(tokens().check(&bad, now()), Err(TokenError::Undecodable), "{bad}");
    }
    let other_key = DrfTokens::new(&[b"another secret"], Lifetimes::default());
    assert_eq!(other_key.check(&good, now()), Err(TokenError::Undecodable));
}

#[test]
fn headers_and_claims_that_are_no_objects_cannot_be_decoded() {
    let good = r#"{"username":"a","exp":{now+300}}"#;
    for header in ["", "x", "[]", "\"HS256\"", "null"] {
        assert_eq!(check(header, good), Err(TokenError::Undecodable), "{header}");
    }
    for claims in ["", "{", "[]", "7", "null", "NaN", r#"{"exp":1,}"#] {
        assert_eq!(check(HEADER, claims), Err(TokenError::Undecodable), "{claims}");
    }
}

#[test]
fn the_header_decides_before_the_signature_does() {
    let claims = r#"{"username":"a","exp":1}"#;
    for header in [
        "{}",
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","crit":["b64"]}"#,
    ] {
        assert_eq!(check(header, claims), Err(TokenError::Unacceptable), "{header}");
    }
    let good = r#"{"username":"a","exp":{now+300}}"#;
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","kid":7,"x":[]}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","kid":"\ud800","x":[NaN,-Infinity,1e400]}"#,
    ] {
        assert!(check(header, good).is_ok(), "{header}");
    }
}

#[test]
fn times_are_checked_in_the_order_of_the_reference() {
    use TokenError::{Expired, Unacceptable, Undecodable};
    for (times, outcome) in [
        (r#""exp":{now+1}"#, None),
        (r#""exp":{now}"#, None),
        (r#""exp":{now-1}"#, Some(Expired)),
        (r#""exp":{now-1}.9"#, Some(Expired)),
        (r#""exp":{now}.5"#, None),
        (r#""exp":1e30"#, None),
        (r#""exp":123456789012345678901234567890"#, None),
        (r#""exp":-5"#, Some(Expired)),
        (r#""exp":true"#, Some(Expired)),
        (r#""exp":"soon""#, Some(Undecodable)),
        // The reference fails with infinite ones.
        (r#""exp":NaN"#, Some(Undecodable)),
        (r#""exp":Infinity"#, Some(Unacceptable)),
        (r#""exp":-Infinity"#, Some(Unacceptable)),
        (r#""exp":1e400"#, Some(Unacceptable)),
        (r#""exp":{now+60},"nbf":NaN"#, Some(Undecodable)),
        (r#""exp":{now+60},"nbf":-Infinity"#, Some(Unacceptable)),
        (r#""exp":{now+60},"iat":NaN"#, Some(Unacceptable)),
        (r#""exp":{now+60},"iat":-1e400"#, Some(Unacceptable)),
        (r#""exp":{now+60},"aud":NaN"#, Some(Unacceptable)),
        (r#""exp":{now+60},"x":[NaN,Infinity,1e400,"\ud800"],"\udc00":{}"#, None),
        (r#""exp":{now-1},"exp":{now+60}"#, None),
        (r#""exp":{now+60},"exp":{now-1}"#, Some(Expired)),
        (r#""exp":"{now+60}""#, Some(Undecodable)),
        (r#""x":1"#, Some(Unacceptable)),
        (r#""exp":null"#, Some(Unacceptable)),
        (r#""exp":[1]"#, Some(Unacceptable)),
        (r#""exp":{now+60},"nbf":{now}"#, None),
        (r#""exp":{now+60},"nbf":{now+1}"#, Some(Unacceptable)),
        (r#""exp":{now-1},"nbf":{now+1}"#, Some(Unacceptable)),
        (r#""exp":{now+60},"nbf":"{now}""#, None),
        (r#""exp":{now+60},"nbf":"soon""#, Some(Undecodable)),
        (r#""exp":{now+60},"nbf":null"#, Some(Unacceptable)),
        (r#""exp":{now+60},"iat":{now+5}"#, None),
        (r#""exp":{now+60},"iat":{now+6}"#, Some(Unacceptable)),
        (r#""exp":1,"iat":"soon""#, Some(Unacceptable)),
        (r#""exp":{now+60},"iat":"{now}""#, None),
        (r#""exp":{now+60},"iat":[]"#, Some(Unacceptable)),
        (r#""exp":{now+60},"iat":"soon","nbf":"soon""#, Some(Unacceptable)),
        (r#""exp":1,"aud":"x""#, Some(Expired)),
        (r#""exp":{now+60},"aud":null"#, Some(Unacceptable)),
        (r#""exp":{now+60},"iss":"anybody","sub":7"#, None),
    ] {
        let claims = format!(r#"{{"username":"a",{times}}}"#);
        assert_eq!(check(HEADER, &claims).err(), outcome, "{times}");
    }
}

#[test]
fn the_account_is_named_by_username_alone() {
    for (claim, name) in [
        (r#""username":"admin""#, Some("admin")),
        (r#""username":"x","username":"\u0061""#, Some("a")),
        (r#""username":" a ""#, Some(" a ")),
        (r#""username":7"#, Some("7")),
        (r#""username":true"#, Some("True")),
        (r#""username":["a"]"#, Some(r#"["a"]"#)),
        (r#""username":NaN"#, Some("nan")),
        (r#""username":Infinity"#, Some(r#"["inf"]"#)),
        (r#""username":"a\ud800""#, Some("a\u{fffd}")),
        (r#""user_id":1,"email":"a@b.cd""#, None),
        (r#""username":null"#, None),
        (r#""username":"""#, None),
        (r#""username":0"#, None),
        (r#""username":false"#, None),
        (r#""username":[]"#, None),
        (r#""username":{}"#, None),
    ] {
        let claims = check(HEADER, &format!(r#"{{"exp":{{now+60}},{claim}}}"#)).unwrap();
        assert_eq!(claims.username().as_deref(), name, "{claim}");
    }
}

#[test]
fn a_refresh_needs_a_log_in_within_a_week() {
    use RefreshError::{NoOrigin, TooOld, Undecodable};
    for (claim, outcome) in [
        (r#""x":1"#, Some(NoOrigin)),
        (r#""orig_iat":null"#, Some(NoOrigin)),
        (r#""orig_iat":0"#, Some(NoOrigin)),
        (r#""orig_iat":-0.0"#, Some(NoOrigin)),
        (r#""orig_iat":"""#, Some(NoOrigin)),
        (r#""orig_iat":false"#, Some(NoOrigin)),
        (r#""orig_iat":{now-604801}"#, Some(TooOld)),
        (r#""orig_iat":{now-604800}"#, None),
        (r#""orig_iat":{now-604799}"#, None),
        (r#""orig_iat":{now-604801}.5"#, Some(TooOld)),
        (r#""orig_iat":true"#, Some(TooOld)),
        (r#""orig_iat":-1"#, Some(TooOld)),
        (r#""orig_iat":{now+5}"#, None),
        (r#""orig_iat":{now+6}"#, Some(Undecodable)),
        (r#""orig_iat":"{now}""#, Some(Undecodable)),
        (r#""orig_iat":[1]"#, Some(Undecodable)),
        (r#""orig_iat":1e30"#, Some(Undecodable)),
        // The reference issues tokens that can be refreshed for ever.
        (r#""orig_iat":NaN"#, Some(Undecodable)),
        (r#""orig_iat":Infinity"#, Some(Undecodable)),
    ] {
        let claims = check(HEADER, &format!(r#"{{"exp":{{now+60}},{claim}}}"#)).unwrap();
        assert_eq!(tokens().origin(&claims, now()).err(), outcome, "{claim}");
    }
}

#[test]
fn the_moment_of_the_log_in_is_copied_unchanged() {
    let claims = check(HEADER, r#"{"username":"a","exp":{now+60},"orig_iat":{now-1}.25}"#).unwrap();
    let again = tokens().issue(&user(), &tokens().origin(&claims, now()).unwrap(), now());
    let claims = tokens().check(&again, now()).unwrap();
    assert_eq!(claims.0["orig_iat"].to_string(), format!("{}.25", NOW - 1));
}

/// Returns any message with a right signature.
fn sealed(message: &str) -> String {
    let signature = hmac::sign(&tokens().keys[0], message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_has_one_spelling_though_the_signature_is_right() {
    use base64::engine::general_purpose::URL_SAFE;

    let claims = filled(r#"{"username":"a","exp":{now+60}}"#);
    let (head, body) = (encode(HEADER), encode(&claims));
    assert!(tokens().check(&sealed(&format!("{head}.{body}")), now()).is_ok());
    let spaced = |text: &str| {
        if text.len().is_multiple_of(3) { format!("{text} ") } else { text.to_owned() }
    };
    for message in [
        format!("{}.{body}", URL_SAFE.encode(spaced(HEADER))),
        format!("{head}.{}", URL_SAFE.encode(spaced(&claims))),
        format!("{head}\n.{body}"),
        format!("{head}. {body}"),
        format!("{head}.{body}."),
        format!("{head}.{body}.{body}"),
        format!(".{head}.{body}"),
        format!("{head}."),
        format!(".{body}"),
        head.clone(),
        format!("{HEADER}.{claims}"),
    ] {
        assert_eq!(
            tokens().check(&sealed(&message), now()),
            Err(TokenError::Undecodable),
            "{message}"
        );
    }
}

#[test]
fn a_token_is_at_most_four_kibibytes_long() {
    let claims = |padding: usize| {
        format!(r#"{{"username":"a","exp":{{now+60}},"x":"{}"}}"#, "p".repeat(padding))
    };
    let shortest = (0..MAX_LENGTH)
        .find(|padding| signed(HEADER, &claims(*padding)).len() > MAX_LENGTH)
        .unwrap();
    assert!(check(HEADER, &claims(shortest - 1)).is_ok());
    assert_eq!(check(HEADER, &claims(shortest)), Err(TokenError::Undecodable));
    for dots in [4, MAX_LENGTH, 2_000_000] {
        let refused = tokens().check(&".".repeat(dots), now());
        assert_eq!(refused, Err(TokenError::Undecodable));
    }
}

#[test]
fn an_access_token_of_the_same_secret_is_none_of_these() {
    let claims =
        r#"{"username":"a","iat":{now},"exp":{now+60},"iss":"https://a","aud":"https://a"}"#;
    let header = r#"{"typ":"at+jwt","alg":"HS256","kid":"x"}"#;
    assert_eq!(check(header, claims), Err(TokenError::Unacceptable));
}
