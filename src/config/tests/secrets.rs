//! Secrets: where they come from, and which are refused.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn hs256_needs_its_key() {
    assert_eq!(faulty(&[("HALLPASS_JWT_ALGORITHM", "HS256")]), ["HALLPASS_JWT_SECRET"]);
}

#[test]
fn the_key_of_all_tokens_is_long_and_that_of_a_django_site_as_long_as_it_is() {
    let short = [&PRODUCTION[..], &[("HALLPASS_JWT_SECRET", "kV7wq2ZpL9xTb4Nd")]].concat();
    let with = |name, value| [&short[..], &[(name, value)]].concat();
    assert_eq!(faulty(&with("HALLPASS_JWT_ALGORITHM", "HS256")), ["HALLPASS_JWT_SECRET"]);
    let warned = |values: &[(&str, &str)]| {
        let warnings = read(values).unwrap().warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("HALLPASS_JWT_SECRET has fewer than 32 bytes"))
    };
    assert_eq!(warned(&short), cfg!(feature = "drf-jwt"));
    assert!(!warned(&with("HALLPASS_DRF_JWT", "off")));
    for guessable in ["x", "kV7wq2ZpL9xTb4N", "changeme-changeme-changeme"] {
        let values = [&PRODUCTION[..], &[("HALLPASS_JWT_SECRET", guessable)]].concat();
        assert_eq!(faulty(&values), ["HALLPASS_JWT_SECRET"], "{guessable}");
    }
    let development = [("HALLPASS_JWT_ALGORITHM", "HS256"), ("HALLPASS_JWT_SECRET", "short")];
    assert!(!warned(&development));
}

#[test]
fn one_secret_for_two_purposes_is_warned_about_in_production() {
    let (_, secret) = PRODUCTION.iter().find(|(name, _)| *name == "HALLPASS_SECRET").unwrap();
    let is_warned = |key: &str| {
        let values = [&PRODUCTION[..], &[("HALLPASS_JWT_SECRET", key)]].concat();
        let warnings = read(&values).unwrap().warnings;
        warnings.iter().any(|it| it.contains("HALLPASS_JWT_SECRET is the same as HALLPASS_SECRET"))
    };
    assert!(is_warned(secret));
    assert!(!is_warned("q0N3iJ8b5Qm1Xz7LrT2vWk9sYpE4uAf6HcGdOa0BnUg="));
}

#[test]
fn a_secret_can_come_from_a_file_but_not_from_two_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "from a file, long enough for all\n").unwrap();
    let path = path.to_str().unwrap();
    let config = read(&[("HALLPASS_SECRET_FILE", path)]).unwrap();
    assert_eq!(config.secret.unwrap().expose(), b"from a file, long enough for all");
    assert_eq!(
        faulty(&[("HALLPASS_SECRET_FILE", path), ("HALLPASS_SECRET", "x")]),
        ["HALLPASS_SECRET"]
    );
    assert_eq!(faulty(&[("HALLPASS_SECRET_FILE", "/nowhere")]), ["HALLPASS_SECRET_FILE"]);
    for (path, told) in [("/nowhere", "/nowhere"), ("hunter2", "relative path")] {
        let fault = read(&[("HALLPASS_SECRET_FILE", path)]).unwrap_err()[0].to_string();
        assert!(fault.contains(told) && !fault.contains("hunter2"), "{fault}");
    }
}

#[test]
fn every_secret_can_come_from_a_file() {
    let told = |name: &str, value: &str| {
        let config = read(&[(name, value)]).unwrap();
        let secrets = [&config.secret, &config.secret_previous, &config.jwt_secret];
        let secrets = secrets.map(|it| it.as_ref().map(|it| it.expose().to_vec()));
        format!("{config:?} {secrets:?}")
    };
    let folder = tempfile::tempdir().unwrap();
    // Those of providers are of use together with others only: `social.rs` has a test of its own.
    let is_alone = |name: &&str| !name.starts_with("HALLPASS_SOCIAL_");
    let secrets = settings().filter(|setting| setting.secret).map(|setting| setting.name);
    for name in secrets.filter(is_alone) {
        let value = match name {
            "DATABASE_URL" => "sqlite://elsewhere.db",
            "HALLPASS_SMTP_URL" => "smtps://u:p@mail.example.com",
            _ => "a secret that is long enough for all",
        };
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{value}\n")).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let from_file = told(&format!("{name}_FILE"), path.to_str().unwrap());
        assert_eq!(from_file, told(name, value), "{name}");
        assert_ne!(from_file, told(name, ""), "{name}");
    }
}

