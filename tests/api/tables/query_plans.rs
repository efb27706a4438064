//! The guard of the statements: the plan of each statement that `store/` executes is taken on both
//! databases, and none of them reads a whole table that grows with the number of users.
//!
//! SQLite is asked without statistics, as the service runs it. Postgres is asked for the generic
//! plan of each prepared statement, over filled and analysed tables. A range of an index with
//! nothing else in its condition counts as a whole table, unless the statement has a limit and
//! takes every row of the range. How many rows the purges read is measured in `purges.rs`.

mod calls;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use diesel::connection::{Connection as _, InstrumentationEvent, SimpleConnection as _};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types};
use hallpass::store::{Conn, Error};
use serde_json::Value;

use crate::support::{bulk_users, on_both};

/// Tables whose size depends on the number of users or on what strangers do.
const GROWING: [&str; 16] = [
    "users",
    "sessions",
    "refresh_tokens",
    "challenges",
    "registration_details",
    // Triggers write them.
    "registrations",
    "one_time_tokens",
    "outbox",
    "limits",
    "known_devices",
    "events",
    "identities",
    "social_flows",
    "pending_identities",
    "released_names",
    "erasures",
];

/// Tables that operators fill, and those of the migrations.
const SMALL: [&str; 3] = ["api_keys", "signing_keys", "__diesel_schema_migrations"];

/// A function of `store/` whose statements may have such a step in their plans, and why that is
/// harmless.
struct Exception {
    function: &'static str,
    step: &'static str,
    #[expect(dead_code, reason = "for those who read this")]
    reason: &'static str,
}

const FEW_DELETED: &str = "the index holds the deleted accounts whose rows are not deleted yet";

const EXCEPTIONS: [Exception; 31] = [
    Exception { function: "deletion::list_deleted", step: "users_deleted", reason: FEW_DELETED },
    Exception { function: "challenges::find_by_id", step: "users_deleted", reason: FEW_DELETED },
    Exception { function: "challenges::find_by_link", step: "users_deleted", reason: FEW_DELETED },
    Exception { function: "verifications::find_by_id", step: "users_deleted", reason: FEW_DELETED },
    Exception {
        function: "verifications::find_by_link",
        step: "users_deleted",
        reason: FEW_DELETED,
    },
    Exception {
        function: "verifications::find_by_holder",
        step: "users_deleted",
        reason: FEW_DELETED,
    },
    Exception {
        function: "verifications::find_pending",
        step: "users_deleted",
        reason: FEW_DELETED,
    },
    Exception {
        function: "users::hold_from",
        step: "users_pkey for a filtered range",
        reason: "passes over the deleted accounts whose rows are not deleted yet",
    },
    Exception {
        function: "users::list_page",
        step: "users_pkey for a filtered range",
        reason: "passes over the deleted accounts whose rows are not deleted yet",
    },
    Exception {
        function: "import::insert_users",
        step: "users_pkey",
        reason: "takes the last row in the order of the index",
    },
    Exception {
        function: "ended::list_since",
        step: "sessions_ended_at",
        reason: "the list of revocations holds what ended within the lifetime of an access token",
    },
    Exception {
        function: "rights::list_rights_changed_since",
        step: "users_by_rights_change",
        reason: "the list of revocations holds what changed within the lifetime of an access token",
    },
    Exception {
        function: "jobs::is_any_due",
        step: "outbox",
        reason: "ends at the first job that is found",
    },
    Exception {
        function: "search::find_named_like",
        step: "users_named_beyond_ascii",
        reason: "the index holds the names with an @ and characters beyond ASCII, which staff gave",
    },
    Exception {
        function: "challenges::erase_from_notices",
        step: "challenges_telling_an_address",
        reason: "the range holds one e-mail address, alone or before a space",
    },
    Exception {
        function: "import::find_present",
        step: "users",
        reason: "an import compares with all users, once",
    },
    Exception {
        function: "erasures::list_requested",
        step: "erasures",
        reason: "takes the first rows in the order of the index",
    },
    Exception {
        function: "search::list_page",
        step: "users_pkey for a filtered range",
        reason: "chosen where the statistics say that the flags of most users are these",
    },
    Exception {
        function: "limits::purge",
        step: "limits_by_reset for a filtered range",
        reason: "passes over the few counters that wait for longer than their window",
    },
    Exception {
        function: "limits::purge",
        step: "limits_of_few_failures for a filtered range",
        reason: "the same; the index has no other counters than those of its condition",
    },
    Exception {
        function: "outbox::list",
        step: "outbox_finished for a filtered range",
        reason: "a command passes over mails that were finished without being sent",
    },
    Exception {
        function: "jobs::claim_due",
        step: " for a filtered range",
        reason: "passes over jobs that are leased, or whose domain has all its connections in use",
    },
    Exception {
        function: "candidate::find_candidate",
        step: "MATERIALIZE found",
        reason: "is one row, so that no look-up is left out",
    },
    Exception {
        function: "candidate::find_named",
        step: "MATERIALIZE found",
        reason: "is one row, so that no look-up is left out",
    },
    Exception {
        function: "candidate::find_candidate",
        step: "users_place_idx",
        reason: "takes the first row in the order of the index",
    },
    Exception {
        function: "candidate::find_named",
        step: "users_place_idx",
        reason: "takes the first row in the order of the index",
    },
    Exception {
        function: "rights::is_other_superuser",
        step: "users_superusers",
        reason: "the index holds the superusers who may act, and no others",
    },
    Exception {
        function: "outbox::count",
        step: "outbox",
        reason: "a command counts what was sent, once",
    },
    Exception {
        function: "identities::count_of_issuer",
        step: "identities",
        reason: "a command counts the identities of issuers without a provider",
    },
    Exception {
        function: "jobs::claim_due",
        step: "LIST SUBQUERY",
        reason: "the list has as many rows as jobs are claimed at once",
    },
    Exception {
        function: "jobs::claim_due",
        step: "MATERIALIZE due",
        reason: "the list has as many rows as jobs are claimed at once",
    },
];

