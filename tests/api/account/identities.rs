//! Identities at other services, in the tables of both databases.

use std::time::Duration;

use hallpass::domain::{
    Email, IdentityId, IdentityKey, LinkedIdentity, PasswordHash, UserId, Username, UtcTime,
};
use hallpass::store::identities::{self, Unlinking};
use hallpass::store::users::{NewUser, deletion::delete_user, insert_user};
use hallpass::store::{DatabaseUrl, Db, Error, PoolSettings, PreparedStatements, Unique};

use crate::support::{World, at_once, on_both};

const NOW: UtcTime = UtcTime::from_seconds(1_800_000_000);

/// The database with tables and with room for threads.
fn database(world: &World) -> Db {
    drop(world.app());
    let url = DatabaseUrl::parse(&world.database_url).unwrap();
    let wait = Duration::from_secs(10);
    Db::open(&url, PoolSettings { size: 9, wait, prepared_statements: PreparedStatements::Always })
        .unwrap()
}

fn user(db: &Db, name: &str, password_hash: &str) -> UserId {
    let email = Email::parse(&format!("{name}@example.com")).unwrap();
    let new = NewUser {
        email_verified: true,
        password_hash: PasswordHash::stored(password_hash),
        ..NewUser::with_email(email, Some(Username::parse(name).unwrap()))
    };
    db.write(move |conn| insert_user(conn, &new, NOW)).unwrap().id
}

fn identity(user: UserId, issuer: &str, subject: &str) -> LinkedIdentity {
    LinkedIdentity {
        id: IdentityId::new(NOW),
        user_id: user,
        provider: "test".to_owned(),
        key: IdentityKey::new(issuer, subject).unwrap(),
        email: None,
        created_at: NOW,
        last_used_at: None,
    }
}

fn link(db: &Db, identity: &LinkedIdentity) -> Result<(), Error> {
    let identity = identity.clone();
    db.write(move |conn| identities::insert(conn, &identity))
}

fn unlink(db: &Db, user: UserId, id: &IdentityId) -> Unlinking {
    let id = id.clone();
    db.write(move |conn| identities::unlink_unless_last(conn, user, &id, |_| true)).unwrap()
}

fn owner(db: &Db, key: &IdentityKey) -> Option<UserId> {
    db.read(|conn| identities::find_by_key(conn, key)).unwrap().map(|found| found.user_id)
}

