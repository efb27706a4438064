//! The main job with the client of progenitor.

use std::process::Command;

use futures_util::TryStreamExt as _;

progenitor::generate_api!("hallpass.json");

const EMAIL: &str = "rust@example.com";
const PASSWORD: &str = "plum tree at dusk";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = std::env::var("SERVICE_URL").unwrap();
    let client = Client::new(&url);

    let request = types::RegisterRequest {
        email: EMAIL.parse().unwrap(),
        password: PASSWORD.parse().unwrap(),
        username: None,
        locale: None,
        use_cookie: None,
    };
    let registered = client.register(&request).await.unwrap().into_inner();
    let proof = types::VerifyEmailRequest::CodeProof(types::CodeProof {
        registration_token: registered.registration_token.unwrap(),
        code: code().parse().unwrap(),
        use_cookie: None,
    });
    assert_eq!(client.verify_email(&proof).await.unwrap().email, EMAIL);

    let log_in = |password: &str| types::TokenAuthRequest {
        username: EMAIL.parse().unwrap(),
        password: password.parse().unwrap(),
        use_cookie: None,
        device_token: None,
    };
    let refused = client.token_auth(&log_in("wrong password")).await.unwrap_err();
    assert_eq!(problem(refused).await.code, "invalid_credentials");
    let pair = client.token_auth(&log_in(PASSWORD)).await.unwrap().into_inner();
    let refresh = |pair: &types::TokenPair| types::RefreshTokenRequest {
        refresh_token: pair.refresh_token.clone(),
        use_cookie: None,
    };
    let pair = client.token_refresh(&refresh(&pair)).await.unwrap().into_inner();

    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {}", pair.access_token).parse().unwrap());
    let http = reqwest::Client::builder().default_headers(headers).build().unwrap();
    let own = Client::new_with_client(&url, http);
    assert_eq!(own.get_me().await.unwrap().email, EMAIL);
    let events = own.list_my_events(None, std::num::NonZeroU32::new(5)).await.unwrap();
    assert_eq!(events.events[0].kind, "logged_in");

    client.token_revoke(&refresh(&pair)).await.unwrap();
    let refused = client.token_refresh(&refresh(&pair)).await.unwrap_err();
    assert_eq!(problem(refused).await.code, "refresh_token_revoked");
    println!("progenitor, Rust: the main job is done");
}

fn code() -> String {
    let script = std::env::var("CODE_SCRIPT").unwrap();
    let output = Command::new("python3").args([script.as_str(), EMAIL]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// progenitor has types for errors of `application/json` only; ours are `application/problem+json`.
async fn problem(error: Error<progenitor::progenitor_client::ByteStream>) -> types::Problem {
    let Error::ErrorResponse(response) = error else { panic!("{error}") };
    let body = response.into_inner().into_inner().map_ok(|chunk| chunk.to_vec()).try_concat().await;
    serde_json::from_slice(&body.unwrap()).unwrap()
}
