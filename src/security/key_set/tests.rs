//! Tests of key sets whose rows change.

use super::*;

const SECRET: [u8; 32] = [7; 32];
const DAY: Duration = Duration::from_hours(24);

fn at(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(seconds)
}

fn sealed(algorithm: SigningAlgorithm, created_at: i64, signs_from: i64) -> SealedKey {
    SealedKey::generate(algorithm, &SECRET, at(created_at), at(signs_from)).unwrap()
}

fn es256(created_at: i64, signs_from: i64) -> SealedKey {
    sealed(SigningAlgorithm::Es256, created_at, signs_from)
}

fn key_set(keys: &[SealedKey]) -> KeySet {
    let (key_set, faults) = KeySet::empty(SigningAlgorithm::Es256).renewed(keys, &[&SECRET]);
    assert!(faults.is_empty(), "{faults:?}");
    key_set
}

fn active(key_set: &KeySet, now: i64) -> &str {
    &key_set.active(at(now)).expect("a key that signs").kid
}

fn published(key_set: &KeySet, now: i64) -> Vec<String> {
    let kid = |jwk: serde_json::Value| jwk["kid"].as_str().unwrap().to_owned();
    key_set.public_keys(at(now)).into_iter().map(kid).collect()
}

#[test]
fn the_public_keys_are_the_one_that_signs_the_next_and_those_before() {
    let keys = [es256(0, 0), es256(0, 1_000), es256(0, 1_500)];
    let [a, b, c] = keys.each_ref().map(|key| key.kid.as_str());
    let key_set = key_set(&keys);
    for (now, expected) in [
        (999, vec![a, c, b]),
        (1_000, vec![b, c, a]),
        (1_500, vec![c, b, a]),
        (1_904, vec![c, b, a]),
        (1_905, vec![c, b]),
        (2_404, vec![c, b]),
        (2_405, vec![c]),
    ] {
        assert_eq!(published(&key_set, now), expected, "{now}");
        assert_eq!(active(&key_set, now), expected[0], "{now}");
        for kid in [a, b, c] {
            assert_eq!(key_set.find(kid, at(now)).is_some(), expected.contains(&kid), "{now}");
        }
    }
}

#[test]
fn a_key_set_recognises_the_rows_that_it_was_created_from() {
    let (a, b) = (es256(0, 0), es256(0, 1_000));
    let key_set = key_set(&[a.clone(), b.clone()]);
    assert!(key_set.is_of(&[a.clone(), b.clone()]));
    assert!(!key_set.is_of(std::slice::from_ref(&a)));
    let sooner = SealedKey { signs_from: at(500), ..b };
    assert!(!key_set.is_of(&[a, sooner]));
}

#[test]
fn a_key_that_cannot_be_opened_replaces_none_that_can() {
    let good = es256(0, 0);
    let foreign = SealedKey::generate(SigningAlgorithm::Es256, &[8; 32], at(0), at(1_000)).unwrap();
    let unknown = SealedKey { algorithm: "ML-DSA-44".to_owned(), ..es256(0, 1_000) };
    let key_set = key_set(std::slice::from_ref(&good));
    let all = [good.clone(), foreign, unknown];
    let (key_set, faults) = key_set.renewed(&all, &[&SECRET]);
    assert!(matches!(faults[..], [KeyError::WrongSecret, KeyError::Unknown(_)]), "{faults:?}");
    assert_eq!(published(&key_set, 5_000), [good.kid.as_str()]);
    assert_eq!(active(&key_set, 5_000), good.kid);
    assert!(key_set.forgotten(at(1_000_000)).is_empty());
    // A faulty key is reported once, not with every sync.
    assert!(key_set.is_of(&all));
    // If another instance has created the key, none is due.
    assert_eq!(key_set.due_key(Some(30 * DAY), at(5_000)), None);
}

