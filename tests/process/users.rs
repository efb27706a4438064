//! `hallpass users` and `hallpass api-keys`.

use std::process::Command;

use serde_json::{Value, json};

use crate::both::on_both;
use crate::database::Database;
use crate::missing::needs;
use crate::service::Setup;

const PASSWORD: &str = "quiet river stone";

fn run(setup: &Setup, arguments: &[&str]) -> String {
    let done = setup.run(arguments);
    assert!(done.success, "{arguments:?}: {}", done.stderr);
    done.stdout
}

fn json_of(setup: &Setup, arguments: &[&str]) -> Value {
    let text = run(setup, &[&["users", "--json"], arguments].concat());
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

fn refused(setup: &Setup, arguments: &[&str], part: &str) {
    let done = setup.run(arguments);
    assert!(!done.success && done.stderr.contains(part), "{arguments:?}: {}", done.stderr);
}

#[test]
fn a_command_that_creates_the_database_says_so() {
    let setup = Setup::on_sqlite();
    let listed = setup.run(&["users", "list"]);
    assert!(
        listed.success && listed.stderr.contains("hallpass.db is a new database"),
        "{}",
        listed.stderr
    );
    let again = setup.run(&["users", "list"]);
    assert!(!again.stderr.contains("new database"), "{}", again.stderr);
}

#[test]
fn an_operator_is_asked_at_the_terminal() {
    let found = Command::new("script").arg("--version").output().ok();
    if needs("script of util-linux", found).is_none() {
        return;
    }
    let setup = Setup::on_sqlite();
    let made = setup.run_with_input(
        &["users", "create", "mina@example.com", "--username", "mina"],
        &format!("{PASSWORD}\n"),
    );
    assert!(made.success, "{}", made.stderr);
    for (command, question) in [
        ("disable", "Disable user 1 mina <mina@example.com>? [y/N]"),
        ("reset", "Mail a password reset to user 1 mina <mina@example.com>? [y/N]"),
        ("delete", "Delete user 1 mina <mina@example.com>? [y/N]"),
    ] {
        for answer in ["n\n", "\n", "yes, please\n"] {
            let asked = setup.run_at_terminal(&["users", command, "mina"], answer);
            assert!(!asked.success, "{}", asked.stdout);
            for told in [question, "nothing was changed"] {
                assert!(asked.stdout.contains(told), "{}", asked.stdout);
            }
        }
    }
    assert_eq!(json_of(&setup, &["show", "mina"])["is_active"], true);
    let mails = run(&setup, &["mail", "list", "--to", "mina@example.com"]);
    assert!(!mails.contains("password_reset"), "{mails}");
    let agreed = setup.run_at_terminal(&["users", "delete", "mina"], "y\n");
    assert!(agreed.success && agreed.stdout.contains("deleted 1"), "{}", agreed.stdout);
    refused(&setup, &["users", "show", "mina"], "no such account");
}

on_both! {
    fn an_operator_manages_accounts(setup) {
        let arguments = ["users", "create", "mina@example.com", "--username", "mina", "--role", "a,b"];
        let made = setup.run_with_input(&arguments, &format!("{PASSWORD}\n"));
        assert!(made.success, "{}", made.stderr);
        assert!(made.stdout.starts_with("1 mina <mina@example.com>  active"), "{}", made.stdout);
        let invited = json_of(&setup, &["invite", "guest@example.com", "--locale", "ko"]);
        assert_eq!((&invited["user_id"], &invited["locale"]), (&json!(2), &json!("ko")));
        assert_eq!(json_of(&setup, &["invite", "guest@example.com"])["locale"], "ko");
        let again = json_of(&setup, &["invite", "guest@example.com", "--role", "reader", "--username", "guest"]);
        assert_eq!((&again["user_id"], &again["roles"], &again["username"]), (&json!(2), &json!(["reader"]), &json!("guest")));
        for reference in ["1", "mina", "MINA@example.com"] {
            assert_eq!(json_of(&setup, &["show", reference])["roles"], json!(["a", "b"]), "{reference}");
        }
        refused(&setup, &["users", "show", "nobody"], "no such account");
        let all = json_of(&setup, &["list"]);
        assert_eq!(all.as_array().unwrap().len(), 2);
        assert_eq!(json_of(&setup, &["list", "--search", "guest"]).as_array().unwrap().len(), 1);
        assert_eq!(run(&setup, &["users", "list"]).lines().count(), 2);

        let service = setup.start();
        assert_eq!(service.api().log_in("mina", PASSWORD).status, 200);
        refused(&setup, &["users", "disable", "mina"], "--yes");
        let disabled = json_of(&setup, &[
            "disable", "mina", "--reason", "a pause", "--until", "2100-01-01T00:00:00Z", "--yes",
        ]);
        assert_eq!(disabled["disabled_until"], "2100-01-01T00:00:00.000000Z");
        assert_eq!(service.api().log_in("mina", PASSWORD).status, 403);
        assert_eq!(json_of(&setup, &["disable", "mina", "--yes"])["disabled_until"], Value::Null);
        assert_eq!(json_of(&setup, &["enable", "mina"])["is_active"], true);
        assert_eq!(service.api().log_in("mina", PASSWORD).status, 200);
        assert_eq!(json_of(&setup, &["roles", "mina"])["roles"], json!(["a", "b"]));
        assert_eq!(json_of(&setup, &["roles", "mina", "editor"])["roles"], json!(["editor"]));
        assert_eq!(json_of(&setup, &["roles", "mina", "--none"])["roles"], json!([]));
        refused(&setup, &["users", "roles", "mina", "a,b"], "roles: A role has letters");
        refused(&setup, &["users", "reset", "mina"], "--yes");
        assert_eq!(json_of(&setup, &["reset", "mina", "--yes"])["user_id"], 1);
        assert!(run(&setup, &["mail", "list", "--to", "mina@example.com"]).contains("password_reset"));
        refused(&setup, &["users", "delete", "guest@example.com"], "--yes");
        assert_eq!(run(&setup, &["users", "delete", "guest@example.com", "--yes"]), "deleted 2\n");
        let other = json_of(&setup, &["invite", "other@example.com"]);
        let deleted = json_of(&setup, &["delete", "other@example.com", "--yes"]);
        assert_eq!(deleted, json!({"user_id": other["user_id"], "deleted": true}));
        refused(&setup, &["users", "show", "2"], "no such account");
    }

    fn an_operator_manages_api_keys(setup) {
        assert!(run(&setup, &["api-keys", "list"]).starts_with("no API keys"));
        let made = run(&setup, &[
            "api-keys", "create", "--name", "billing", "--scope", "users:read,introspect",
            "--expires-in", "90d",
        ]);
        let (line, secret) = made.trim_end().split_once('\n').unwrap();
        assert!(secret.starts_with("hpk_") && line.contains("billing  users:read introspect"), "{made}");
        let id = line.split(' ').next().unwrap();
        let listed = run(&setup, &["api-keys", "list", "--json"]);
        assert!(!listed.contains(secret));
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!((&listed[0]["id"], &listed[0]["created_by"]), (&json!(id), &Value::Null));
        assert_eq!(run(&setup, &["api-keys", "revoke", id]), "revoked\n");
        assert_eq!(run(&setup, &["api-keys", "revoke", id]), "already revoked\n");
        assert!(run(&setup, &["api-keys", "list"]).contains("  revoked  billing"));
        let keys = |arguments: &[&str]| -> Value {
            serde_json::from_str(&run(&setup, &[&["api-keys", "--json"], arguments].concat())).unwrap()
        };
        let made = keys(&["create", "--name", "twice", "--scope", "revoke,revoke"]);
        assert!(made["secret"].as_str().unwrap().starts_with("hpk_"));
        assert_eq!(made["api_key"]["scopes"], json!(["revoke"]));
        let id = made["api_key"]["id"].as_str().unwrap();
        assert_eq!(keys(&["revoke", id]), json!({"id": id, "revoked": true}));
        assert_eq!(keys(&["list"]).as_array().unwrap().len(), 2);
        let brief = ["api-keys", "create", "--name", "a", "--scope", "revoke", "--expires-in", "0s"];
        refused(&setup, &brief, "more than 0s");
        refused(&setup, &["api-keys", "revoke", "x"], "no API key");
        refused(&setup, &["api-keys", "create", "--name", "a", "--scope", "all"], "users:write");
    }

    fn no_stored_text_controls_the_terminal(setup) {
        let escape = "\u{1b}]0;owned\u{7}\n2 root\u{202e}";
        for user in ["mina", "o'neil"] {
            run(&setup, &["users", "invite", &format!("{user}@example.com")]);
        }
        run(&setup, &["api-keys", "create", "--name", "billing", "--scope", "revoke"]);
        let database = Database::at(&setup.database_url());
        for (table, column) in [("users WHERE id = 1", "username"), ("api_keys", "name"), ("outbox", "last_error")] {
            let (table, condition) = table.split_once(' ').unwrap_or((table, ""));
            database.execute(&format!("UPDATE {table} SET {column} = '{escape}' {condition}"));
        }
        for command in [&["users", "list"][..], &["users", "show", "1"], &["api-keys", "list"], &["mail", "list"]] {
            let printed = run(&setup, command);
            let shown = r"\u{1b}]0;owned\u{7}\n2 root\u{202e}";
            assert!(printed.contains(shown), "{command:?}: {printed}");
            assert!(!printed.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{command:?}: {printed}");
        }
        assert!(run(&setup, &["users", "show", "2"]).starts_with("2 o'neil@example.com"));
    }

    fn a_reference_to_several_accounts_is_refused(setup) {
        for user in ["ada", "eve", "ida"] {
            run(&setup, &["users", "invite", &format!("{user}@example.com"), "--username", user]);
        }
        let database = Database::at(&setup.database_url());
        // Staff can set such names at the Django REST adapter, and imports bring them.
        for (id, name) in [(2, "1"), (3, "ada@example.com")] {
            database.execute(&format!(
                "UPDATE users SET username = '{name}', username_norm = '{name}' WHERE id = {id}"
            ));
        }
        let one = "id:1 ada <ada@example.com>";
        for (reference, other) in [
            ("1", "id:2 1 <eve@example.com>"),
            ("ada@example.com", "id:3 ada@example.com <ida@example.com>"),
            ("ADA@example.com", "id:3 ada@example.com <ida@example.com>"),
        ] {
            for command in [&["show", reference][..], &["delete", reference, "--yes"], &["reset", reference, "--yes"]] {
                let arguments = [&["users"], command].concat();
                refused(&setup, &arguments, &format!("`{reference}` names several accounts"));
                refused(&setup, &arguments, &format!("\n  {one}\n  {other}"));
            }
        }
        for (reference, id) in [("id:1", 1), ("id:2", 2), ("2", 2), ("ada", 1), ("ida@example.com", 3)] {
            assert_eq!(json_of(&setup, &["show", reference])["user_id"], id, "{reference}");
        }
        refused(&setup, &["users", "show", "id:9"], "no such account");
        refused(&setup, &["users", "show", "id:ada"], "no such account");
        assert_eq!(run(&setup, &["users", "delete", "id:2", "--yes"]), "deleted 2\n");
        assert_eq!(json_of(&setup, &["show", "1"])["username"], "ada");
    }
}
