//! The metadata of the issuer (RFC 8414): what a library needs to check tokens, and nothing that is
//! not there.

use serde_json::{Value, json};

use crate::support::{TestApp, on_both};

const PATHS: [&str; 2] =
    ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

fn metadata(app: &TestApp) -> Value {
    let [one, other] = PATHS.map(|path| app.get(path).is(200));
    assert_eq!(one.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(one.body, other.body);
    one.json()
}

on_both! {
    fn a_library_finds_the_keys_from_the_issuer(world) {
        let app = world.app();
        let claims = app.person(&world, "mina@example.com").claims();
        let metadata = metadata(&app);
        assert_eq!(metadata["issuer"], claims["iss"]);
        assert_eq!(metadata["jwks_uri"], "http://auth.test/.well-known/jwks.json");
        assert_eq!(metadata["id_token_signing_alg_values_supported"], json!(["ES256"]));
        let documentation = if cfg!(feature = "docs-ui") { "/docs/" } else { "/openapi.json" };
        assert_eq!(metadata["service_documentation"], format!("http://auth.test{documentation}"));
    }

    fn every_url_of_the_metadata_is_served(world) {
        let app = world.app();
        let urls: Vec<String> = metadata(&app)
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| *name != "issuer")
            .filter_map(|(_, value)| value.as_str()?.strip_prefix("http://auth.test"))
            .map(str::to_owned)
            .collect();
        assert!(urls.len() >= 2, "{urls:?}");
        for path in urls {
            assert_ne!(app.get(&path).status, 404, "{path}");
        }
    }

    fn the_algorithms_are_those_of_the_keys(world) {
        drop(world.app());
        let app = world.app_with(&[("HALLPASS_JWT_ALGORITHM", "EdDSA")]);
        let algorithms = &metadata(&app)["id_token_signing_alg_values_supported"];
        let mut algorithms: Vec<&str> =
            algorithms.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        algorithms.sort_unstable();
        assert_eq!(algorithms, ["ES256", "EdDSA"]);
        drop(app);
        let app = world.app_with(&[
            ("HALLPASS_JWT_ALGORITHM", "HS256"),
            ("HALLPASS_JWT_SECRET", "shared with the services that check tokens"),
        ]);
        assert_eq!(metadata(&app)["id_token_signing_alg_values_supported"], json!(["HS256"]));
    }
}
