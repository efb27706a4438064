//! A call of every function of `store/`, with each shape that its statement can take.

use std::time::Duration;

use hallpass::domain::{
    AddressVerification, Amr, ApiKey, ApiKeyId, Challenge, ChallengeKind, Device, Email,
    EmailChange, EndReason, EventContext, EventId, EventKind, FlowOutcome, IdentityId, IdentityKey,
    JobId, LeaseId, LinkedIdentity, Locale, PasswordHash, ProviderIdentity, Scope, SealedKey,
    Session, SessionId, SocialFlow, TokenHash, Transport, User, UserId, Username, UtcTime,
};
use hallpass::store::jobs::backlog::{self, Retryable};
use hallpass::store::jobs::lease::{self, Conclusion, Deferral};
use hallpass::store::jobs::{self, Claim, ClaimOrder, DueJobs, Job, NewJob};
use hallpass::store::limits::{Returned, Uses};
use hallpass::store::outbox::{MailKind, NewMail, QueuedMail, Selection};
use hallpass::store::sessions::candidate::{Login, Named};
use hallpass::store::sessions::opening::Opening;
use hallpass::store::sessions::refresh::Exchange;
use hallpass::store::users::changes::{self, UserChanges};
use hallpass::store::users::released_names::{self, Names};
use hallpass::store::users::search::{self, UserFilter};
use hallpass::store::users::{self, NewUser, deletion, rights};
use hallpass::store::{
    Conn, api_keys, challenges, challenges::notices, challenges::verifications, events, identities,
    import, limits, outbox, sessions, sessions::candidate, sessions::ended,
    sessions::known_devices, sessions::opening, sessions::refresh, sessions::refresh_tokens,
    signing_keys, social_flows, users::erasures,
};

use super::Recorder;

const NOW: UtcTime = UtcTime::from_seconds(1_800_000_000);
const LATER: UtcTime = UtcTime::from_seconds(1_800_001_000);
/// A time before everything in the tables.
const LONG_AGO: UtcTime = UtcTime::from_seconds(1_700_000_000);
const USER: UserId = UserId(7);

/// Calls a function under its name and fails if it fails.
macro_rules! call {
    ($recorder:expr, $module:ident::$function:ident($($argument:expr),* $(,)?)) => {{
        $recorder.begin(stringify!($module::$function));
        $module::$function($($argument),*).unwrap()
    }};
}

pub fn call_everything(conn: &mut Conn, recorder: &Recorder) {
    call_users(conn, recorder);
    call_sessions(conn, recorder);
    call_refresh_tokens(conn, recorder);
    call_verifications(conn, recorder);
    call_challenges(conn, recorder);
    call_outbox(conn, recorder);
    call_limits_and_devices(conn, recorder);
    call_events(conn, recorder);
    call_identities(conn, recorder);
    call_social_flows(conn, recorder);
    call_keys(conn, recorder);
    call_api_keys(conn, recorder);
    call_purges(conn, recorder);
}

fn hash(text: &str) -> TokenHash {
    TokenHash(text.as_bytes().to_vec())
}

fn email(name: &str) -> Email {
    Email::parse(&format!("{name}@example.com")).unwrap()
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        email_verified: true,
        ..NewUser::with_email(email(name), Some(Username::parse(name).unwrap()))
    }
}

