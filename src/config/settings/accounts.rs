//! Settings of passwords, verification of e-mail addresses and security notices.

use super::setting::{Setting, setting};

/// Passwords, verification of e-mail addresses and security notices.
pub(super) const ACCOUNTS: &[Setting] = &[
    setting(
        "HALLPASS_PASSWORD_MIN_LENGTH",
        "8",
        "Minimum length of a new password in characters, 8 to 64. 15 is recommended.",
    ),
    setting(
        "HALLPASS_PASSWORD_MAX_LENGTH",
        "256",
        "Maximum length of a new password in characters, 64 to 256.",
    ),
    setting(
        "HALLPASS_BREACHED_PASSWORDS_URL",
        "",
        "URL of a service that knows breached passwords, with the range API of Have I Been Pwned, which receives 5 digits of a digest: https://api.pwnedpasswords.com/range. Not set: new passwords are not looked up.",
    ),
    setting(
        "HALLPASS_BREACHED_PASSWORDS_TIMEOUT",
        "1s",
        "Time-out of that look-up, 100ms to 5s. Without an answer the password is accepted and a warning logged.",
    ),
    setting(
        "HALLPASS_BCRYPT_COST",
        "12",
        "Cost of password hashes, 10 to 16 (4 to 16 in development).",
    ),
    setting(
        "HALLPASS_EMAIL_VERIFICATION",
        "mandatory",
        "mandatory: no account before the e-mail address is verified. optional: create the account immediately; `email_verified` in the token stays false until the address is verified. none: no verification mail.",
    ),
    setting(
        "HALLPASS_REGISTRATION",
        "open",
        "open: all may register. invited: POST /v1/register has the same response, but only users whom staff invited get a mail. closed: it is refused. Invited users can always choose their password. A social log-in creates accounts only with open.",
    ),
    setting(
        "HALLPASS_EMAIL_DOMAINS_ALLOWED",
        "",
        "Domains of the addresses that users may register and change to, separated by commas: example.com, *.example.org (all below it). Not set: all. Staff may invite others.",
    ),
    setting(
        "HALLPASS_EMAIL_DOMAINS_DENIED",
        "",
        "Domains of addresses that users may not register or change to, in the same form. They override the allowed ones.",
    ),
    setting(
        "HALLPASS_VERIFY_EMAIL_PROOF",
        "required",
        "required: the mail's link needs the registration token or the password as well. link: the link is enough, unless an identity is linked to the account.",
    ),
    setting(
        "HALLPASS_VERIFY_EMAIL_URL",
        "",
        "Page of your front end for the link of the verification mail, with {token}; of an app: myapp://verify/{token}. Not set: the built-in page.",
    ),
    setting(
        "HALLPASS_PASSWORD_RESET_URL",
        "",
        "Page of your front end for the link of the reset mail and of invitations, with {token}. Not set: the built-in page.",
    ),
    setting(
        "HALLPASS_NOT_ME_URL",
        "",
        "Page of your front end for the \"this was not me\" link of security notices, with {token}. Not set: the built-in page.",
    ),
    setting(
        "HALLPASS_SECURITY_NOTICES",
        "on",
        "on or off: mail about log-ins on new devices, changes of the password and the e-mail address, and stolen tokens. off: owners cannot revert a change of the address.",
    ),
    setting(
        "HALLPASS_REAUTH_WINDOW",
        "5m",
        "Age up to which a log-in replaces the password when the password or the e-mail address is changed or the account deleted, 0s to 15m.",
    ),
];
