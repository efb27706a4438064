//! Tests of the set of revocations.

use super::*;
use crate::domain::SessionId;

fn at(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(seconds)
}

fn ended(id: &str, seconds: i64, reason: EndReason) -> EndedSession {
    let (id, user_id) = (SessionId(id.into()), UserId(7));
    EndedSession { id, user_id, at: at(seconds), reason: Some(reason) }
}

fn contains(set: &Revocations, session: &str, now: UtcTime) -> Option<bool> {
    set.revokes(session, UserId(7), 0, now)
}

#[test]
fn a_change_of_rights_revokes_tokens_of_earlier_generations_only() {
    let set = Revocations::new(Duration::from_secs(300), Duration::from_secs(10));
    let changed = UtcTime::from_micros(100_000_000);
    set.sync(&[], &[(UserId(7), changed), (UserId(8), changed)], at(101));
    for (rights, revoked) in
        [(0, true), (99_999_999, true), (100_000_000, false), (100_000_001, false)]
    {
        assert_eq!(set.revokes("a", UserId(7), rights, at(101)), Some(revoked), "{rights}");
    }
    // An earlier generation from another instance changes nothing.
    set.change_rights(UserId(7), UtcTime::from_micros(50));
    assert_eq!(set.revokes("a", UserId(7), 100_000_000, at(101)), Some(false));
    assert_eq!(set.revokes("a", UserId(7), 60, at(101)), Some(true));
    let listed = set.list(Some(at(100)), at(101)).unwrap();
    assert_eq!(*listed.users(), BTreeMap::from([(UserId(7), at(100)), (UserId(8), at(100))]));
    assert!(set.list(Some(at(101)), at(101)).unwrap().users().is_empty());
    set.sync(&[], &[], at(401));
    assert_eq!(set.revokes("a", UserId(7), 0, at(401)), Some(false), "the tokens have expired");
}

#[test]
fn a_list_since_a_time_has_what_is_new_and_the_whole_is_made_once() {
    let set = Revocations::new(Duration::from_secs(900), Duration::from_secs(1000));
    let many: Vec<_> =
        (0..2000).map(|n| ended(&n.to_string(), n / 4, EndReason::LoggedOut)).collect();
    set.sync(&many, &[], at(500));
    let whole = set.list(None, at(500)).unwrap();
    assert_eq!(whole.sessions().len(), 2000);
    assert!(Arc::ptr_eq(&whole, &set.list(None, at(500)).unwrap()));
    // So do clients that waited while the set changed.
    let asked = set.version();
    set.add([ended("new", 500, EndReason::LoggedOut)], at(500));
    assert!(Arc::ptr_eq(&whole, &set.list_as_of(asked, None, at(500)).unwrap()));
    let whole = set.list_as_of(set.version(), None, at(500)).unwrap();
    assert_eq!(whole.sessions().len(), 2001);
    assert!(Arc::ptr_eq(&whole, &set.list_as_of(asked, None, at(500)).unwrap()));
    // Clients that name the beginning share it.
    assert!(Arc::ptr_eq(&whole, &set.list(Some(at(0)), at(500)).unwrap()));
    assert_eq!(set.list(Some(at(499)), at(500)).unwrap().sessions().len(), 5);
    assert_eq!(set.list(Some(at(500)), at(500)).unwrap().sessions().len(), 1);
    // Entries are dropped with their tokens, whatever their number.
    set.sync(&[], &[], at(1200));
    assert_eq!(set.list(None, at(1200)).unwrap().sessions().len(), 801);
    assert_eq!(contains(&set, "1199", at(1200)), Some(false));
    assert_eq!(contains(&set, "1200", at(1200)), Some(true));
}

#[test]
fn what_is_listed_tells_accounts_from_sessions() {
    let set = Revocations::new(Duration::from_secs(300), Duration::from_secs(10));
    assert!(set.list(None, at(0)).is_none());
    set.sync(&[ended("a", 1, EndReason::LoggedOut)], &[], at(1));
    let first = set.list(None, at(1)).unwrap();
    assert!(first.users().is_empty());
    set.add([ended("b", 2, EndReason::AccountDisabled)], at(2));
    let second = set.list(None, at(2)).unwrap();
    assert_eq!(*second.users(), BTreeMap::from([(UserId(7), at(2))]));
    let ids: Vec<&str> = second.sessions().iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
    assert_ne!(first.tag(), second.tag());
    set.sync(&[ended("b", 2, EndReason::AccountDisabled)], &[], at(3));
    assert_eq!(set.list(None, at(3)).unwrap().tag(), second.tag());
    assert!(set.list(None, at(14)).is_none());
}

#[test]
fn what_was_forgotten_while_the_clock_was_ahead_is_learned_again_when_it_is_set_back() {
    let set = Revocations::new(Duration::from_secs(300), Duration::from_secs(10));
    let logged_out = ended("a", 1000, EndReason::LoggedOut);
    set.sync(std::slice::from_ref(&logged_out), &[], at(1000));
    set.sync(&[], &[], at(4600));
    assert_eq!(contains(&set, "a", at(4600)), Some(false), "its tokens have expired");
    assert_eq!(contains(&set, "a", at(1100)), None, "it may not be believed again");
    assert!(set.unseen_since(at(1100)) <= at(1000));
    set.sync(&[logged_out], &[], at(1100));
    assert_eq!(contains(&set, "a", at(1101)), Some(true));
}