fn call_users(conn: &mut Conn, recorder: &Recorder) {
    let user = call!(recorder, users::insert_user(conn, &new_user("somebody"), NOW));
    call!(recorder, users::find_by_id(conn, USER));
    call!(recorder, users::find_id_by_username(conn, "user7"));
    call!(recorder, search::find_named_like(conn, &email("p7")));
    call!(recorder, users::find_id_by_email(conn, &email("p7")));
    let unknown = Named::username_or_email("unknown");
    for (name, found) in [("user7", true), ("p7@example.com", true), ("unknown", false)] {
        let named = Named::username_or_email(name);
        let id = call!(recorder, candidate::find_named(conn, &named));
        assert_eq!(id, Some(USER).filter(|_| found));
        let login = Login { device: None, named, spelling: unknown.clone(), decoy_key: u32::MAX };
        let candidate = call!(recorder, candidate::find_candidate(conn, &login));
        assert_eq!(candidate.named, id);
        let compared = candidate.compared.map(|user| user.id);
        // For an unknown name it is the decoy user.
        assert!(compared.is_some() && (compared == id || !found), "{compared:?}");
    }
    call!(recorder, users::find_by_exact_username(conn, "user7"));
    call!(recorder, users::find_by_username(conn, "user7"));
    call!(recorder, users::find_by_email(conn, &email("p7")));
    call!(recorder, users::list_page(conn, USER, 100));
    for email in [EmailChange::Keep, EmailChange::Remove, EmailChange::Set(email("other"))] {
        let username = Some(Username::parse("somebody-else").unwrap());
        let changes =
            UserChanges { username, email, is_active: Some(true), ..UserChanges::default() };
        call!(recorder, changes::update_user(conn, user.id, &changes, NOW));
    }
    let (before, after) = (Names::default(), Names::of(&user.username, Some(&email("other"))));
    call!(recorder, released_names::change(conn, user.id, &before, &after, NOW));
    call!(recorder, released_names::change(conn, user.id, &after, &before, NOW));
    call!(recorder, released_names::take_all(conn, std::slice::from_ref(&user), NOW));
    call!(recorder, released_names::purge(conn, LONG_AGO, 100));
    call!(recorder, rights::end_tokens(conn, USER, NOW));
    call!(recorder, rights::renew_rights(conn, USER, NOW));
    call!(recorder, changes::enable_due(conn, NOW, 100));
    call!(recorder, rights::list_rights_changed_since(conn, LONG_AGO));
    call!(recorder, users::lock_user(conn, USER));
    call!(recorder, users::hold_from(conn, USER));
    call!(recorder, rights::lock_superusers(conn));
    call!(recorder, rights::is_other_superuser(conn, USER));
    let unusable = PasswordHash::unusable();
    call!(recorder, changes::change_password(conn, user.id, &unusable, &unusable, NOW));
    call!(recorder, changes::change_email(conn, &user, &email("third"), NOW));
    call!(recorder, changes::record_login(conn, user.id, &unusable, NOW));
    call!(recorder, changes::replace_password_hash(conn, user.id, &unusable, &unusable, NOW));
    call!(recorder, changes::mark_email_verified(conn, user.id, &email("third"), NOW));
    call!(recorder, deletion::list_former_addresses(conn, user.id));
    call!(recorder, deletion::mark_deleted(conn, user.id, NOW));
    call!(recorder, deletion::list_deleted(conn, 100));
    call!(recorder, deletion::find_deleted(conn, user.id));
    call!(recorder, deletion::delete_user(conn, user.id));
    for search in [None, Some("user7".to_owned()), Some("er7".to_owned())] {
        for is_active in [None, Some(true), Some(false)] {
            for is_staff in [None, Some(true), Some(false)] {
                let filter = UserFilter { search: search.clone(), is_active, is_staff };
                call!(recorder, search::list_page(conn, &filter, Some(USER), 50));
            }
        }
    }
    call!(recorder, import::lock_users(conn));
    call!(recorder, import::find_present(conn));
    let imported = User { id: UserId(5_000_000), ..user };
    call!(recorder, import::insert_users(conn, &[imported], |_| ()));
}

fn call_sessions(conn: &mut Conn, recorder: &Recorder) {
    let session = Session {
        id: SessionId::new(NOW),
        user_id: USER,
        amr: Amr::password(),
        device: Device { label: "Firefox on Linux".into(), network: "10.0.0.0/24".into() },
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: LATER,
        ended_at: None,
        end_reason: None,
        transport: Some(Transport::Body),
    };
    let reason = EndReason::LoggedOut;
    call!(recorder, sessions::record_use(conn, &SessionId("s10".into()), LATER));
    call!(recorder, sessions::find_session(conn, &session.id));
    call!(recorder, sessions::list_open(conn, USER, NOW));
    call!(recorder, sessions::list_page(conn, USER, "s1", 100));
    call!(recorder, sessions::end_session(conn, &SessionId("s1".into()), reason, NOW));
    call!(recorder, sessions::end_session_of(conn, USER, &SessionId("s2".into()), reason, NOW));
    let opening = Opening {
        session: &session,
        refresh_token: hash("first"),
        refresh_expires_at: LATER,
        presented: Some(hash("forged")),
        device: hash("a device"),
        keep_devices: 1,
        keep_sessions: 1,
    };
    assert!(!call!(recorder, opening::open_session(conn, &opening)).is_known_device);
    let other = Session { id: SessionId::new(NOW), ..session.clone() };
    let (refresh_token, device) = (hash("second"), hash("another device"));
    let opening = Opening { session: &other, refresh_token, device, ..opening };
    assert_eq!(call!(recorder, opening::open_session(conn, &opening)).ended.len(), 1);
    call!(recorder, sessions::end_all_sessions(conn, UserId(8), Some(&session.id), reason, NOW));
    call!(recorder, ended::list_since(conn, NOW));
    while call!(recorder, sessions::erase_devices(conn, USER, 2)) {}
}