/// Statements that must use a certain index, because another one would find too many rows.
const NEEDED: [(&str, &str); 29] = [
    ("search::find_named_like", "users_named_beyond_ascii"),
    ("identities::find_by_key", "identities_by_subject"),
    ("identities::list_of_user", "identities_of_user"),
    ("identities::unlink_since", "identities_of_user"),
    ("rights::is_other_superuser", "users_superusers"),
    ("candidate::find_candidate", "users_place_idx"),
    ("opening::open_session", "sessions_open_of_user"),
    ("opening::open_session", "sessions_by_device"),
    ("sessions::list_open", "sessions_open_of_user"),
    ("sessions::end_all_sessions", "sessions_open_of_user"),
    ("refresh_tokens::purge_replaced", "refresh_tokens_between"),
    ("refresh_tokens::purge_replaced", "refresh_tokens_replaced"),
    ("verifications::erase_expired", "challenges_to_erase"),
    ("challenges::erase_from_notices", "challenges_telling_an_address"),
    ("challenges::purge", "challenges_by_expiry"),
    ("backlog::purge", "outbox_finished"),
    ("outbox::list", "outbox_finished"),
    ("outbox::list", "outbox_to_recipient"),
    ("jobs::claim_due", "outbox_fresh"),
    ("jobs::claim_due", "outbox_waiting"),
    ("limits::purge", "limits_of_few_failures"),
    ("events::record_once", "events_by_user"),
    ("events::list_page", "events_by_user"),
    ("sessions::list_page", "sessions_open_of_user"),
    ("sessions::list_page", "sessions_ended"),
    ("verifications::list_page", "challenges_of_user"),
    ("challenges::list_page", "challenges_of_user"),
    ("outbox::list_page", "outbox_of_user"),
    ("outbox::list_page", "outbox_to_recipient"),
];

/// Files of `store/` without statements on the tables of a running service.
const NOT_EXERCISED: [&str; 5] = ["copy/", "django_source/", "engine/", "error.rs", "schema.rs"];

/// A statement and the function that executed it.
type Statement = (String, String);

/// The functions that were called, and what they executed.
#[derive(Default)]
struct Record {
    function: String,
    functions: BTreeSet<String>,
    statements: BTreeSet<Statement>,
}

/// Calls the functions of `store/` and remembers what they execute.
struct Recorder(Arc<Mutex<Record>>);

