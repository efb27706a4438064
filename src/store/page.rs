//! Pages of a list, read by key.

/// Some items of a list, in the order of the ids of their rows.
#[derive(Debug)]
pub struct Page<T> {
    /// The items. There may be fewer than rows: some rows have no content left.
    pub items: Vec<T>,
    /// The id of the last row, if there may be more.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Returns the page of `rows`, of which `limit` were asked for.
    pub(super) fn of<R>(
        rows: Vec<R>,
        limit: usize,
        id: impl Fn(&R) -> &str,
        item: impl Fn(R) -> Option<T>,
    ) -> Self {
        let last = rows.last().filter(|_| rows.len() >= limit);
        let next = last.map(|row| id(row).to_owned());
        Self { items: rows.into_iter().filter_map(item).collect(), next }
    }
}

/// Returns whether there may be more rows than those found, of which `limit` were asked for.
pub(super) fn may_be_more<R>(found: &[R], limit: i64) -> bool {
    i64::try_from(found.len()).is_ok_and(|found| found >= limit)
}

/// Returns `limit` as a number of rows for SQL.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