fn call_refresh_tokens(conn: &mut Conn, recorder: &Recorder) {
    let session = SessionId("s10".into());
    call!(recorder, refresh_tokens::insert_refresh_token(conn, &hash("new"), &session, LATER, 0));
    let exchange = Exchange {
        token: hash("new"),
        successor: hash("newer"),
        transport: Transport::Body,
        expires_at: LATER,
        room: 1000,
        now: NOW,
    };
    assert!(call!(recorder, refresh::exchange(conn, &exchange)).is_some());
    call!(recorder, refresh_tokens::find_refresh_token(conn, &hash("new")));
    let several = [hash("new"), hash("unknown")];
    assert!(call!(recorder, refresh_tokens::find_session_of_any(conn, &several)).is_some());
}

fn call_verifications(conn: &mut Conn, recorder: &Recorder) {
    let new = AddressVerification {
        challenge: Challenge {
            email: Some(email("new")),
            holder_hash: Some(hash("a registration")),
            ..Challenge::new(ChallengeKind::Registration, None, NOW)
        },
        email: email("new"),
        username: None,
        password_hash: PasswordHash::unusable(),
        locale: Locale::default(),
    };
    let challenge = &new.challenge;
    call!(recorder, verifications::insert_verification(conn, &new));
    call!(recorder, verifications::find_by_id(conn, &challenge.id));
    call!(recorder, verifications::find_by_link(conn, &hash("link")));
    call!(recorder, verifications::find_pending(conn, &new.email, 10, NOW));
    call!(recorder, verifications::list_page(conn, USER, "r1", 100));
    call!(recorder, verifications::find_by_holder(conn, &hash("a registration")));
    call!(recorder, challenges::renew_code_tries(conn, &challenge.id));
    call!(recorder, challenges::lock_address(conn, &new.email));
    call!(recorder, challenges::set_owner(conn, &challenge.id, USER));
    call!(recorder, challenges::delete_changes(conn, USER));
    call!(recorder, challenges::delete_of_address(conn, &new.email, Some(&challenge.id)));
    call!(recorder, challenges::erase_of(conn, USER, 2));
    call!(recorder, challenges::erase_from_notices(conn, new.email.normalised()));
}

fn call_challenges(conn: &mut Conn, recorder: &Recorder) {
    let kind = ChallengeKind::ResetPassword;
    let new = Challenge { email: Some(email("p7")), ..Challenge::new(kind, Some(USER), NOW) };
    let code = hash("code");
    call!(recorder, challenges::insert_challenge(conn, &new, 0));
    call!(recorder, challenges::set_mail_secrets(conn, &new.id, &hash("reset"), Some(&code)));
    call!(recorder, challenges::find_by_id(conn, &new.id));
    call!(recorder, challenges::find_by_link(conn, &hash("reset")));
    call!(recorder, challenges::find_newest(conn, USER, kind));
    call!(recorder, challenges::reserve_code_try(conn, &new.id, 5, 15));
    call!(recorder, challenges::return_code_try(conn, &new.id));
    call!(recorder, challenges::consume_challenge(conn, &new.id, NOW));
    call!(recorder, challenges::find_revertible(conn, USER, NOW));
    let notice = Challenge::new(ChallengeKind::ReportUnauthorized, Some(USER), NOW);
    call!(recorder, notices::insert_notice(conn, USER, &notice));
    call!(recorder, notices::time_since_notices(conn, USER, NOW));
    call!(recorder, challenges::list_page(conn, USER, ChallengeKind::OF_ACCOUNT, "o1", 100));
    call!(recorder, challenges::delete_newer_notices(conn, &new));
    call!(recorder, challenges::delete_of_kinds(conn, USER, ChallengeKind::OF_PASSWORD));
    call!(recorder, challenges::supersede(conn, USER, ChallengeKind::ReportUnauthorized, NOW));
}

