//! Tests of the plan of an import.

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
    make(accounts, present, &choices, NOW)
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
fn a_shared_address_stays_with_the_only_account_that_verified_it() {
    let users = (1..=8).map(|id| {
        let address = ["one", "two", "three", "four"][usize::try_from((id - 1) / 2).unwrap()];
        django(id, &format!("user{id}"), &format!("{address}@example.com"))
    });
    let proofs = [1, 3, 4, 7].map(|id| {
        let address = ["one", "two", "three", "four"][usize::try_from((id - 1) / 2).unwrap()];
        known(id, &format!("{address}@example.com"), true, true)
    });
    // The account that has it in Hallpass keeps it, verified or not.
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
