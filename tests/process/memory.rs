//! Memory of a service that does nothing.

use crate::service::Setup;

/// Templates, schemas and the like are made when they are first needed. When all were made at the
/// start, it was 12 MiB.
const MOST_KIB: u64 = 9 * 1024;

#[test]
fn an_idle_service_has_made_nothing_that_it_does_not_need_yet() {
    let service = Setup::on_sqlite().start();
    assert_eq!(service.api().get("/healthz").status, 200);
    let own = service.anonymous_kib();
    println!("{own} KiB");
    assert!(own < MOST_KIB, "{own} KiB");
}
