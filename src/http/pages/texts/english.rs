//! Texts of the pages in English.

use super::{NotMe, PasswordReset, Texts, VerifyEmail};

pub(super) static TEXTS: Texts = Texts {
    invalid_link: "This link is not valid. Please open the link of the newest mail.",
    try_again: "That did not work just now. Please try again in a moment.",
    verify_email: VerifyEmail {
        done: "Your e-mail address is verified. You can log in now.",
        expired: "This link has expired. Please register again.",
        wrong_password: "That is not the password.",
        password: "The password of your account",
        submit: "Verify my e-mail address",
    },
    password_reset: PasswordReset {
        done: "Your new password is set. You can now log in.",
        expired: "This link has expired. Please ask for a new one.",
        too_short: "The password needs at least {min_length} characters.",
        too_long: "The password is too long.",
        too_common: "This password is among those that attackers try first. Please choose another.",
        breached: "This password has appeared in a data breach. Please choose another.",
        too_similar: "The password contains your own address or name. Please choose another.",
        password: "New password",
        submit: "Set my password",
    },
    not_me: NotMe {
        done: "Every session of your account has been ended. A mail to choose a new password is \
               on its way to you.",
        expired: "This link has expired. To protect your account, reset your password.",
        explanation: "If that was not you, end every session of your account here. We then send \
                      you a mail to choose a new password.",
        submit: "This was not me",
    },
};
