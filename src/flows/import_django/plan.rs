//! Plan of an import, made without writing.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use super::report::{Collision, Conflict, ImportChoices, LeftBehind, Place, Shared};
use crate::domain::{
    Email, IdentityId, IdentityKey, LinkedIdentity, Locale, Metadata, PasswordHash, Roles, User,
    UserId, Username, UtcTime, trim_typed,
};
use crate::store::django_source::{DjangoAccounts, DjangoAddress, DjangoSocialAccount, DjangoUser};
use crate::store::import::Present;

/// The rows that an import would write.
#[derive(Debug)]
pub(super) struct Plan {
    /// Accounts to create.
    pub(super) new: Vec<User>,
    /// Identities of these accounts at other services.
    pub(super) identities: Vec<LinkedIdentity>,
    pub(super) already_here: usize,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) without_shared_email: Vec<UserId>,
    pub(super) further_emails: usize,
    pub(super) address_as_username: Vec<UserId>,
    pub(super) unusable_usernames: Vec<UserId>,
    pub(super) left_behind: LeftBehind,
}

/// Longest name that a log-in accepts, in characters.
const LONGEST_LOGIN_NAME: usize = 254;

pub(super) fn make(
    accounts: DjangoAccounts,
    present: &Present,
    choices: &ImportChoices,
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
            own.iter().filter(|it| Some(Email::unchecked(&it.email).normalised()) != kept).count();
        new.push(user);
    }
    let already_here = found - new.len();
    let without_shared_email =
        if choices.drop_shared_emails { drop_shared_emails(&mut new, present) } else { Vec::new() };
    let address_as_username = foreign_addresses(&mut new, present);
    let unusable_usernames = unusable_usernames(&new);
    let identities = identities(&accounts.extras.social, choices, now);
    let conflicts = find_conflicts(&new, &rows, &identities, present);
    let left_behind = LeftBehind::of(&new, &accounts.extras, choices);
    let colliding: HashSet<UserId> = conflicts.iter().map(|conflict| conflict.id).collect();
    new.retain(|user| !colliding.contains(&user.id));
    let kept: HashSet<UserId> = new.iter().map(|user| user.id).collect();
    let identities =
        identities.into_iter().filter(|identity| kept.contains(&identity.user_id)).collect();
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

/// Returns the identities at known issuers, each once for each of its owners: two providers of
/// django-allauth may be one issuer.
fn identities(
    social: &[DjangoSocialAccount],
    choices: &ImportChoices,
    now: UtcTime,
) -> Vec<LinkedIdentity> {
    let mut seen = HashSet::new();
    let identity = |account: &DjangoSocialAccount| {
        let key = choices.key_of(account)?;
        Some(LinkedIdentity {
            id: IdentityId::new(now),
            user_id: UserId(account.user_id),
            provider: account.provider.clone(),
            key,
            email: None,
            created_at: now,
            last_used_at: None,
        })
    };
    let is_first = |it: &LinkedIdentity| seen.insert((it.user_id, it.key.clone()));
    social.iter().filter_map(identity).filter(is_first).collect()
}

/// Returns whether the stored password is Django's mark for an unusable password.
pub(super) fn has_no_password(user: &User) -> bool {
    let hash = user.password_hash.expose();
    hash.is_empty() || hash.starts_with('!')
}

/// Returns whether an earlier import created this account. User name and address may have changed
/// since; the time of creation does not.
fn is_here(django: &DjangoUser, present: &Present) -> bool {
    present.accounts.get(&UserId(django.id)).is_some_and(|(name, created_at)| {
        *name == Username::normalise(&django.username) || *created_at == django.date_joined
    })
}

fn account(django: DjangoUser, addresses: &[DjangoAddress], now: UtcTime) -> User {
    let (email, email_verified) = address(&django.email, addresses);
    User {
        id: UserId(django.id),
        username: Username::unchecked(&django.username),
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
        tokens_from: generation_of_import(now),
        rights_changed_at: UtcTime::from_micros(0),
        roles: Roles::default(),
        app_metadata: Metadata::default(),
        disabled_until: None,
    }
}

/// Returns the first generation of the tokens of imported accounts. It lies before 1970, so tokens
/// of the Django site stay valid. It differs from that of every other import: an account may have
/// been deleted and be imported again with the same user id.
fn generation_of_import(now: UtcTime) -> UtcTime {
    UtcTime::from_micros(-now.micros())
}

