//! Tables of second factors, recognised by the names that packages and sites give them and by the
//! columns of django-otp's devices. If one is overlooked, its accounts can log in with the password
//! alone. A table that is recognised wrongly is only reported to the operator.

use super::catalog::{Catalog, quoted};

/// Parts of the names of tables of second factors, anywhere in a name without underscores.
const PARTS: [&str; 18] = [
    "totp",
    "u2f",
    "webauthn",
    "fido",
    "passkey",
    "authenticator",
    "securitykey",
    "twofactor",
    "secondfactor",
    "multifactor",
    "2fa",
    "yubikey",
    "onetimepassword",
    "mfamethod",
    "phonedevice",
    "backupcode",
    "recoverycode",
    "kagi",
];
/// Parts that other words contain too ("footprint", "roomfacility"): they count at an edge of a
/// word.
const PARTS_AT_EDGES: [&str; 2] = ["otp", "mfa"];
/// Columns that tell a second factor from a device that receives notifications.
const SECRETS: [&str; 8] = [
    "confirmed",
    "secret",
    "secret_key",
    "key",
    "credential_id",
    "public_key",
    "key_handle",
    "sign_count",
];
/// Columns of every kind of device of django-otp (`Device`), in an app of any name.
const OTP_DEVICE: [&str; 2] = ["name", "confirmed"];
/// Columns that say whether a second factor is in use.
const MARKS: [&str; 4] = ["confirmed", "is_active", "enabled", "is_enabled"];

/// A table of second factors.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SecondFactors<'a> {
    pub(super) table: &'a str,
    /// The column that names the user.
    pub(super) owner: Owner<'a>,
    /// The condition for a second factor that is in use.
    pub(super) condition: String,
}

/// A reference to a user.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    /// A reference by the primary key.
    Key(&'a str),
    /// A reference by the user name, in a column of that name.
    Username,
    /// A reference by a column that is not recognised.
    Unknown,
}

/// Returns the tables of second factors of the users of the table `users`.
pub(super) fn find<'a>(
    catalog: &'a Catalog,
    users: &'a str,
) -> impl Iterator<Item = SecondFactors<'a>> {
    let tables = catalog.tables().filter(move |table| *table != users);
    tables.filter_map(move |table| {
        let has = |column: &str| catalog.has_column(table, column);
        // django-simple-history keeps former states in such tables.
        if has("history_id") {
            return None;
        }
        let is_device = OTP_DEVICE.iter().all(|it| has(it));
        let has_secret = SECRETS.iter().any(|it| has(it));
        let keeps_a_secret = table.ends_with("device") && has_secret;
        if !(is_device || is_named_so(table) || keeps_a_secret) {
            return None;
        }
        let owner = match catalog.user_column(table, users) {
            Some(column) => Owner::Key(column),
            None if has("username") => Owner::Username,
            // Rows of another such table, such as the static tokens of a device.
            None if catalog.is_view(table) || catalog.references(table).any(is_named_so) => {
                return None;
            }
            None if is_named_so(table) => Owner::Unknown,
            None => return None,
        };
        // As text: sites have numbers and letters here as well.
        let condition = MARKS.into_iter().find(|it| has(it)).map_or("TRUE".to_owned(), |mark| {
            let mark = quoted(mark);
            format!("lower(COALESCE(CAST({mark} AS TEXT), 'true')) NOT IN ('0', 'f', 'false')")
        });
        Some(SecondFactors { table, owner, condition })
    })
}

fn is_named_so(table: &str) -> bool {
    let joined = table.to_lowercase().replace('_', "");
    let is_at_edge = |part: &str| {
        let mut words = table.split('_').map(str::to_lowercase);
        words.any(|word| word.starts_with(part) || word.ends_with(part))
    };
    PARTS.iter().any(|part| joined.contains(part)) || PARTS_AT_EDGES.into_iter().any(is_at_edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(table: &str, columns: &[&str]) -> bool {
        find(&Catalog::of_table(table, columns), "auth_user").next().is_some()
    }

    #[test]
    fn second_factors_of_many_packages_are_found() {
        for table in [
            "mfa_authenticator",
            "mfa_mfakey",
            "mfa_userkey",
            "mfa_userotp",
            "mfa_u2fkey",
            "otp_totp_totpdevice",
            "otp_static_staticdevice",
            "otp_yubikey_remoteyubikeydevice",
            "two_factor_phonedevice",
            "two_factor_webauthndevice",
            "phonenumber_phonedevice",
            "trench_mfamethod",
            "multifactor_userkey",
            "django_mfa_userotp",
            "kagi_totpdevice",
            "kagi_backupcode",
            "u2f_u2fkey",
            "django_otp_webauthn_webauthncredential",
            "deux_multifactorauth",
            "django_fido_authenticator",
            "django_security_keys_securitykey",
            "passkeys_userpasskey",
            "auth_authenticator",
            "pretixbase_u2fdevice",
            "accounts_two_factor_setting",
            "users_usertotp",
            "core_user2fa",
            "accounts_AuthenticatorApp",
        ] {
            assert!(is_found(table, &["id", "user_id"]), "{table}");
            assert!(is_found(table, &["id", "username"]), "{table}");
            assert!(is_found(table, &["id", "profile_id"]), "{table}");
            assert!(!is_found(table, &["history_id", "id", "user_id"]), "{table}");
        }
        assert!(is_found("tickets_gate", &["id", "user_id", "name", "confirmed", "throttling"]));
        assert!(is_found("accounts_trusteddevice", &["id", "user_id", "secret_key"]));
    }

    #[test]
    fn other_tables_with_users_are_not() {
        for table in [
            "fcm_django_fcmdevice",
            "push_notifications_gcmdevice",
            "blog_footprint",
            "hotel_roomfacility",
            "auth_user_groups",
            "account_emailaddress",
            "authtoken_token",
            "sessions_hotplace",
        ] {
            assert!(!is_found(table, &["id", "user_id", "name", "active"]), "{table}");
        }
        assert!(!is_found("shop_order", &["id", "user_id", "confirmed"]));
    }
}