impl Recorder {
    fn on(conn: &mut Conn) -> Self {
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = Arc::clone(&record);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            let InstrumentationEvent::StartQuery { query, .. } = event else { return };
            let text = query.to_string();
            let sql = text.split(" -- binds").next().unwrap_or_default().trim().to_owned();
            let mut record = shared.lock().unwrap();
            if ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|it| sql.starts_with(it))
            {
                let statement = (record.function.clone(), sql);
                record.statements.insert(statement);
            }
        });
        Self(record)
    }

    /// The next statements are those of `function`.
    fn begin(&self, function: &str) {
        let mut record = self.0.lock().unwrap();
        record.function = function.split_whitespace().collect();
        let name = record.function.clone();
        record.functions.insert(name);
    }

    fn end(self, conn: &mut Conn) -> Record {
        conn.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Every function of `store/` that takes a connection, as `module::function`.
fn functions_of_the_store() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let (mut unseen, mut functions) = (vec![folder.clone()], BTreeSet::new());
    while let Some(place) = unseen.pop() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            let inner = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                unseen.push(path);
            } else if !NOT_EXERCISED.iter().any(|it| inner.starts_with(it)) {
                let text = fs::read_to_string(&path).unwrap();
                let module = path.file_stem().unwrap().to_str().unwrap();
                functions.extend(public_functions(&text).map(|name| format!("{module}::{name}")));
            }
        }
    }
    assert!(functions.len() > 80, "only {} functions were found", functions.len());
    functions
}

/// The functions that are visible outside of their file, with or without a restriction.
fn public_functions(source: &str) -> impl Iterator<Item = &str> {
    source.split("\npub").skip(1).filter_map(|text| {
        let (visibility, text) = text.split_once("fn ")?;
        let is_public = visibility == " "
            || visibility
                .strip_prefix('(')
                .is_some_and(|it| it.ends_with(") ") && !it.contains('\n'));
        let (signature, _) = text.split_once('{').filter(|_| is_public)?;
        let name = signature.split(['(', '<']).next()?;
        signature.contains("&mut Conn").then_some(name)
    })
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = sql_types::Text)]
    line: String,
}

#[derive(QueryableByName)]
struct SqliteStep {
    #[diesel(sql_type = sql_types::Text)]
    detail: String,
}

#[derive(QueryableByName)]
struct PostgresPlan {
    #[diesel(sql_type = sql_types::Json)]
    #[diesel(column_name = "QUERY PLAN")]
    plan: PlanText,
}

/// A plan as Postgres sends it.
#[derive(Debug, diesel::deserialize::FromSqlRow)]
struct PlanText(String);

impl diesel::deserialize::FromSql<sql_types::Json, diesel::pg::Pg> for PlanText {
    fn from_sql(value: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
        Ok(Self(String::from_utf8(value.as_bytes().to_vec())?))
    }
}

/// The steps of a plan, in words.
fn plan_of(conn: &mut Conn, sql: &str) -> Vec<String> {
    match conn {
        Conn::Sqlite(sqlite) => {
            let plan = sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
            let steps: Vec<SqliteStep> =
                plan.load(sqlite).unwrap_or_else(|error| panic!("{error}: {sql}"));
            steps.into_iter().map(|step| step.detail).collect()
        }
        Conn::Postgres(postgres) => {
            let prepare = "SET LOCAL plan_cache_mode = force_generic_plan; PREPARE planned AS";
            postgres.batch_execute(&format!("{prepare} {sql}")).unwrap();
            let count = sql.matches('$').count();
            let parameters = (0..count).rev().find_map(|number| {
                let name = format!("${}", number + 1);
                sql.contains(&name).then(|| vec!["NULL"; number + 1].join(", "))
            });
            let parameters = parameters.map(|list| format!("({list})")).unwrap_or_default();
            let plan = sql_query(format!("EXPLAIN (FORMAT JSON) EXECUTE planned{parameters}"));
            let plan: PostgresPlan =
                plan.get_result(postgres).unwrap_or_else(|error| panic!("{error}: {sql}"));
            postgres.batch_execute("DEALLOCATE planned").unwrap();
            let plan: Value = serde_json::from_str(&plan.plan.0).unwrap();
            let mut steps = Vec::new();
            visit(&plan[0]["Plan"], &mut steps);
            steps
        }
    }
}

