//! Hallpass is away: nobody gets in.

use crate::setting::{bearer, behind_each_proxy};

behind_each_proxy! {
    fn without_hallpass_the_application_is_closed(setting) {
        let token = bearer(&setting.log_in()["access_token"]);
        assert_eq!(setting.get("/orders", &[&token]).status, 200);
        setting.application.take();
        setting.stop_hallpass();
        for headers in [&[token.as_str()][..], &[]] {
            let answer = setting.get("/orders", headers);
            // 503 from nginx, 502 from Caddy.
            assert!([502, 503].contains(&answer.status), "{answer:?}");
            assert!(setting.application.take().is_empty());
        }
        // What needs no question is there.
        assert_eq!(setting.get("/public/", &[]).status, 200);
    }
}