fn call_outbox(conn: &mut Conn, recorder: &Recorder) {
    let (kind, recipient, locale) = (MailKind::Registration, email("p7"), Locale::default());
    let mail = NewMail { about: Some(USER), ..NewMail::new(kind, &recipient, &locale, "r7") };
    call!(recorder, outbox::enqueue(conn, &mail, NOW));
    call!(recorder, outbox::claim(conn, USER, &recipient));
    let from = JobId::first_at(NOW);
    call!(recorder, outbox::find_last(conn, USER, kind, &from));
    call!(recorder, outbox::are_queued_since(conn, USER, kind, &from, 10));
    for selection in [
        Selection::Open,
        Selection::Sent,
        Selection::To(recipient.clone()),
        Selection::SentTo(recipient.clone()),
    ] {
        call!(recorder, outbox::list(conn, &selection, 100));
        call!(recorder, outbox::count(conn, &selection));
    }
    let waited = call_jobs(conn, recorder);
    call!(recorder, outbox::is_superseded(conn, &waited));
    assert!(call!(recorder, outbox::drop_mail(conn, &waited.job.id, NOW)));
    for address in [None, Some(&recipient)] {
        call!(recorder, outbox::list_page(conn, USER, address, "m1", 100));
    }
    call!(recorder, outbox::erase_of(conn, USER, 2));
    call!(recorder, outbox::erase_to(conn, &recipient, LATER, 2));
}

/// Returns a mail that waited and is due again.
fn call_jobs(conn: &mut Conn, recorder: &Recorder) -> QueuedMail {
    let job = NewJob {
        kind: "registration",
        target: "p7@example.com",
        locale: "en",
        subject_id: "r7",
        about: Some(USER),
        rank: 1,
    };
    call!(recorder, jobs::enqueue(conn, &job, NOW));
    let without_lanes = vec!["example.org".to_owned()];
    let due =
        DueJobs { kinds: &MailKind::NAMES, without_lanes, without_jobs: Vec::new(), now: NOW };
    call!(recorder, jobs::is_any_due(conn, &due));
    assert!(!call!(recorder, jobs::is_there(conn, &JobId("gone".to_owned()))));
    let lease = LeaseId("lease".to_owned());
    let claim = Claim { due, lease, limit: 10, order: ClaimOrder::DeferredFirst, until: LATER };
    let mut claimed = call!(recorder, jobs::claim_due(conn, &claim));
    let (first, second, third) = (claimed.remove(0), claimed.remove(0), claimed.remove(0));
    assert!(call!(recorder, lease::renew(conn, &first.lease.renewal(LATER))));
    assert!(call!(recorder, lease::confirm(conn, &first.job.id, &first.job.lease)));
    let deferral = Conclusion::Deferred(Deferral {
        error: "later".to_owned(),
        next_attempt_at: LATER,
        attempts: 1,
        unconfirmed: 0,
    });
    let done = Conclusion::Done { target: Some("P7@example.com".to_owned()) };
    let failed = Conclusion::Failed("no".to_owned());
    let ends = [(first.lease, deferral), (second.lease, failed), (third.lease, done)];
    for (lease, conclusion) in ends {
        assert!(call!(recorder, lease::complete(conn, &lease.conclude(conclusion, NOW))));
    }
    call!(recorder, backlog::count_open(conn));
    assert_eq!(call!(recorder, backlog::deferral_causes(conn, 5)).len(), 1);
    for which in [Retryable::Deferred, Retryable::Failed] {
        let ids = call!(recorder, backlog::list_retryable(conn, which, NOW));
        assert_eq!(ids.len(), 1);
        assert_eq!(call!(recorder, backlog::retry_listed(conn, which, &ids, NOW)), 1);
    }
    assert!(call!(recorder, backlog::retry(conn, first.job.id.as_str(), NOW)));
    QueuedMail::of(&Job { was_deferred: true, ..first.job }).unwrap()
}

