//! Tests of derived secrets.

use std::collections::HashSet;

use super::*;

#[test]
fn a_successor_is_the_same_every_time_and_differs_by_secret() {
    let secrets = Secrets::derive(b"one secret of sufficient length..");
    let token = PlainToken::random(PlainToken::REFRESH_PREFIX);
    let successor = |secrets: &Secrets| secrets.refresh_successors(&token).remove(0);
    assert_eq!(successor(&secrets).expose(), successor(&secrets).expose());
    assert_ne!(successor(&secrets).expose(), token.expose());
    let other = Secrets::derive(b"another secret of enough length..");
    assert_ne!(successor(&secrets).expose(), successor(&other).expose());
}

#[test]
fn with_two_secrets_the_first_derives_new_values_and_both_are_accepted() {
    let old = Secrets::derive(b"one secret of sufficient length..");
    let new = Secrets::derive(b"another secret of enough length..");
    let both = new.clone().accepting(b"one secret of sufficient length..");
    let token = PlainToken::random(PlainToken::REFRESH_PREFIX);
    let texts = |tokens: Vec<PlainToken>| -> Vec<String> {
        tokens.iter().map(|token| token.expose().to_owned()).collect()
    };
    let next = |secrets: &Secrets, token: &PlainToken| secrets.refresh_successors(token).remove(0);
    assert_eq!(
        texts(both.refresh_successors(&token)),
        texts(vec![next(&new, &token), next(&old, &token)])
    );
    assert_eq!(both.sealing_keys(), [new.sealing_keys(), old.sealing_keys()].concat());
    assert_eq!(both.adapter_keys(), [new.adapter_keys(), old.adapter_keys()].concat());
    for maker in [&old, &new] {
        let code = maker.mail_code("mail-1");
        assert!(both.is_code("mail-1", &code, &maker.code_hash("mail-1", &code)));
    }
    let stranger = Secrets::derive(b"a third secret of enough length..");
    let code = stranger.mail_code("mail-1");
    assert!(!both.is_code("mail-1", &code, &stranger.code_hash("mail-1", &code)));
}

#[test]
fn a_chain_of_tokens_is_followed_over_one_change_of_the_secret() {
    let secrets = ["one secret of sufficient length..", "another secret of enough length.."];
    let made = secrets.map(|secret| Secrets::derive(secret.as_bytes()));
    let both = made[1].clone().accepting(secrets[0].as_bytes());
    let token = PlainToken::random(PlainToken::REFRESH_PREFIX);
    let found: HashSet<String> = both
        .later_refresh_tokens(&token, 5)
        .iter()
        .map(|token| token.expose().to_owned())
        .collect();
    for (before, after) in [(0, 1), (1, 0)] {
        for change in 0..=5 {
            let mut last = token.clone();
            for step in 0..5 {
                let maker = if step < change { before } else { after };
                last = made[maker].refresh_successors(&last).remove(0);
                assert!(found.contains(last.expose()), "{change} {step}");
            }
            let beyond = made[after].refresh_successors(&last).remove(0);
            assert!(!found.contains(beyond.expose()));
        }
    }
    assert_eq!(made[0].later_refresh_tokens(&token, 5).len(), 5);
}

/// Returns whether each bit of equally long texts is set in about half of them.
fn bits_are_even(tokens: &HashSet<Vec<u8>>) -> bool {
    let bits = tokens.iter().next().map_or(0, Vec::len) * 8;
    (0..bits).all(|bit| {
        let set = tokens.iter().filter(|it| it[bit / 8] >> (bit % 8) & 1 == 1).count();
        (tokens.len() * 2 / 5..tokens.len() * 3 / 5).contains(&set)
    })
}

#[test]
fn tokens_have_32_bytes_and_no_two_are_alike() {
    let secrets = Secrets::derive(b"one secret of sufficient length..");
    let bytes = |token: &PlainToken, prefix: &str| {
        URL_SAFE_NO_PAD.decode(token.expose().strip_prefix(prefix).unwrap()).unwrap()
    };
    let refresh = PlainToken::REFRESH_PREFIX;
    let first = PlainToken::random(refresh);
    let registered = |it: usize| secrets.first_tokens(&format!("r-{it}")).remove(0);
    let kinds: [Vec<Vec<u8>>; 5] = [
        (0..1_000).map(|_| bytes(&PlainToken::random(refresh), refresh)).collect(),
        (0..1_000).map(|it| bytes(&secrets.mail_token(&format!("mail-{it}")), "")).collect(),
        secrets.later_refresh_tokens(&first, 1_000).iter().map(|it| bytes(it, refresh)).collect(),
        (0..1_000).map(|it| bytes(&registered(it).refresh, refresh)).collect(),
        (0..1_000).map(|it| bytes(&registered(it).device, PlainToken::DEVICE_PREFIX)).collect(),
    ];
    let mut all = HashSet::new();
    for tokens in kinds {
        let tokens: HashSet<Vec<u8>> = tokens.into_iter().collect();
        assert_eq!(tokens.len(), 1_000);
        assert!(tokens.iter().all(|token| token.len() == 32));
        assert!(bits_are_even(&tokens), "a bit is more often one thing than the other");
        all.extend(tokens);
    }
    assert_eq!(all.len(), 5_000, "one kind gives what another gives");
}

#[test]
fn codes_have_six_digits_and_are_bound() {
    let secrets = Secrets::derive(b"one secret of sufficient length..");
    let others = Secrets::derive(b"another secret of enough length..");
    let ids: Vec<String> = (0..2_000).map(|number| format!("mail-{number}")).collect();
    let codes: Vec<String> =
        ids.iter().map(|id| secrets.mail_code(id).expose().to_owned()).collect();
    assert!(codes.iter().all(|it| it.len() == 6 && it.bytes().all(|b| b.is_ascii_digit())));
    // 2,000 draws of a million codes contain two equal ones about twice.
    let distinct: HashSet<&String> = codes.iter().collect();
    assert!(distinct.len() > 1_980, "{} different codes of 2,000", distinct.len());
    for place in 0..6 {
        for digit in b'0'..=b'9' {
            let times = codes.iter().filter(|code| code.as_bytes()[place] == digit).count();
            assert!((130..270).contains(&times), "{times} times {digit} at {place}");
        }
    }
    // A retry of a mail has the same code. No code follows from the mail's id alone.
    assert!(ids.iter().zip(&codes).all(|(id, code)| secrets.mail_code(id).expose() == code));
    let same = ids.iter().zip(&codes).filter(|(id, code)| others.mail_code(id).expose() == *code);
    assert!(same.count() < 5);
}

#[test]
fn of_a_code_only_a_keyed_hash_that_is_bound_is_stored() {
    let secrets = Secrets::derive(b"one secret of sufficient length..");
    let others = Secrets::derive(b"another secret of enough length..");
    let code = PlainToken::presented("123456");
    let hash = secrets.code_hash("a", &code);
    assert!(hash.matches(&secrets.code_hash("a", &code)));
    for other in [
        secrets.code_hash("b", &code),
        secrets.code_hash("a", &PlainToken::presented("123457")),
        others.code_hash("a", &code),
        code.hash(),
        PlainToken::presented("a:123456").hash(),
        TokenHash(b"123456".to_vec()),
    ] {
        assert!(!hash.matches(&other));
    }
    assert_eq!(hash.0.len(), 32);
}