/// Returns the e-mail address of an account, and whether it is verified: the primary one, or else
/// the one in the table of accounts, which only allauth can mark as verified.
fn address(own: &str, known: &[DjangoAddress]) -> (Option<Email>, bool) {
    if let Some(primary) = known.iter().find(|it| it.is_primary && !it.email.trim().is_empty()) {
        return (Some(Email::unchecked(primary.email.trim())), primary.verified);
    }
    let own = own.trim();
    if own.is_empty() {
        return (None, false);
    }
    let own = Email::unchecked(own);
    let is_own = |it: &&DjangoAddress| Email::unchecked(&it.email).normalised() == own.normalised();
    let verified = known.iter().filter(is_own).any(|it| it.verified);
    (Some(own), verified)
}

/// Leaves each address with at most one account: the one that has it in Hallpass, or else the only
/// one that has verified it. Returns the accounts that lose it.
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

/// Returns the accounts whose user name is an e-mail address other than their own. The owner of
/// such an address gets it by verifying it. If another account already has the address, the user
/// name is replaced by one made of the user id.
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
            user.username = Username::unchecked(&format!("{}{}", Username::PLACEHOLDER, user.id));
        }
    }
    found
}

/// Returns the accounts whose user name cannot be used to log in: it is empty, too long, or has
/// spaces or invisible characters at an end.
fn unusable_usernames(new: &[User]) -> Vec<UserId> {
    let is_unusable = |name: &str| {
        name.is_empty() || trim_typed(name) != name || name.chars().count() > LONGEST_LOGIN_NAME
    };
    new.iter().filter(|user| is_unusable(user.username.as_str())).map(|user| user.id).collect()
}

/// Returns the row of each account and another row with the same user id, if there is one.
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

/// Returns the conflicts about the identities of the site, by user id.
fn shared_identities(
    new: &[User],
    identities: &[LinkedIdentity],
    present: &Present,
) -> HashMap<UserId, Vec<Collision>> {
    let mut owners: HashMap<&IdentityKey, Vec<UserId>> = HashMap::new();
    let mut own: HashMap<UserId, Vec<&LinkedIdentity>> = HashMap::new();
    for identity in identities {
        owners.entry(&identity.key).or_default().push(identity.user_id);
        own.entry(identity.user_id).or_default().push(identity);
    }
    let others = |identity: &LinkedIdentity, owners: &[UserId]| -> Vec<UserId> {
        owners.iter().copied().filter(|id| *id != identity.user_id).collect()
    };
    let in_django = |identity: &LinkedIdentity| others(identity, &owners[&identity.key]);
    let in_hallpass = |identity: &LinkedIdentity| {
        others(identity, present.identities.get(&identity.key).map_or(&[], std::slice::from_ref))
    };
    let is_shared = |identity: &LinkedIdentity| {
        !in_django(identity).is_empty() || !in_hallpass(identity).is_empty()
    };
    let mut shared = HashMap::new();
    for user in new {
        let Some(own) = own.get(&user.id) else { continue };
        let is_only_login = has_no_password(user) && own.iter().all(|it| is_shared(it));
        let mut collisions = Vec::new();
        for identity in own {
            for (place, others) in
                [(Place::Django, in_django(identity)), (Place::Hallpass, in_hallpass(identity))]
            {
                if !others.is_empty() {
                    let provider = identity.provider.clone();
                    let shared = Shared::Identity { provider, is_only_login };
                    collisions.push(Collision { shared, place, others });
                }
            }
        }
        shared.insert(user.id, collisions);
    }
    shared
}

fn find_conflicts(
    new: &[User],
    rows: &[usize],
    identities: &[LinkedIdentity],
    present: &Present,
) -> Vec<Conflict> {
    let mut shared_identities = shared_identities(new, identities, present);
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
        if user.id <= UserId::NONE {
            collide(Shared::Reserved, Place::Hallpass, vec![user.id]);
        }
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
        collisions.extend(shared_identities.remove(&user.id).unwrap_or_default());
        if !collisions.is_empty() {
            let username = user.username.as_str().to_owned();
            conflicts.push(Conflict { id: user.id, username, collisions });
        }
    }
    conflicts
}