#[test]
fn secrets_do_not_print() {
    let config = read(&[
        ("HALLPASS_SECRET", "canary-secret"),
        ("HALLPASS_SECRET_PREVIOUS", "canary-previous"),
        ("HALLPASS_JWT_SECRET", "canary-jwt"),
        ("DATABASE_URL", "postgres://u:canary-db@localhost/d"),
        ("HALLPASS_SMTP_URL", "smtps://u:canary-smtp@mail.example.com"),
    ]);
    assert!(!format!("{:?}", config.unwrap()).contains("canary"));
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_in_production() {
    let of = |secret: &str| {
        let values = [&PRODUCTION[..], &[("HALLPASS_SECRET", secret)]].concat();
        faulty(&values)
    };
    for guessable in [
        &"changeme".repeat(4),
        &"a".repeat(40),
        &"password".repeat(5),
        &"correct-horse".repeat(3)[..36],
        &"0123456789".repeat(4),
        "CHANGE-ME-to-something-long-enough-please",
        "please-replace_me-with-32-random-bytes-or-more",
        "your secret goes here, at least 32 bytes of it",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210",
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbcccc",
        "thisisaverysecretkeyforproduction!",
        "qwertyuiopasdfghjklzxcvbnm123456",
        "0123456789abcdef0123456789abcdef",
        "abcdefghijklmnopabcdefghijklmnop",
        "insert-random-secret-here-32-bytes!!",
        "django-insecure-aaaaaaaaaaaaaaaaaaaa",
        "TODO: set a real secret before launch",
        "<generate with openssl rand -hex 32>",
        "${HALLPASS_SECRET}${HALLPASS_SECRET}",
        "ChangeIt!ChangeThis!ChangeIt!ChangeThis!",
        "Y2hhbmdlbWVjaGFuZ2VtZWNoYW5nZW1lY2hhbmdlbWU=",
        "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
        "6368616e67656d656368616e67656d656368616e67656d65",
        "REPLACE_WITH_32_RANDOM_CHARACTERS!",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "MNUGC3THMVWWKY3IMFXGOZLNMVRWQYLOM5SW2ZI=",
        "NjM2ODYxNmU2NzY1NmQ2NTYzNjg2MTZlNjc2NTZkNjU2MzY4NjE2ZTY3NjU2ZDY1",
        "d41d8cd98f00b204e9800998ecf8427e",
        "5F4DCC3B5AA765D61D8327DEB882CF99",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "31415926535897932384626433832795",
        "27182818284590452353602874713527",
        "secret_key_base_for_development_only_x",
        "thequickbrownfoxjumpsoverthelazydog1",
        "deadbeefcafebabe8badf00dfeedface",
        "2024-11-29T00:00:00Z2024-11-29T00",
        "meinsehrgeheimesgeheimnis12345678",
        "passwordpasswordPASSWORDp4ssw0rd",
        "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
        "123e4567-e89b-12d3-a456-426614174000",
        "550E8400E29B41D4A716446655440000",
        "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "2b7e1516 28aed2a6 abf71588 09cf4f3c",
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        "op://Production/Hallpass/HALLPASS_SECRET-7f3a",
        "arn:aws:secretsmanager:eu-central-1:482910573846:secret:auth-Zk3qPw",
        "https://vault.internal.example/v1/kv/auth#q9Zt",
        "81dc9bdb52d04dc20036dbd8313ed055",
        "0b14d501a594442a01c6859541bcb3e8164d183d32937b851835442f69d5c94e",
    ] {
        assert_eq!(of(guessable), ["HALLPASS_SECRET"], "{guessable}");
    }
    for template in [
        "${HALLPASS_SECRET_FROM_VAULT_0123456}",
        "$HALLPASS_SECRET_FROM_VAULT_0123456",
        "$(vault read -field=value secret/hallpass)",
        "{{ lookup('env', 'HALLPASS_SECRET_OF_SITE') }}",
        "%HALLPASS_SECRET_FROM_VAULT_0123456%",
        "<put at least 32 random bytes here instead>",
    ] {
        assert_eq!(of(template), ["HALLPASS_SECRET"], "{template}");
        for name in ["HALLPASS_SECRET_PREVIOUS", "HALLPASS_JWT_SECRET"] {
            assert_eq!(faulty(&[&PRODUCTION[..], &[(name, template)]].concat()), [name]);
        }
    }
    for good in [
        "${c2f1b0a4de6398f7a1d25c4be09f6371",
        "c2f1b0a4de6398f7a1d25c4be09f63718d2a4bc5e6f708192a3b4c5d6e7f8091",
        "q0N3iJ8b5Qm1Xz7LrT2vWk9sYpE4uAf6HcGdOa0BnUg=",
        "django-insecure-4h!k2v@x9m$t7q#w1z^c5n&b8j*r3y",
        "wobbly-quartz-lantern-ninefold-umber-harbor-jasmine-kettle",
    ] {
        assert!(of(good).is_empty(), "{good}");
    }
    // In development it is the developer's own affair.
    assert!(read(&[("HALLPASS_SECRET", "changemechangemechangemechangeme")]).is_ok());
    let hs256 = [
        &PRODUCTION[..],
        &[
            ("HALLPASS_JWT_ALGORITHM", "HS256"),
            ("HALLPASS_JWT_SECRET", "abcabcabcabcabcabcabcabcabcabcabc"),
        ],
    ]
    .concat();
    assert_eq!(faulty(&hs256), ["HALLPASS_JWT_SECRET"]);
}

#[test]
fn a_file_of_a_secret_that_others_can_read_is_warned_about() {
    use std::fs::{set_permissions, write};

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("smtp");
    let own = folder.path().join("secret");
    for path in [&file, &own] {
        write(path, "smtp://127.0.0.1:25\n").unwrap();
    }
    let warnings = |mode: u32| {
        for path in [&file, &own] {
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let values = [
            ("HALLPASS_SMTP_URL_FILE", file.to_str().unwrap()),
            ("HALLPASS_DATA_DIR", folder.path().to_str().unwrap()),
        ];
        read(&values).unwrap().warnings
    };
    assert!(warnings(0o600).is_empty());
    for mode in [0o640, 0o604, 0o644, 0o620, 0o602] {
        let warnings = warnings(mode);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("HALLPASS_SMTP_URL_FILE") && warnings[1].contains("secret"));
        assert!(warnings.iter().all(|it| !it.contains("smtp://")));
    }
}

#[test]
fn the_secret_before_may_be_one_that_is_refused_now_but_is_another_one() {
    let with = |previous| [&PRODUCTION[..], &[("HALLPASS_SECRET_PREVIOUS", previous)]].concat();
    assert_eq!(faulty(&with("changemechangemechangemechangeme")), Vec::<String>::new());
    let is_warned = |previous| {
        let warnings = read(&with(previous)).unwrap().warnings;
        warnings.iter().any(|it| it.contains("HALLPASS_SECRET_PREVIOUS"))
    };
    assert!(is_warned("short") && is_warned("changemechangemechangemechangeme"));
    assert!(!is_warned("q0N3iJ8b5Qm1Xz7LrT2vWk9sYpE4uAf6HcGdOa0BnUg="));
    let (_, secret) = PRODUCTION.iter().find(|(name, _)| *name == "HALLPASS_SECRET").unwrap();
    assert_eq!(faulty(&with(secret)), ["HALLPASS_SECRET_PREVIOUS"]);
}