/// Returns true for a step that reads more than what an index leads to.
///
/// On SQLite `SCAN` reads a table or an index from one end to the other, and a list that is made
/// beforehand holds what a subquery finds without regard to the row that is asked about. The scans
/// of Postgres are in the words of [`visit`].
fn is_wasteful(step: &str) -> bool {
    let scanned = step.strip_prefix("SCAN ").or_else(|| step.strip_prefix("Seq Scan on "));
    let table = scanned.and_then(|rest| rest.split(' ').next());
    table.is_some_and(|table| GROWING.contains(&table))
        || ["LIST SUBQUERY", "MATERIALIZE", "AUTOMATIC", " the whole of "]
            .iter()
            .any(|it| step.contains(it))
}

/// Returns true for a step that reads a range of an index that can hold any number of rows, in a
/// statement that reads all of them.
fn is_unbounded(step: &str, sql: &str) -> bool {
    let is_range = match step.strip_prefix("SEARCH ") {
        Some(search) => {
            let table = search.split(' ').next().unwrap_or_default();
            let compared = search.split_once('(').map_or("", |(_, condition)| condition);
            let has_bound = compared.contains(">?") || compared.contains("<?");
            GROWING.contains(&table) && has_bound && !compared.contains("=?")
        }
        None => step.ends_with(" range"),
    };
    // Of a filtered range, a limit takes rows that may be anywhere in it.
    is_range && (!sql.contains("LIMIT") || step.ends_with(" a filtered range"))
}

/// Gathers the scans of a plan. That of an index which no condition narrows reads the whole of it.
fn visit(node: &Value, steps: &mut Vec<String>) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let (kind, index, table) = (text("Node Type"), text("Index Name"), text("Relation Name"));
    if kind == "Seq Scan" {
        steps.push(format!("Seq Scan on {table}"));
    } else if kind.contains("Index") {
        // A step that makes a bitmap names no table.
        let is_small = !table.is_empty() && !GROWING.contains(&table);
        let is_part = is_small || node.get("Index Cond").is_some();
        let part = if is_part { "" } else { "the whole of " };
        let is_range = !is_small && is_part && !text("Index Cond").contains(" = ");
        let range = match (is_range, node.get("Filter")) {
            (true, Some(_)) => " for a filtered range",
            (true, None) => " for a range",
            (false, _) => "",
        };
        steps.push(format!("{kind} using {part}{index}{range}"));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        visit(child, steps);
    }
}

