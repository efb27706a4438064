//! What an import would do, found out without doing it.

use std::collections::{HashMap, HashSet};

use super::report::{Collision, Conflict, ImportChoices, LeftBehind, Place, Shared};
use crate::domain::{
    Email, IdentityId, IdentityKey, LinkedIdentity, Locale, Metadata, PasswordHash, Roles, User,
    UserId, Username, UtcTime, trim_typed,
};
use crate::social::Preset;
use crate::store::django_source::{DjangoAccounts, DjangoAddress, DjangoSocialAccount, DjangoUser};
use crate::store::import::Present;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// Accounts to be made.
    pub(super) new: Vec<User>,
    /// Their identities at other services.
    pub(super) identities: Vec<LinkedIdentity>,
    pub(super) already_here: usize,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) without_shared_email: Vec<UserId>,
    pub(super) further_emails: usize,
    pub(super) address_as_username: Vec<UserId>,
    pub(super) unusable_usernames: Vec<UserId>,
    pub(super) left_behind: LeftBehind,
}

/// The most characters of a name at a log-in.
const LONGEST_LOGIN_NAME: usize = 254;

pub(super) fn make(
    accounts: DjangoAccounts,
    present: &Present,
    choices: ImportChoices,
    now: UtcTime,
) -> Plan {
    let mut addresses: HashMap<i64, Vec<DjangoAddress>> = HashMap::new();
    for address in accounts.addresses.into_iter().flatten() {
        addresses.entry(address.user_id).or_default().push(address);
    }
    let found = accounts.users.len();
    let mut new: Vec<User> = Vec::new();
    let mut rows: Vec<usize> = Vec::new();
    let mut further_emails = 0;
    for django in accounts.users.into_iter().filter(|django| !is_here(django, present)) {
        rows.push(django.row);
        let own = addresses.remove(&django.id).unwrap_or_default();
        let user = account(django, &own, now);
        let kept = user.email.as_ref().map(Email::normalised);
        further_emails +=
            own.iter().filter(|it| Some(Email::known(&it.email).normalised()) != kept).count();
        new.push(user);
    }
    let already_here = found - new.len();
    let without_shared_email =
        if choices.drop_shared_emails { drop_shared_emails(&mut new, present) } else { Vec::new() };
    let address_as_username = foreign_addresses(&mut new, present);
    let unusable_usernames = unusable_usernames(&new);
    let conflicts = find_conflicts(&new, &rows, present);
    let left_behind = LeftBehind::of(&new, &accounts.extras);
    let colliding: HashSet<UserId> = conflicts.iter().map(|conflict| conflict.id).collect();
    new.retain(|user| !colliding.contains(&user.id));
    let identities = identities(&new, &accounts.extras.social, now);
    Plan {
        new,
        identities,
        already_here,
        conflicts,
        without_shared_email,
        further_emails,
        address_as_username,
        unusable_usernames,
        left_behind,
    }
}

/// The identities of new accounts whose issuer is known.
fn identities(new: &[User], social: &[DjangoSocialAccount], now: UtcTime) -> Vec<LinkedIdentity> {
    let new: HashSet<UserId> = new.iter().map(|user| user.id).collect();
    let identity = |account: &DjangoSocialAccount| {
        let issuer = Preset::issuer_of_allauth(&account.provider)?;
        Some(LinkedIdentity {
            id: IdentityId::new(now),
            user_id: UserId(account.user_id),
            provider: account.provider.clone(),
            key: IdentityKey::new(issuer, &account.uid)?,
            email: None,
            created_at: now,
            last_used_at: None,
        })
    };
    let own = social.iter().filter(|account| new.contains(&UserId(account.user_id)));
    own.filter_map(identity).collect()
}

/// Returns whether this account came over before. Name and address may have changed since; the time at which
/// it was made does not.
fn is_here(django: &DjangoUser, present: &Present) -> bool {
    present.accounts.get(&UserId(django.id)).is_some_and(|(name, created_at)| {
        *name == Username::normalise(&django.username) || *created_at == django.date_joined
    })
}