fn call_limits_and_devices(conn: &mut Conn, recorder: &Recorder) {
    assert!(call!(recorder, limits::use_counter(conn, "a", LATER, NOW)).is_ok());
    call!(recorder, limits::set_wait(conn, "a", LATER));
    assert!(call!(recorder, limits::use_counter(conn, "a", LATER, NOW)).is_err());
    assert!(call!(recorder, limits::find_wait(conn, "a", NOW)).is_some());
    call!(recorder, limits::shorten_wait(conn, "a", Duration::from_mins(1)));
    let release = |name: &str, uses| [Returned::of(name.to_owned(), uses)];
    call!(recorder, limits::release(conn, &release("a", 1)));
    let uses = ["a", "b"].map(|name| Uses { name: name.to_owned(), uses: 2, window_ends: LATER });
    for counted in call!(recorder, limits::use_counters(conn, &uses, NOW)) {
        assert_eq!(counted.unwrap().uses, 2);
    }
    let returned = [release("a", 1), release("b", Returned::ALL)].concat();
    call!(recorder, limits::release(conn, &returned));
    assert_eq!(limits::use_counter(conn, "a", LATER, NOW).unwrap().unwrap().uses, 2);
    assert_eq!(limits::use_counter(conn, "b", LATER, NOW).unwrap().unwrap().uses, 1);
    // An earlier window.
    let earlier = Returned { window_ends_by: NOW, ..Returned::of("a".to_owned(), Returned::ALL) };
    call!(recorder, limits::release(conn, &[earlier]));
    assert_eq!(limits::use_counter(conn, "a", LATER, NOW).unwrap().unwrap().uses, 3);
    let two = Returned::of("a".to_owned(), 2);
    call!(recorder, limits::release(conn, &[two]));
    assert_eq!(limits::use_counter(conn, "a", LATER, NOW).unwrap().unwrap().uses, 2);
    call!(recorder, known_devices::remember(conn, USER, &hash("d"), 0, NOW));
    call!(recorder, known_devices::find_owner(conn, &hash("d")));
    call!(recorder, known_devices::list_all(conn, USER));
    call!(recorder, known_devices::erase_of(conn, USER, 2));
    call!(recorder, known_devices::forget_all(conn, USER));
}

fn call_events(conn: &mut Conn, recorder: &Recorder) {
    let context = EventContext::of(USER, NOW);
    let in_session = context.clone().in_session(&SessionId("s1".into()));
    let kind = EventKind::ProfileChanged;
    call!(recorder, events::record(conn, &context, kind, ""));
    for context in [&context, &in_session] {
        call!(recorder, events::record_once(conn, context, kind, "", LONG_AGO));
    }
    for before in [None, Some(&EventId::new(NOW))] {
        call!(recorder, events::list_page(conn, USER, LONG_AGO, before, 50));
    }
    assert!(call!(recorder, events::erase_details(conn, USER, None, 1)).is_some());
    call!(recorder, erasures::request(conn, USER, NOW));
    call!(recorder, erasures::is_requested(conn, USER));
    call!(recorder, erasures::list_requested(conn, 100));
    call!(recorder, erasures::finish(conn, USER));
}

fn call_identities(conn: &mut Conn, recorder: &Recorder) {
    let identity = |subject: &str| LinkedIdentity {
        id: IdentityId::new(NOW),
        user_id: USER,
        provider: "google".into(),
        key: IdentityKey::new("https://accounts.google.com", subject).unwrap(),
        email: Some("p7@example.com".into()),
        created_at: NOW,
        last_used_at: None,
    };
    let (first, second) = (identity("new-1"), identity("new-2"));
    call!(recorder, identities::insert(conn, &first));
    call!(recorder, identities::insert_all(conn, std::slice::from_ref(&second)));
    let keys = [first.key.clone(), second.key];
    assert_eq!(call!(recorder, identities::find_owners(conn, &keys)).len(), 2);
    assert_eq!(call!(recorder, identities::find_by_key(conn, &first.key)), Some(first.clone()));
    call!(recorder, identities::list_of_user(conn, USER));
    call!(recorder, identities::record_use(conn, &first.id, first.email.as_deref(), LATER));
    for id in [&first.id, &IdentityId::new(LATER)] {
        call!(recorder, identities::unlink_unless_last(conn, USER, id, |_| true));
    }
    call!(recorder, identities::find_issuer_after(conn, ""));
    call!(recorder, identities::count_of_issuer(conn, &first.key.issuer));
    call!(recorder, identities::unlink_since(conn, USER, LATER));
}

