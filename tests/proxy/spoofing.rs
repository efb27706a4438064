//! Spoofed identity headers.

use crate::proxy::setting::{ANONYMOUS, EMAIL, USERNAME_IN_HEADER, bearer, behind_each_proxy};

/// Names that reach some framework or other as `HTTP_X_AUTH_USER_ID` and the like, or have nothing
/// to do with Hallpass yet.
const SPELLINGS: [&str; 19] = [
    "X-Auth-User-Id",
    "x-auth-user-id",
    "X-AUTH-USER-ID",
    "X_Auth_User_Id",
    "x_auth_user_id",
    "X-Auth_User-Id",
    "X_Auth-User-Id",
    "X-Auth-User_Id",
    "X.Auth.User.Id",
    "X-Auth.User.Id",
    "X-Auth-Username",
    "x-auth-username",
    "X_AUTH_USERNAME",
    "X-Auth-Email",
    "x_auth_email",
    "X-Auth_Email",
    "X.Auth-Email",
    "X-Auth-Roles",
    "x_auth_staff",
];

behind_each_proxy! {
    fn spoofed_headers_open_nothing(setting) {
        for name in SPELLINGS {
            let answer = setting.get("/orders", &[&format!("{name}: 666")]);
            assert!([400, 401].contains(&answer.status), "{name}: {answer:?}");
            assert!(setting.application.take().is_empty(), "{name}");
        }
    }

    fn spoofed_headers_are_removed_on_public_paths(setting) {
        for name in SPELLINGS {
            let answer = setting.get("/public/", &[&format!("{name}: 666")]);
            // A proxy may refuse a strange name, but not an ordinary one.
            let is_ordinary = name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
            let refused = answer.status == 400 && !is_ordinary;
            let arrived = setting.application.take();
            assert_eq!(arrived.len(), usize::from(!refused), "{name}: {answer:?}");
            for arrived in arrived {
                assert!(arrived.identity().is_empty(), "{name}: {arrived:?}");
            }
        }
    }

    fn spoofed_headers_change_nothing_beside_a_token(setting) {
        let token = bearer(&setting.log_in()["access_token"]);
        let known = [
            ("xauthemail", EMAIL), ("xauthstaff", "true"), ("xauthuserid", "1"),
            ("xauthusername", USERNAME_IN_HEADER),
        ];
        for name in SPELLINGS {
            // Twice, and once empty: the first, the last and the joined value are all wrong.
            let lie = format!("{name}: 666");
            setting.get("/orders", &[&lie, &token, &lie, &format!("{name}:")]);
            let arrived = setting.application.take_one();
            let told = arrived.identity();
            // A proxy may leave out what is empty.
            let told = told.iter().map(|(name, value)| (name.as_str(), *value));
            let told: Vec<(&str, &str)> = told.filter(|(_, value)| !value.is_empty()).collect();
            assert_eq!(told, known, "{name}");
        }
    }

    fn an_unknown_address_cannot_be_claimed(setting) {
        let token = bearer(&setting.log_in_as(ANONYMOUS)["access_token"]);
        for name in SPELLINGS {
            setting.get("/orders", &[&token, &format!("{name}: {EMAIL}")]);
            let arrived = setting.application.take_one();
            assert_eq!(arrived.header("x-auth-username"), Some(ANONYMOUS));
            assert_eq!(arrived.header("x-auth-email").unwrap_or_default(), "", "{name}");
            assert!(arrived.identity().iter().all(|(_, value)| *value != EMAIL), "{arrived:?}");
        }
    }

    fn headers_declared_as_hop_by_hop_do_not_hide_the_client(setting) {
        let token = bearer(&setting.log_in()["access_token"]);
        let declared = "Connection: close, X-Auth-User-Id, X-Auth-Username, X-Auth-Email";
        setting.get("/orders", &[&token, declared, "X-Auth-User-Id: 666"]);
        let arrived = setting.application.take_one();
        assert_eq!(arrived.header("x-auth-user-id"), Some("1"));
        assert_eq!(arrived.header("x-auth-username"), Some(USERNAME_IN_HEADER));
        assert_eq!(arrived.header("x-auth-email"), Some(EMAIL));
    }
}
