//! Tests on both databases.

/// Makes two tests of one function: on an SQLite file that does not exist yet, and on a Postgres
/// with the tables of this version.
macro_rules! on_both {
    ($($stories:tt)*) => { crate::both::on_both_of! { with_tables_on_postgres $($stories)* } };
}
pub(crate) use on_both;

/// The same with an empty Postgres.
macro_rules! on_both_without_tables {
    ($($stories:tt)*) => { crate::both::on_both_of! { on_postgres $($stories)* } };
}
pub(crate) use on_both_without_tables;

/// Makes the two tests, with this constructor of `Setup` for Postgres.
macro_rules! on_both_of {
    ($postgres:ident $($(#[$meta:meta])* fn $name:ident($setup:ident) $story:block)*) => {$(
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
                if let Some(setup) = crate::service::Setup::$postgres() {
                    story(setup);
                }
            }
        }
    )*};
}
pub(crate) use on_both_of;
