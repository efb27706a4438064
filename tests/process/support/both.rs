//! Tests on both databases.

/// Makes two tests of one function: on SQLite and on Postgres.
macro_rules! on_both {
    ($($(#[$meta:meta])* fn $name:ident($setup:ident) $story:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every story needs everything")]
            use super::*;

            $(#[$meta])*
            fn story($setup: crate::service::Setup) $story

            #[test]
            fn sqlite() {
                story(crate::service::Setup::on_sqlite());
            }

            #[test]
            fn postgres() {
                if let Some(setup) = crate::service::Setup::on_postgres() {
                    story(setup);
                }
            }
        }
    )*};
}
pub(crate) use on_both;