on_both! {
    fn no_statement_reads_a_table_that_grows_with_the_users(world) {
        drop(world.app());
        bulk_users::insert(&world, 3_000);
        world.execute("INSERT INTO erasures (user_id, requested_at) SELECT 1000000 + id, 0 FROM users");
        if !world.database_url.starts_with("sqlite") {
            world.alter("ANALYZE erasures");
        }
        let record = world.db().write(|conn| {
            let recorder = Recorder::on(conn);
            calls::call_everything(conn, &recorder);
            Ok::<_, Error>(recorder.end(conn))
        }).unwrap();

        let missing: Vec<String> =
            functions_of_the_store().difference(&record.functions).cloned().collect();
        assert!(missing.is_empty(), "add these to query_plans/calls.rs: {missing:#?}");

        let statements = record.statements;
        assert!(statements.len() > 100, "only {} statements were seen", statements.len());
        let faults = world.db().write(move |conn| {
            let mut faults = Vec::new();
            let mut unmet = BTreeSet::from(NEEDED);
            for (function, sql) in &statements {
                let plan = plan_of(conn, sql);
                unmet.retain(|(needing, index)| {
                    needing != function || !plan.iter().any(|step| step.contains(index))
                });
                let is_exception = |step: &str| {
                    EXCEPTIONS.iter().any(|it| it.function == function && step.contains(it.step))
                };
                let is_fault = |step: &str| is_wasteful(step) || is_unbounded(step, sql);
                let steps = plan.iter().filter(|step| is_fault(step) && !is_exception(step));
                faults.extend(steps.map(|step| format!("{function}: {step}\n    {sql}")));
            }
            faults.extend(unmet.iter().map(|(function, index)| format!("{function} uses no {index}")));
            Ok::<_, Error>(faults)
        }).unwrap();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    fn each_table_is_known_as_growing_or_small(world) {
        drop(world.app());
        let names = if world.database_url.starts_with("sqlite") {
            "SELECT name AS line FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        } else {
            "SELECT tablename::text AS line FROM pg_tables WHERE schemaname = current_schema()"
        };
        let tables: Vec<Line> =
            world.db().read(|conn: &mut Conn| sql_query(names).load(conn).map_err(Error::from)).unwrap();
        let tables: BTreeSet<&str> = tables.iter().map(|it| it.line.as_str()).collect();
        assert_eq!(tables, GROWING.into_iter().chain(SMALL).collect());
    }

    fn rows_that_go_with_others_are_found_by_an_index(world) {
        drop(world.app());
        let references = if world.database_url.starts_with("sqlite") {
            "SELECT t.name || ' WHERE ' || f.\"from\" AS line FROM sqlite_schema t \
             JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'"
        } else {
            "SELECT conrelid::regclass::text || ' WHERE ' || attname AS line FROM pg_constraint \
             JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] \
             WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
        };
        bulk_users::insert(&world, 1_000);
        world.db().write(move |conn| {
            let references: Vec<Line> = sql_query(references).load(conn)?;
            assert!(references.len() >= 4, "only {} references", references.len());
            for Line { line } in references {
                let sql = format!("DELETE FROM {line} = $1");
                let plan = plan_of(conn, &sql);
                assert!(!plan.is_empty() && !plan.iter().any(|it| is_wasteful(it)), "{sql}: {plan:?}");
            }
            Ok::<_, Error>(())
        }).unwrap();
    }
}

#[test]
fn scans_and_lists_are_noticed() {
    for step in [
        "SCAN users",
        "SCAN sessions USING INDEX sessions_ended_at",
        "LIST SUBQUERY 1",
        "SEARCH users USING AUTOMATIC COVERING INDEX (id=?)",
        "Seq Scan on users",
        "Index Scan using the whole of users_pkey",
    ] {
        assert!(is_wasteful(step), "{step}");
    }
    for step in ["SEARCH users USING INTEGER PRIMARY KEY (rowid=?)", "SCAN signing_keys"] {
        assert!(!is_wasteful(step), "{step}");
    }
    let all = "SELECT id FROM users WHERE username_norm > $1";
    for step in [
        "SEARCH users USING INDEX users_username (username_norm>? AND username_norm<?)",
        "Index Scan using users_username for a range",
    ] {
        assert!(is_unbounded(step, all), "{step}");
        assert!(!is_unbounded(step, &format!("{all} LIMIT $2")), "{step}");
    }
    for step in [
        "SEARCH events USING INDEX events_by_user (user_id=? AND created_at>?)",
        "SEARCH signing_keys USING INDEX by_time (created_at>?)",
        "Index Scan using users_pkey",
    ] {
        assert!(!is_unbounded(step, all), "{step}");
    }
    let plan = serde_json::json!({"Node Type": "Limit", "Plans": [
        {"Node Type": "Seq Scan", "Relation Name": "users"},
        {"Node Type": "Index Scan", "Index Name": "a", "Relation Name": "users"},
        {"Node Type": "Index Scan", "Index Name": "b", "Index Cond": "(id = $1)"},
        {"Node Type": "Index Scan", "Index Name": "c", "Index Cond": "((id >= $1) AND (id < $2))"},
        {"Node Type": "Index Scan", "Index Name": "c", "Index Cond": "(id >= $1)", "Filter": "x"},
    ]});
    let mut steps = Vec::new();
    visit(&plan, &mut steps);
    assert_eq!(
        steps,
        [
            "Seq Scan on users",
            "Index Scan using the whole of a",
            "Index Scan using b",
            "Index Scan using c for a range",
            "Index Scan using c for a filtered range",
        ]
    );
    let source = "\npub fn one(conn: &mut Conn) {\n}\npub fn two<T>(\n    conn: &mut Conn,\n) -> T {}\n\
                  \npub fn three(x: u8) {}\npub(super) fn four(conn: &mut Conn) {}\
                  \npub(crate) fn five(conn: &mut Conn) {}\npub struct Six {}\nfn six(conn: &mut Conn) {}";
    let found: Vec<&str> = public_functions(source).collect();
    assert_eq!(found, ["one", "two", "four", "five"]);
}
