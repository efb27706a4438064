//! Updates whose prepared statements are cached.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

use crate::store::Conn;

type Backend = <Conn as Connection>::Backend;

/// An `UPDATE` whose prepared statement each connection caches, under its text. Diesel itself has
/// the database parse and plan every `UPDATE` each time, since a changeset with `Option`s has a
/// text for each set of columns, and the cache keeps all texts. So this is for updates with one
/// text.
pub(crate) struct Cached<S>(pub S);

impl<S: QueryFragment<Backend>> QueryFragment<Backend> for Cached<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Backend) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<S> QueryId for Cached<S> {
    type QueryId = ();

    // The text is the key.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S: Query> Query for Cached<S> {
    type SqlType = S::SqlType;
}

impl<S> RunQueryDsl<Conn> for Cached<S> {}
