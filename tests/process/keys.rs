//! `hallpass keys`, beside services that run.

use std::fs;

use crate::both::on_both;
use crate::client::Api;
use crate::mailbox::Mailbox;
use crate::service::Setup;
use crate::waiting::wait_until;

fn lines(setup: &Setup) -> Vec<String> {
    let listed = setup.run(&["keys", "list"]);
    assert!(listed.success, "{}", listed.stderr);
    listed.stdout.lines().map(str::to_owned).collect()
}

fn published(api: &Api) -> usize {
    api.get("/.well-known/jwks.json").body["keys"].as_array().unwrap().len()
}

on_both! {
    fn keys_are_listed_and_rotated(setup) {
        assert!(lines(&setup)[0].starts_with("no keys in "));
        let (one, other) = (setup.start(), setup.start());
        let token = Mailbox::folder(&setup).new_account(&one.api(), "mina@example.com");

        let first = lines(&setup);
        assert_eq!(first.len(), 1);
        assert!(first[0].contains("  ES256  active  made 20"), "{first:?}");
        let kid = first[0].split_once("  ").unwrap().0;

        let rotated = setup.run(&["keys", "rotate"]);
        assert!(rotated.success, "{}", rotated.stderr);
        assert!(rotated.stdout.contains("is published and signs from 20"), "{}", rotated.stdout);
        let listed = lines(&setup);
        assert_eq!(listed.len(), 2);
        assert!(listed[0].starts_with(kid) && listed[0].contains("  active  "), "{listed:?}");
        assert!(listed[0].contains("  counts until 20"), "{listed:?}");
        assert!(listed[1].contains("  ES256  next  "), "{listed:?}");
        for service in [&one, &other] {
            wait_until("the next key", || published(&service.api()) == 2);
            assert_eq!(service.api().verify_token(&token).status, 200);
        }

        let replaced = setup.run(&["keys", "rotate", "--now"]);
        assert!(replaced.success, "{}", replaced.stderr);
        assert!(replaced.stdout.contains("is the only key"), "{}", replaced.stdout);
        let listed = lines(&setup);
        assert_eq!(listed.len(), 1);
        assert!(!listed[0].starts_with(kid) && listed[0].contains("  active  "), "{listed:?}");
        for service in [&one, &other] {
            wait_until("the only key", || published(&service.api()) == 1);
            assert_eq!(service.api().verify_token(&token).status, 401);
            assert!(!service.log().contains("ERROR"), "{}", service.log());
        }
    }

    fn a_command_with_another_secret_changes_no_key(setup) {
        setup.start().stop();
        let before = lines(&setup);
        let secret = fs::read_to_string(setup.folder().join("data/secret")).unwrap();
        let mut wrong = setup.with("HALLPASS_SECRET", "hunter2-hunter2-hunter2-hunter2-hunter2");
        let admin = ["create-superuser", "--username", "admin", "--password", "plum tree at dusk"];
        for algorithm in ["ES256", "EdDSA"] {
            wrong = wrong.with("HALLPASS_JWT_ALGORITHM", algorithm);
            for arguments in [&["keys", "rotate"][..], &["keys", "rotate", "--now"], &admin, &[]] {
                let refused = wrong.run(arguments);
                assert!(!refused.success);
                assert!(refused.stderr.contains("under another HALLPASS_SECRET"), "{}", refused.stderr);
            }
            let report = wrong.run(&["doctor"]);
            assert!(report.stdout.contains("under another HALLPASS_SECRET"), "{}", report.stdout);
        }
        let right = wrong.without("HALLPASS_JWT_ALGORITHM").with("HALLPASS_SECRET", secret.trim());
        assert_eq!(lines(&right), before);
        right.start().stop();
    }

    fn a_command_with_another_algorithm_changes_no_key(setup) {
        let none_yet = setup.run(&["keys", "rotate"]);
        assert!(!none_yet.success);
        setup.start().stop();
        let before = lines(&setup);
        let other = setup.with("HALLPASS_JWT_ALGORITHM", "EdDSA");
        for arguments in [&["keys", "rotate"][..], &["keys", "rotate", "--now"]] {
            let refused = other.run(arguments);
            assert!(!refused.success);
            assert!(
                refused.stderr.contains("no key of HALLPASS_JWT_ALGORITHM=EdDSA"),
                "{}",
                refused.stderr
            );
        }
        assert!(other.run(&["doctor"]).stdout.contains("none of EdDSA yet"));
        let admin = ["create-superuser", "--username", "admin", "--password", "plum tree at dusk"];
        assert!(other.run(&admin).success);
        assert_eq!(lines(&other.without("HALLPASS_JWT_ALGORITHM")), before);
    }
}

#[test]
fn a_shared_secret_is_left_to_the_operator() {
    let setup = Setup::on_sqlite()
        .with("HALLPASS_JWT_ALGORITHM", "HS256")
        .with("HALLPASS_JWT_SECRET", "hunter2-hunter2-hunter2-hunter2-hunter2");
    let refused = setup.run(&["keys", "rotate"]);
    assert!(!refused.success);
    assert!(refused.stderr.contains("HALLPASS_JWT_SECRET"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    let listed = lines(&setup);
    assert!(listed[0].contains("a setting of the operator"), "{listed:?}");
}
