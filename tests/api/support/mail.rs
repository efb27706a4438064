//! Access to mail in tests.

use hallpass::mail::envelope::Mail;

use super::{World, wait_for};

/// Code and link of a verification mail.
#[derive(Clone, Debug)]
pub struct Proof {
    pub code: String,
    pub link_token: String,
}

impl World {
    /// Returns all mails to that address, as soon as there are `count`.
    pub fn mails_to(&self, person: &str, count: usize) -> Vec<Mail> {
        wait_for("mail", || {
            let mails = self.mails_so_far(person);
            (mails.len() >= count).then_some(mails)
        })
    }

    /// Returns all mails to that address so far.
    pub fn mails_so_far(&self, person: &str) -> Vec<Mail> {
        self.mailbox.all().into_iter().filter(|mail| mail.to == person).collect()
    }

    /// Returns code and link of the `number`th mail to that address, counted from 1.
    pub fn proof(&self, person: &str, number: usize) -> Proof {
        let mail = self.mails_to(person, number).swap_remove(number - 1);
        proof_in(&mail).unwrap_or_else(|| panic!("no proof in the mail \"{}\"", mail.subject))
    }
}

/// Returns code and link of a mail, if it has both.
pub fn proof_in(mail: &Mail) -> Option<Proof> {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    let code = mail.text.lines().map(str::trim).find(is_code)?.to_owned();
    Some(Proof { code, link_token: token_in(mail)? })
}

/// Requests mails until the code of one differs from `first`: two of a million can be equal, five
/// cannot.
#[track_caller]
pub fn with_another_code(first: &Proof, order: impl FnMut(usize) -> Proof) -> Proof {
    let mut mails = (2..7).map(order);
    mails.find(|it| it.code != first.code).expect("codes that differ from mail to mail")
}

/// Returns the token of the mail's link.
#[track_caller]
pub fn link_token(mail: &Mail) -> String {
    token_in(mail).unwrap_or_else(|| panic!("no link in the mail \"{}\"", mail.subject))
}

fn token_in(mail: &Mail) -> Option<String> {
    let (_, rest) = mail.text.split_once("token=")?;
    rest.split_whitespace().next().map(str::to_owned)
}