fn account(django: DjangoUser, addresses: &[DjangoAddress], now: UtcTime) -> User {
    let (email, email_verified) = address(&django.email, addresses);
    User {
        id: UserId(django.id),
        username: Username::known(&django.username),
        email,
        email_verified,
        password_hash: PasswordHash::stored(django.password),
        is_active: django.is_active,
        is_staff: django.is_staff,
        is_superuser: django.is_superuser,
        locale: Locale::default(),
        created_at: django.date_joined,
        updated_at: now,
        last_login_at: django.last_login,
        metadata: Metadata::default(),
        disabled_reason: None,
        // The site's own tokens go on.
        tokens_from: UtcTime::from_micros(0),
        rights_changed_at: UtcTime::from_micros(0),
        roles: Roles::default(),
        app_metadata: Metadata::default(),
        disabled_until: None,
    }
}

/// The one address that an account has here, and whether it was proven: the primary one, else the one
/// in the table of accounts, which can be proven by allauth's word only.
fn address(own: &str, known: &[DjangoAddress]) -> (Option<Email>, bool) {
    if let Some(primary) = known.iter().find(|it| it.is_primary && !it.email.trim().is_empty()) {
        return (Some(Email::known(primary.email.trim())), primary.verified);
    }
    let own = own.trim();
    if own.is_empty() {
        return (None, false);
    }
    let own = Email::known(own);
    let is_own = |it: &&DjangoAddress| Email::known(&it.email).normalised() == own.normalised();
    let verified = known.iter().filter(is_own).any(|it| it.verified);
    (Some(own), verified)
}

/// Leaves each address with one account at the most: with the one that has it in Hallpass, else with
/// the only one that has proven it. Returns who comes without.
fn drop_shared_emails(new: &mut [User], present: &Present) -> Vec<UserId> {
    let mut owners: HashMap<String, Vec<(UserId, bool)>> = HashMap::new();
    for user in new.iter() {
        if let Some(email) = &user.email {
            let owner = (user.id, user.email_verified);
            owners.entry(email.normalised().to_owned()).or_default().push(owner);
        }
    }
    let keeps = |user: &User, address: &str| {
        let owners = owners.get(address).map_or(&[][..], Vec::as_slice);
        let others_proved = owners.iter().any(|(id, proved)| *id != user.id && *proved);
        let only_proof = user.email_verified && !others_proved;
        !present.addresses.contains_key(address) && (owners.len() == 1 || only_proof)
    };
    let mut without = Vec::new();
    for user in new.iter_mut() {
        let keeps_it = user.email.as_ref().is_none_or(|email| keeps(user, email.normalised()));
        if !keeps_it {
            user.email = None;
            user.email_verified = false;
            without.push(user.id);
        }
    }
    without
}

/// Returns the accounts whose user name is an e-mail address other than their own. The owner of such an
/// address gets it by verifying it. Where another account has it already, the user name gives way to one made
/// of the user id.
fn foreign_addresses(new: &mut [User], present: &Present) -> Vec<UserId> {
    let verified: HashMap<String, UserId> = new
        .iter()
        .filter(|user| user.email_verified)
        .filter_map(|user| Some((user.email.as_ref()?.normalised().to_owned(), user.id)))
        .collect();
    let mut found = Vec::new();
    for user in new.iter_mut() {
        let Some(named) = user.username.named_address() else { continue };
        if user.email.as_ref().is_some_and(|own| own.normalised() == named.normalised()) {
            continue;
        }
        found.push(user.id);
        let owner = verified.get(named.normalised()).or(present.addresses.get(named.normalised()));
        if owner.is_some_and(|id| *id != user.id) {
            user.username = Username::known(&format!("user-{}", user.id));
        }
    }
    found
}

/// Returns the accounts whose user name no log-in can name: it is empty, too long, or has blanks or
/// invisible characters at an edge.
fn unusable_usernames(new: &[User]) -> Vec<UserId> {
    let is_unusable = |name: &str| {
        name.is_empty() || trim_typed(name) != name || name.chars().count() > LONGEST_LOGIN_NAME
    };
    new.iter().filter(|user| is_unusable(user.username.as_str())).map(|user| user.id).collect()
}