#[test]
fn where_nothing_is_left_to_sign_with_the_known_keys_go_on() {
    let good = es256(0, 0);
    let key_set = key_set(std::slice::from_ref(&good));
    let foreign = SealedKey::generate(SigningAlgorithm::Es256, &[8; 32], at(0), at(0)).unwrap();
    let other = sealed(SigningAlgorithm::EdDsa, 0, 0);
    for rows in [vec![], vec![foreign], vec![other]] {
        let (key_set, _) = key_set.renewed(&rows, &[&SECRET]);
        assert_eq!(active(&key_set, 10), good.kid);
        assert!(key_set.is_of(&rows));
    }
}

#[test]
fn the_next_key_is_due_a_day_before_it_signs_and_once() {
    let period = 30 * DAY;
    let (begin, end) = (1_000, 1_000 + 30 * 86_400);
    let first = es256(begin, begin);
    let key_set = key_set(std::slice::from_ref(&first));
    assert_eq!(key_set.due_key(Some(period), at(end - 86_401)), None);
    let due = DueKey { after: at(begin), signs_from: at(end) };
    assert_eq!(key_set.due_key(Some(period), at(end - 86_400)), Some(due));
    // After a pause of the service the key is still published for a day before it signs.
    let late = DueKey { after: at(begin), signs_from: at(end + 86_400) };
    assert_eq!(key_set.due_key(Some(period), at(end)), Some(late));
    assert_eq!(key_set.due_key(None, at(end)), None);
    let (key_set, _) = key_set.renewed(&[first, es256(end - 86_400, end)], &[&SECRET]);
    assert_eq!(key_set.due_key(Some(period), at(end - 1)), None);
    assert_eq!(key_set.waiting(at(end - 1)).unwrap().begins_at(), at(end));
    assert_eq!(key_set.waiting(at(end)), None);
}

#[test]
fn a_missing_key_is_made_whatever_the_schedule_and_a_shared_secret_never() {
    let key_set = KeySet::empty(SigningAlgorithm::EdDsa);
    assert_eq!(key_set.due_key(None, at(9)), Some(DueKey::first(at(9))));
    assert_eq!(KeySet::shared(b"secret").due_key(Some(DAY), at(9)), None);
}

#[test]
fn keys_that_are_over_are_forgotten_a_day_later() {
    let keys = [es256(0, 0), es256(0, 1_000), sealed(SigningAlgorithm::EdDsa, 500, 500)];
    let key_set = key_set(&keys);
    let replaced_for_a_day = 1_905 + 86_400;
    assert!(key_set.forgotten(at(replaced_for_a_day - 1)).is_empty());
    assert_eq!(key_set.forgotten(at(replaced_for_a_day)), [keys[0].kid.clone()]);
    let algorithm_changed_two_days_ago = 1_000 + 2 * 86_400;
    assert_eq!(key_set.forgotten(at(algorithm_changed_two_days_ago - 1)).len(), 1);
    let forgotten = key_set.forgotten(at(algorithm_changed_two_days_ago));
    assert_eq!(forgotten, [keys[0].kid.clone(), keys[2].kid.clone()]);
    // A row that is gone is not deleted again.
    let (key_set, _) = key_set.renewed(&[], &[&SECRET]);
    assert!(key_set.forgotten(at(algorithm_changed_two_days_ago)).is_empty());
}

#[test]
fn an_algorithm_that_comes_back_gets_a_new_key_so_that_the_other_ones_end() {
    let keys = [es256(0, 0), sealed(SigningAlgorithm::EdDsa, 1_000, 1_000)];
    let key_set = key_set(&keys);
    let day_after = 1_000 + 86_400;
    assert_eq!(key_set.due_key(None, at(day_after - 1)), None);
    let due = DueKey { after: at(0), signs_from: at(day_after + 86_400) };
    assert_eq!(key_set.due_key(None, at(day_after)), Some(due));
    let next = es256(day_after, day_after + 86_400);
    let [first, other] = keys;
    let (key_set, _) = key_set.renewed(&[first, other.clone(), next], &[&SECRET]);
    assert_eq!(key_set.due_key(None, at(day_after)), None);
    assert!(key_set.find(&other.kid, at(day_after + 2 * 86_400 - 1)).is_some());
    assert!(key_set.find(&other.kid, at(day_after + 2 * 86_400)).is_none());
}
