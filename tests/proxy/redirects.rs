//! Redirects of the proxy from HTTP to HTTPS.

use crate::proxy::proxies::Kind;
use crate::proxy::setting::{Setting, bearer};
use crate::service::Setup;

#[test]
fn traefik_redirects_to_https_and_forwards_nothing() {
    if !Kind::Traefik.is_here() {
        return;
    }
    let setting = Setting::new(Kind::Traefik, Setup::on_sqlite());
    let token = bearer(&setting.log_in()["access_token"]);
    for path in ["/orders?page=2", "/public/", "/v1/config"] {
        let answer =
            setting.get_without_tls(path, &[token.clone(), "X-Auth-User-Id: 1".to_owned()]);
        assert_eq!(answer.status, 301, "{path}: {answer:?}");
        let https = setting.origin().replace("http://", "https://");
        assert_eq!(answer.header("location"), Some(format!("{https}{path}").as_str()));
        assert!(setting.application.take().is_empty(), "{path}");
    }
}