/// Returns, for each account whose number several rows have, its own row and another one.
fn shared_ids(new: &[User], rows: &[usize]) -> Vec<Option<Shared>> {
    let mut first: HashMap<UserId, usize> = HashMap::new();
    let mut second: HashMap<UserId, usize> = HashMap::new();
    for (user, row) in new.iter().zip(rows) {
        if *first.entry(user.id).or_insert(*row) != *row {
            second.entry(user.id).or_insert(*row);
        }
    }
    let shared = |(user, row): (&User, &usize)| {
        let (first, second) = (first.get(&user.id)?, second.get(&user.id)?);
        let other = if row == first { *second } else { *first };
        Some(Shared::Id { row: *row, other })
    };
    new.iter().zip(rows).map(shared).collect()
}

fn find_conflicts(new: &[User], rows: &[usize], present: &Present) -> Vec<Conflict> {
    let mut names: HashMap<&str, Vec<UserId>> = HashMap::new();
    let mut addresses: HashMap<&str, Vec<UserId>> = HashMap::new();
    for user in new {
        names.entry(user.username.normalised()).or_default().push(user.id);
        if let Some(email) = &user.email {
            addresses.entry(email.normalised()).or_default().push(user.id);
        }
    }
    let others = |user: &User, owners: Option<&Vec<UserId>>| -> Vec<UserId> {
        owners.into_iter().flatten().copied().filter(|id| *id != user.id).collect()
    };
    let mut conflicts = Vec::new();
    for (user, shared_id) in new.iter().zip(shared_ids(new, rows)) {
        let (name, email) = (user.username.normalised(), user.email.as_ref());
        let mut collisions = Vec::new();
        let mut collide = |shared, place, others: Vec<UserId>| {
            if !others.is_empty() {
                collisions.push(Collision { shared, place, others });
            }
        };
        let same_number = present.accounts.contains_key(&user.id).then_some(user.id);
        collide(Shared::Number, Place::Hallpass, same_number.into_iter().collect());
        if let Some(shared) = shared_id {
            collide(shared, Place::Django, vec![user.id]);
        }
        collide(Shared::Name, Place::Django, others(user, names.get(name)));
        collide(
            Shared::Name,
            Place::Hallpass,
            present.names.get(name).copied().into_iter().collect(),
        );
        if let Some(email) = email {
            let norm = email.normalised();
            let shared = || Shared::Address(email.as_str().to_owned());
            collide(shared(), Place::Django, others(user, addresses.get(norm)));
            let owner = present.addresses.get(norm).copied();
            collide(shared(), Place::Hallpass, owner.into_iter().collect());
        }
        if !collisions.is_empty() {
            let username = user.username.as_str().to_owned();
            conflicts.push(Conflict { id: user.id, username, collisions });
        }
    }
    conflicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::django_source::DjangoExtras;

    const NOW: UtcTime = UtcTime::from_seconds(1_700_000_000);

    fn django(id: i64, username: &str, email: &str) -> DjangoUser {
        DjangoUser {
            row: usize::try_from(id).unwrap(),
            id,
            username: username.to_owned(),
            email: email.to_owned(),
            password: "!".to_owned(),
            is_active: true,
            is_staff: false,
            is_superuser: false,
            date_joined: UtcTime::from_seconds(id),
            last_login: None,
        }
    }

    fn known(user_id: i64, email: &str, verified: bool, is_primary: bool) -> DjangoAddress {
        DjangoAddress { user_id, email: email.to_owned(), verified, is_primary }
    }

    fn planned(users: Vec<DjangoUser>, addresses: Vec<DjangoAddress>, present: &Present) -> Plan {
        let accounts = DjangoAccounts {
            table: String::new(),
            users,
            addresses: Some(addresses),
            extras: DjangoExtras::default(),
        };
        let choices = ImportChoices { drop_shared_emails: true, ..ImportChoices::default() };
        make(accounts, present, choices, NOW)
    }

    fn addresses(plan: &Plan) -> Vec<(i64, &str, bool)> {
        plan.new.iter().map(|it| (it.id.0, it.email_text(), it.email_verified)).collect()
    }

    #[test]
    fn the_primary_address_counts_else_the_one_of_the_account() {
        let users = vec![
            django(1, "a", "a@old.example"),
            django(2, "b", "B@example.com"),
            django(3, "c", " "),
            django(4, "d", "d@example.com"),
        ];
        let known = vec![
            known(1, "a@old.example", true, false),
            known(1, "a@new.example", false, true),
            known(2, "b@Example.com", true, false),
            known(3, "c@example.com", true, false),
            known(4, "other@example.com", true, false),
        ];
        let plan = planned(users, known, &Present::default());
        let expected = [
            (1, "a@new.example", false),
            (2, "B@example.com", true),
            (3, "", false),
            (4, "d@example.com", false),
        ];
        assert_eq!(addresses(&plan), expected);
        assert_eq!(plan.further_emails, 3);
    }

    #[test]
    fn a_shared_address_stays_with_the_only_one_who_proved_it() {
        let users = (1..=8).map(|id| {
            let address = ["one", "two", "three", "four"][usize::try_from((id - 1) / 2).unwrap()];
            django(id, &format!("user{id}"), &format!("{address}@example.com"))
        });
        let proofs = [1, 3, 4, 7].map(|id| {
            let address = ["one", "two", "three", "four"][usize::try_from((id - 1) / 2).unwrap()];
            known(id, &format!("{address}@example.com"), true, true)
        });
        // Whoever is here already has it, proven or not.
        let mut present = Present::default();
        present.addresses.insert("four@example.com".to_owned(), UserId(99));
        let plan = planned(users.collect(), proofs.into(), &present);
        assert!(plan.conflicts.is_empty());
        let kept: Vec<_> =
            addresses(&plan).into_iter().filter(|(_, address, _)| !address.is_empty()).collect();
        assert_eq!(kept, [(1, "one@example.com", true)]);
        assert_eq!(plan.without_shared_email, [2, 3, 4, 5, 6, 7, 8].map(UserId));
    }

    #[test]
    fn user_names_that_are_addresses_or_no_use_are_listed() {
        let long = "n".repeat(400);
        let names = [
            "\u{ff4f}\u{ff57}\u{ff4e}\u{ff45}\u{ff52}5@example.com",
            "owner6\u{ff20}example.com",
            "\u{212a}elvin@example.com",
            " edge",
            "edge ",
            "\u{feff}edge",
            "",
            &long,
            "plain",
        ];
        let users = (1_i64..).zip(names).map(|(id, name)| django(id, name, "")).collect();
        let plan = planned(users, Vec::new(), &Present::default());
        assert_eq!(plan.address_as_username, [1, 2, 3].map(UserId));
        assert_eq!(plan.unusable_usernames, [4, 5, 6, 7, 8].map(UserId));
    }

    #[test]
    fn rows_with_the_same_id_collide() {
        let at = |row: usize, id: i64, name: &str| DjangoUser { row, ..django(id, name, "") };
        let users = vec![at(9, 1, "a"), at(3, 7, "b"), at(1, 7, "c"), at(5, 7, "c"), at(2, 8, "d")];
        let plan = planned(users, Vec::new(), &Present::default());
        let shared = plan.conflicts.iter().map(|it| &it.collisions[0].shared);
        let expected = [(3, 1), (1, 3), (5, 3)].map(|(row, other)| Shared::Id { row, other });
        assert_eq!(shared.collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        assert_eq!(plan.new.iter().map(|it| it.id.0).collect::<Vec<_>>(), [1, 8]);
    }

    #[test]
    fn an_account_is_known_again_by_name_or_by_the_time_it_was_made() {
        let mut present = Present::default();
        for (id, name, seconds) in [(1, "renamed", 1), (2, "b", 77), (3, "somebody", 77)] {
            let made = UtcTime::from_seconds(seconds);
            present.accounts.insert(UserId(id), (name.to_owned(), made));
        }
        let users = vec![django(1, "a", ""), django(2, "B", ""), django(3, "c", "")];
        let plan = planned(users, Vec::new(), &present);
        assert_eq!(plan.already_here, 2);
        let collisions: Vec<_> = plan.conflicts.iter().map(|it| it.id.0).collect();
        assert_eq!(collisions, [3]);
        assert!(plan.new.is_empty());
    }
}
