//! Errors of the database.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::store::engine::health::is_of_prepared_statement;

/// The result of a function of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// Unique columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// The user name of an account.
    Username,
    /// The e-mail address of an account.
    Email,
    /// Issuer and subject of an identity at another service.
    Identity,
    /// A generated key.
    Other,
}

impl Unique {
    fn of(subject: &str) -> Self {
        match subject {
            subject if subject.contains("username_norm") => Self::Username,
            subject if subject.contains("email_norm") => Self::Email,
            subject if subject.contains("identities_by_subject") => Self::Identity,
            subject if subject.contains("identities.subject") => Self::Identity,
            _ => Self::Other,
        }
    }
}

/// A failed statement. A missing row is not an error: look-ups return `Option`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A row with the same unique value exists.
    #[error("a unique value exists already: {0:?}")]
    Duplicate(Unique),
    /// The database does not respond, is locked, full or shutting down. A retry may succeed.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The database responds, and refuses the statement for now, for example because of a lock.
    #[error("the database is busy: {0}")]
    Locked(String),
    /// The database accepts no writes, for example on a standby.
    #[error("the database is read-only: {0}")]
    ReadOnly(String),
    /// The database is not suitable for Hallpass.
    #[error("{0}")]
    Unsuitable(String),
    /// A fault in Hallpass or in the data.
    #[error("the database refused a statement: {0}")]
    Internal(String),
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                // Postgres names the constraint, SQLite the column; both contain the name of the
                // column.
                Self::Duplicate(Unique::of(info.constraint_name().unwrap_or(info.message())))
            }
            // A statement that Postgres or SQLite cannot execute for an external reason is reported
            // as `Unknown`: locked, disk full, read-only, cancelled, shutting down.
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::Unknown,
                info,
            ) => Self::Unavailable(with_advice(info.message())),
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, info) => {
                Self::ReadOnly(info.message().to_owned())
            }
            DieselError::BrokenTransactionManager
            | DieselError::RollbackErrorOnCommit { .. }
            | DieselError::AlreadyInTransaction => Self::Unavailable(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// Joins the lines of libpq, so that a log has one line for each error.
fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn with_advice(message: &str) -> String {
    let message = in_one_line(message);
    if is_of_prepared_statement(&message) {
        return format!(
            "{message}: behind a pooler in transaction mode set \
             HALLPASS_DATABASE_PREPARED_STATEMENTS=off"
        );
    }
    message
}

/// Prefix of the text of [`Error::Unavailable`].
const UNAVAILABLE: &str = "the database is not available: ";

impl Error {
    /// Returns [`Self::Unavailable`] with the text of `cause`, which may have the prefix already.
    pub(super) fn unavailable(cause: &impl std::fmt::Display) -> Self {
        Self::Unavailable(cause.to_string().replace(UNAVAILABLE, ""))
    }
}

impl From<r2d2::Error> for Error {
    fn from(error: r2d2::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<diesel::ConnectionError> for Error {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::Unavailable(in_one_line(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_within_another_has_its_prefix_once() {
        let locked = Error::Unavailable("database is locked".to_owned());
        let text = Error::unavailable(&format!("timed out: {locked}")).to_string();
        assert_eq!(text, "the database is not available: timed out: database is locked");
    }

    #[test]
    fn several_lines_of_libpq_become_one() {
        let text =
            "connection to server at \"a\" failed: refused\n\tIs it running?\nat \"b\": no\n";
        let error = Error::from(diesel::ConnectionError::BadConnection(text.to_owned()));
        assert_eq!(
            error.to_string(),
            "the database is not available: connection to server at \"a\" failed: refused; \
             Is it running?; at \"b\": no"
        );
    }
}
