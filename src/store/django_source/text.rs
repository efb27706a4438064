//! Texts in the database of a Django site.

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql};
use diesel::sql_types::Text;

use crate::store::{Error, Result};

/// A text, or the reason why it is not valid UTF-8: SQLite stores any bytes.
pub(super) struct Written(pub(super) std::result::Result<String, String>);

impl<DB: Backend> FromSql<Text, DB> for Written
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(<String as FromSql<Text, DB>>::from_sql(bytes).map_err(|error| error.to_string())))
    }
}

/// Returns the text of a column of a row, or the reason why it cannot be imported.
pub(super) fn text(
    value: Option<Written>,
    table: &str,
    place: &str,
    column: &str,
) -> Result<Option<String>> {
    let refuse = |cause: &str| Err(Error::Unsuitable(format!("{table}: {place} {cause}")));
    match value {
        Some(Written(Err(cause))) => refuse(&format!("has a {column} that is no text: {cause}")),
        Some(Written(Ok(text))) if text.contains('\0') => {
            refuse(&format!("has a NUL character in its {column}"))
        }
        Some(Written(Ok(text))) => Ok(Some(text)),
        None => Ok(None),
    }
}