fn call_social_flows(conn: &mut Conn, recorder: &Recorder) {
    let challenge = Challenge {
        holder_hash: Some(hash("flow")),
        ..Challenge::new(ChallengeKind::SocialLogin, None, NOW)
    };
    let (provider, return_to) = ("google".to_owned(), "https://app.test".to_owned());
    let flow = SocialFlow { challenge, provider: provider.clone(), return_to, outcome: None };
    let id = &flow.challenge.id;
    call!(recorder, social_flows::insert_flow(conn, &flow, &hash("state")));
    assert!(call!(recorder, social_flows::find_by_state(conn, &hash("state"))).is_some());
    assert!(call!(recorder, social_flows::find_by_token(conn, &hash("flow"))).is_some());
    assert!(call!(recorder, social_flows::claim_flow(conn, id, &hash("code"), NOW)));
    call!(recorder, social_flows::release_claim(conn, id));
    let outcome = FlowOutcome::LoggedIn;
    assert!(call!(recorder, social_flows::finish_flow(conn, id, outcome, Some(USER))));
    let key = IdentityKey::new("https://accounts.google.com", "new-3").unwrap();
    let pending = ProviderIdentity { provider, key };
    call!(recorder, social_flows::insert_pending_identity(conn, id, &pending));
    let found = call!(recorder, social_flows::find_pending_identity(conn, id));
    assert_eq!(found, Some(pending));
}

fn call_keys(conn: &mut Conn, recorder: &Recorder) {
    let key = SealedKey {
        kid: "a".into(),
        algorithm: "none".into(),
        sealed_private_key: Vec::new(),
        public_jwk: "{}".into(),
        created_at: NOW,
        signs_from: NOW,
    };
    call!(recorder, signing_keys::list_keys(conn));
    call!(recorder, signing_keys::insert_key_after(conn, NOW, &key));
    call!(recorder, signing_keys::bring_forward(conn, "a", LONG_AGO, NOW));
    call!(recorder, signing_keys::replace_seal(conn, "a", &[], &[1]));
    call!(recorder, signing_keys::replace_all_keys(conn, &key));
    call!(recorder, signing_keys::delete_keys(conn, &["a".to_owned()]));
}

fn call_api_keys(conn: &mut Conn, recorder: &Recorder) {
    let key = ApiKey {
        id: ApiKeyId::new(NOW),
        name: "a service".into(),
        scopes: vec![Scope::Introspect],
        created_by: Some(USER),
        created_at: NOW,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    call!(recorder, api_keys::insert_key(conn, &key, &hash("a key")));
    assert_eq!(call!(recorder, api_keys::find_by_hash(conn, &hash("a key"))), Some(key.clone()));
    assert!(call!(recorder, api_keys::find_by_id(conn, &key.id)).is_some());
    assert!(!call!(recorder, api_keys::list_keys(conn)).is_empty());
    call!(recorder, api_keys::record_use(conn, &key.id, LONG_AGO, NOW));
    assert!(call!(recorder, api_keys::revoke_key(conn, &key.id, NOW)));
}

/// First those that find nothing, then those that find something.
fn call_purges(conn: &mut Conn, recorder: &Recorder) {
    let later = LATER.after(Duration::from_hours(48));
    for now in [NOW, later] {
        let before = if now == NOW { LONG_AGO } else { now };
        call!(recorder, verifications::erase_expired(conn, now, 2));
        call!(recorder, challenges::purge(conn, ChallengeKind::Registration, before, 2));
        call!(recorder, refresh_tokens::purge_replaced(conn, before, before, 2));
        call!(recorder, sessions::purge(conn, before, 2));
        call!(recorder, limits::purge(conn, now, now, 2));
        call!(recorder, backlog::purge(conn, before, 2));
        call!(recorder, events::purge(conn, before, 2));
    }
}