#[test]
fn an_entry_lives_as_long_as_a_token_and_a_stale_set_does_not_guess() {
    let set = Revocations::new(Duration::from_secs(300), Duration::from_secs(10));
    assert_eq!(contains(&set, "a", at(0)), None);
    assert_eq!(set.unseen_since(at(0)), at(-300));
    set.sync(&[], &[], at(0));
    assert_eq!(set.unseen_since(at(1)), at(-60));
    set.add([ended("a", 1, EndReason::LoggedOut)], at(1));
    assert_eq!(contains(&set, "a", at(1)), Some(true));
    assert_eq!(contains(&set, "b", at(10)), Some(false));
    assert_eq!(contains(&set, "b", at(11)), None);
    assert_eq!(contains(&set, "a", at(11)), Some(true));
    set.sync(&[ended("b", 290, EndReason::LoggedOut)], &[], at(301));
    assert_eq!(contains(&set, "a", at(301)), Some(true));
    set.sync(&[], &[], at(302));
    assert_eq!(contains(&set, "a", at(302)), Some(false));
    assert_eq!(contains(&set, "b", at(302)), Some(true));
}

/// The shortest time in which a list of the last 1,000 entries is made, with so many others.
fn time_of_a_part(others: i64) -> Duration {
    let keep = Duration::from_secs(1_000_000);
    let set = Revocations::new(keep, keep);
    let sessions: Vec<_> =
        (0..others).map(|n| ended(&format!("old {n}"), n / 100, EndReason::LoggedOut)).collect();
    let rights: Vec<_> = (1..=others).map(|n| (UserId(n), at(n / 100))).collect();
    set.sync(&sessions, &rights, at(10_000));
    let new: Vec<_> =
        (0..1_000).map(|n| ended(&format!("new {n}"), 9_000, EndReason::LoggedOut)).collect();
    set.sync(&new, &[], at(10_000));
    let times = (1..=30).map(|n| {
        let began = std::time::Instant::now();
        // Each is another question.
        let part = set.list(Some(UtcTime::from_micros(9_000_000_000 - n)), at(10_000)).unwrap();
        assert_eq!((part.sessions().len(), part.users().len()), (1_000, 0));
        began.elapsed()
    });
    times.min().unwrap()
}

#[test]
fn the_cost_of_what_is_new_does_not_grow_with_the_list() {
    let (few, many) = (time_of_a_part(100), time_of_a_part(100_000));
    eprintln!("the last 1,000 entries: {few:?} of 1,200, {many:?} of 201,000");
    assert!(many < few * 3, "{many:?} in place of {few:?}");
}

#[test]
fn a_list_of_what_is_new_is_made_once_until_something_changes() {
    let set = Revocations::new(Duration::from_secs(900), Duration::from_secs(1000));
    let logged_out = |n: i64| ended(&n.to_string(), n, EndReason::LoggedOut);
    let many: Vec<_> = (0..100).map(logged_out).collect();
    set.sync(&many, &[], at(100));
    let ask = |seconds| set.list(Some(at(seconds)), at(100)).unwrap();
    let first = ask(90);
    assert!(Arc::ptr_eq(&first, &ask(90)));
    assert!(!Arc::ptr_eq(&first, &ask(91)));
    // A few are kept.
    for seconds in 1..20 {
        ask(seconds);
    }
    assert!(!Arc::ptr_eq(&first, &ask(90)));
    let before = ask(90);
    set.add([logged_out(100)], at(100));
    let after = ask(90);
    assert_eq!((before.sessions().len(), after.sessions().len()), (10, 11));
    assert_ne!(before.tag(), after.tag());
    set.change_rights(UserId(8), at(95));
    assert_eq!(ask(90).users().len(), 1);
    // The later one counts.
    set.change_rights(UserId(8), at(99));
    assert_eq!(*ask(97).users(), BTreeMap::from([(UserId(8), at(99))]));
    assert_eq!(ask(90).users().len(), 1);
}

#[test]
fn a_long_list_is_not_at_hand_until_it_is_made() {
    let set = Revocations::new(Duration::from_secs(9000), Duration::from_secs(10_000));
    let sessions: Vec<_> =
        (0..3000).map(|n| ended(&n.to_string(), n, EndReason::LoggedOut)).collect();
    set.sync(&sessions, &[(UserId(1), at(2500)), (UserId(2), at(2600))], at(4000));
    assert!(!set.is_at_hand(None));
    assert!(!set.is_at_hand(Some(at(0))), "the same");
    set.list(None, at(4000)).unwrap();
    assert!(set.is_at_hand(None) && set.is_at_hand(Some(at(0))));
    // A part is short, or else it is not kept: each client could name another time.
    assert!(set.is_at_hand(Some(at(1002))), "1,998 sessions and 2 users");
    for _ in 0..2 {
        assert!(!set.is_at_hand(Some(at(1001))));
        assert_eq!(set.list(Some(at(1001)), at(4000)).unwrap().sessions().len(), 1999);
    }
    set.add([ended("new", 4000, EndReason::LoggedOut)], at(4000));
    assert!(!set.is_at_hand(None), "something changed");
}