on_both! {
    fn an_identity_belongs_to_one_user_and_is_issuer_and_subject(world) {
        let db = database(&world);
        let (mina, ravi) = (user(&db, "mina", "!"), user(&db, "ravi", "!"));
        let first = identity(mina, "https://a.example", "s1");
        link(&db, &first).unwrap();
        for user in [mina, ravi] {
            let refused = link(&db, &identity(user, "https://a.example", "s1"));
            assert!(matches!(refused, Err(Error::Duplicate(Unique::Identity))), "{refused:?}");
        }
        link(&db, &identity(ravi, "https://b.example", "s1")).unwrap();
        link(&db, &identity(ravi, "https://a.example", "S1")).unwrap();
        link(&db, &identity(ravi, "https://a.example", "s1 ")).unwrap();
        assert_eq!(owner(&db, &first.key), Some(mina));
        assert_eq!(owner(&db, &IdentityKey::new("https://A.example", "s1").unwrap()), None);
        let of_ravi = db.read(|conn| identities::list_of_user(conn, ravi)).unwrap();
        assert_eq!(of_ravi.len(), 3);

        let id = first.id.clone();
        let used = db.write(move |conn| {
            let later = NOW.after(Duration::from_secs(1));
            identities::record_use(conn, &id, Some("new@example.com"), later)
        });
        assert!(used.unwrap());
        let found = db.read(|conn| identities::find_by_key(conn, &first.key)).unwrap().unwrap();
        assert_eq!(found.email.as_deref(), Some("new@example.com"));
        assert_eq!(found.last_used_at, Some(NOW.after(Duration::from_secs(1))));
    }

    fn of_two_users_who_link_one_identity_at_once_one_has_it(world) {
        let db = database(&world);
        let users = [user(&db, "mina", "!"), user(&db, "ravi", "!")];
        let linked = at_once(8, |number| {
            link(&db, &identity(users[number % 2], "https://a.example", "s1")).is_ok()
        });
        assert_eq!(linked.into_iter().filter(|linked| *linked).count(), 1);
    }

    fn the_last_way_to_log_in_is_not_unlinked(world) {
        let db = database(&world);
        let users = [("mina", "!", true), ("ravi", "", true), ("john", "$2b$x", false)];
        for (name, password, last) in users {
            let user = user(&db, name, password);
            let [first, second] = ["1", "2"].map(|number| {
                let identity = identity(user, "https://a.example", &format!("{name}-{number}"));
                link(&db, &identity).unwrap();
                identity
            });
            assert_eq!(unlink(&db, UserId(user.0 + 1), &first.id), Unlinking::Unknown);
            assert_eq!(unlink(&db, user, &IdentityId::new(NOW)), Unlinking::Unknown);
            assert_eq!(unlink(&db, user, &first.id), Unlinking::Unlinked(first.clone()));
            let expected =
                if last { Unlinking::LastLoginMethod } else { Unlinking::Unlinked(second.clone()) };
            assert_eq!(unlink(&db, user, &second.id), expected, "{name}");
            assert_eq!(owner(&db, &second.key).is_some(), last);
        }
    }

    fn of_the_last_two_identities_concurrent_requests_leave_one(world) {
        let db = database(&world);
        for round in 0..10 {
            let user = user(&db, &format!("user{round}"), "!");
            let both = ["a", "b"].map(|subject| {
                let identity = identity(user, "https://a.example", &format!("{round}{subject}"));
                link(&db, &identity).unwrap();
                identity.id
            });
            let outcomes = at_once(2, |number| unlink(&db, user, &both[number]));
            let unlinked = outcomes.iter().filter(|it| matches!(it, Unlinking::Unlinked(_)));
            assert_eq!(unlinked.count(), 1, "{outcomes:?}");
        }
    }

    fn identities_go_with_their_user_and_are_free_again(world) {
        let db = database(&world);
        let (mina, ravi) = (user(&db, "mina", "!"), user(&db, "ravi", "!"));
        let key = identity(mina, "https://a.example", "s1");
        link(&db, &key).unwrap();
        assert!(db.write(move |conn| delete_user(conn, mina)).unwrap());
        assert_eq!(owner(&db, &key.key), None);
        link(&db, &identity(ravi, "https://a.example", "s1")).unwrap();
        let gone = link(&db, &identity(mina, "https://a.example", "s2"));
        assert!(gone.is_err(), "an identity of no user");
    }

    fn an_import_finds_the_owners_of_identities_and_links_none_twice(world) {
        let db = database(&world);
        let (mina, ravi) = (user(&db, "mina", "!"), user(&db, "ravi", "!"));
        let of_mina = identity(mina, "https://a.example", "s1");
        link(&db, &of_mina).unwrap();
        let all = ["s1", "s2"].map(|subject| identity(ravi, "https://a.example", subject));
        let keys = all.each_ref().map(|identity| identity.key.clone());
        let owners = db.read(|conn| identities::find_owners(conn, &keys)).unwrap();
        assert_eq!(owners.into_iter().collect::<Vec<_>>(), [(of_mina.key.clone(), mina)]);
        let linked = db.write(move |conn| identities::insert_all(conn, &all));
        assert!(matches!(linked, Err(Error::Duplicate(Unique::Identity))), "{linked:?}");
        assert_eq!(keys.map(|key| owner(&db, &key)), [Some(mina), None]);
    }
}
