//! Tests of the lanes of a worker.

use super::*;
use crate::jobs::backoff::Backoff;

fn at(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(seconds)
}

const SLOW: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_mins(5));
const CONFIGURATION: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(1));

fn refused() -> Failure {
    Failure { backoff: CONFIGURATION, configuration: Some("relay denied".to_owned()) }
}

fn lanes() -> Lanes {
    Lanes::new(Capacity { total: 4, per_lane: 2, slow: 2 })
}

/// Ends a job and returns whether it reported a new fault.
fn finish(lanes: &mut Lanes, lane: &str, health: &PeerHealth, now: i64) -> bool {
    let status = lanes.record(lane, health, at(now));
    lanes.end(lane);
    status.is_new_fault
}

#[test]
fn a_domain_gets_its_share_of_the_connections() {
    let mut lanes = lanes();
    lanes.begin("a.example");
    assert_eq!(lanes.blocked_lanes(at(0), SlowLanes::Included), ["a.example"], "it is new");
    finish(&mut lanes, "a.example", &PeerHealth::Up, 0);
    lanes.begin("a.example");
    assert!(lanes.blocked_lanes(at(0), SlowLanes::Included).is_empty());
    lanes.begin("a.example");
    assert_eq!(lanes.blocked_lanes(at(0), SlowLanes::Included), ["a.example"]);
    assert_eq!(lanes.free_slots(at(0)), 2);
    finish(&mut lanes, "a.example", &PeerHealth::Up, 0);
    assert!(lanes.blocked_lanes(at(0), SlowLanes::Included).is_empty());
}

#[test]
fn after_a_time_out_a_domain_pauses_and_is_tried_with_one_mail() {
    let mut lanes = lanes();
    let slow = PeerHealth::LaneDown(Failure { backoff: SLOW, configuration: None });
    lanes.begin("slow.example");
    assert!(!finish(&mut lanes, "slow.example", &slow, 0));
    assert_eq!(lanes.blocked_lanes(at(20), SlowLanes::Included), ["slow.example"]);
    assert_eq!(lanes.free_slots(at(20)), 4, "others go on");
    assert!(lanes.blocked_lanes(at(31), SlowLanes::Included).is_empty());
    lanes.begin("slow.example");
    assert_eq!(lanes.blocked_lanes(at(31), SlowLanes::Included), ["slow.example"]);
    finish(&mut lanes, "slow.example", &PeerHealth::Up, 32);
    assert!(lanes.blocked_lanes(at(32), SlowLanes::Included).is_empty());
    lanes.begin("other.example");
    finish(&mut lanes, "other.example", &PeerHealth::Unknown, 5_000);
    lanes.begin("other.example");
    finish(&mut lanes, "other.example", &PeerHealth::Unknown, 5_000);
    assert!(!lanes.by_name.contains_key("slow.example"), "it has expired");
}

#[test]
fn slow_domains_leave_a_connection_to_the_others() {
    let mut lanes = lanes();
    let slow = PeerHealth::LaneDown(Failure { backoff: SLOW, configuration: None });
    let blocked = |lanes: &Lanes, slow| {
        let mut blocked = lanes.blocked_lanes(at(100), slow);
        blocked.sort();
        blocked
    };
    for name in ["a", "b", "c"] {
        assert!(!lanes.begin(name));
        finish(&mut lanes, name, &slow, 0);
    }
    assert_eq!(blocked(&lanes, SlowLanes::Excluded), ["a", "b", "c"]);
    assert!(blocked(&lanes, SlowLanes::Included).is_empty());
    assert!(lanes.begin("a"));
    assert_eq!(blocked(&lanes, SlowLanes::Included), ["a"]);
    lanes.begin("b");
    assert_eq!(blocked(&lanes, SlowLanes::Included), ["a", "b", "c"]);
    finish(&mut lanes, "a", &PeerHealth::Up, 100);
    assert_eq!(blocked(&lanes, SlowLanes::Included), ["b"], "one is left");
}

#[test]
fn slow_domains_leave_the_last_slot_to_the_others() {
    let mut lanes = lanes();
    let slow = PeerHealth::LaneDown(Failure { backoff: SLOW, configuration: None });
    lanes.begin("slow.example");
    finish(&mut lanes, "slow.example", &slow, 0);
    // Domains that hang and are not known to be slow yet.
    for name in ["a.example", "b.example"] {
        lanes.begin(name);
    }
    assert!(
        !lanes.blocked_lanes(at(100), SlowLanes::Included).contains(&"slow.example".to_owned())
    );
    lanes.begin("c.example");
    assert!(lanes.blocked_lanes(at(100), SlowLanes::Included).contains(&"slow.example".to_owned()));
    assert_eq!(lanes.free_slots(at(100)), 1);
}

#[test]
fn after_a_refusal_the_server_is_tried_with_one_mail_after_a_pause() {
    let mut lanes = lanes();
    let refused = PeerHealth::AllDown(refused());
    lanes.begin("a.example");
    lanes.begin("b.example");
    assert!(finish(&mut lanes, "a.example", &refused, 0), "the first is reported");
    assert!(!finish(&mut lanes, "b.example", &refused, 0), "the second is known");
    assert_eq!((lanes.free_slots(at(1)), lanes.free_slots(at(11))), (0, 1));
    for number in 1..20 {
        lanes.begin("a.example");
        assert!(!finish(&mut lanes, "a.example", &refused, 100 * number));
    }
    assert_eq!(
        (lanes.free_slots(at(1_940)), lanes.free_slots(at(1_960))),
        (0, 1),
        "a minute at the most"
    );
    lanes.begin("a.example");
    finish(&mut lanes, "a.example", &PeerHealth::Up, 1_960);
    assert_eq!(lanes.free_slots(at(1_960)), 4);
    lanes.begin("a.example");
    assert!(finish(&mut lanes, "a.example", &refused, 2_000), "it is reported again");
}

#[test]
fn a_refusal_of_many_domains_is_reported_once() {
    let mut lanes = lanes();
    let refused = PeerHealth::LaneDown(refused());
    for number in 0..50 {
        let domain = format!("{number}.example");
        lanes.begin(&domain);
        assert_eq!(finish(&mut lanes, &domain, &refused, 0), number == 0);
        lanes.begin("fine.example");
        finish(&mut lanes, "fine.example", &PeerHealth::Up, 0);
    }
    assert_eq!(lanes.blocked_lanes(at(1), SlowLanes::Included).len(), 50);
    assert_eq!(lanes.free_slots(at(1)), 4);
}

#[test]
fn a_lost_connection_has_no_effect_on_other_domains() {
    let mut lanes = lanes();
    lanes.begin("a.example");
    finish(&mut lanes, "a.example", &PeerHealth::Unknown, 0);
    assert!(lanes.blocked_lanes(at(0), SlowLanes::Included).is_empty());
    assert_eq!(lanes.free_slots(at(0)), 4);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_the_mail() {
    let mut lanes = lanes();
    lanes.begin("a.example");
    finish(&mut lanes, "a.example", &PeerHealth::AllDown(refused()), 1_000_000);
    assert_eq!((lanes.free_slots(at(1_000_000)), lanes.free_slots(at(0))), (0, 1));
}
