//! `hallpass doctor`: checks everything that the service needs and reports the results.

mod database;
mod identities;
mod proxies;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Outcome, print};
use crate::app::{build_flows, has_secret, transport_of};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::{PasswordPolicy, PlainPassword, UtcTime};
use crate::flows::Flows;
use crate::mail::CONFIGURATION;
use crate::mail::envelope::{FailureClass, FailureScope, SendError};
use crate::security::breached::BreachedPasswords;
use crate::security::keys::{KeyError, SigningAlgorithm};
use crate::social::{Callback, Provider, Providers, SocialSettings};
use crate::store::jobs::backlog;
use crate::store::{self, Db, PoolSettings, PreparedStatements, signing_keys};

/// Result of a check.
enum Finding {
    Good(String),
    Doubtful(String),
    Bad(String),
}

use Finding::{Bad, Doubtful, Good};

/// The service as the checks examine it.
struct Site {
    config: Config,
    /// True if the tables are those of this version; empty unless the database has answered.
    is_up_to_date: OnceLock<bool>,
}

impl Site {
    fn is_up_to_date(&self) -> bool {
        self.is_up_to_date.get().is_some_and(|it| *it)
    }
}

type Check = fn(&Site) -> Finding;

/// Time-out of a check. A connection attempt to a Postgres may take 5 seconds, an answer of an SMTP
/// server 10.
const CHECK_LIMIT: Duration = Duration::from_secs(15);
/// The time that all have together.
const TOTAL_LIMIT: Duration = Duration::from_secs(30);
/// The time that a check has in any case: enough for one that asks no server.
const LEAST: Duration = Duration::from_millis(200);
/// Most different errors of queued mail that are listed.
const ERRORS_SHOWN: i64 = 10;

pub(super) fn run(config: &Config) -> Outcome {
    let checks: [(&str, Check); 12] = [
        ("settings", settings),
        ("public URL", public_url),
        ("passwords", passwords),
        ("browsers", browsers),
        ("database", database::check),
        // Checks of the database, which run only if it has answered.
        ("keys", keys),
        ("mail queue", mail_queue),
        ("identities", identities::check),
        ("proxies", proxies::check),
        ("breached passwords", breached_passwords),
        ("mail", mail),
        ("social log-in", social),
    ];
    let site = Arc::new(Site { config: config.clone(), is_up_to_date: OnceLock::new() });
    let mut faults = 0;
    let began = Instant::now();
    for (name, check) in checks {
        let left = TOTAL_LIMIT.saturating_sub(began.elapsed()).min(CHECK_LIMIT);
        let (mark, text) = match limited(check, &site, left) {
            Good(text) => ("ok  ", text),
            Doubtful(text) => ("warn", text),
            Bad(text) => {
                faults += 1;
                ("FAIL", text)
            }
        };
        print(&format!("{mark} {name}: {text}\n"))?;
    }
    if faults == 0 { Ok(()) } else { Err(format!("{faults} of these need attention")) }
}

/// Runs a check for at most `limit`. A slower one goes on beside the others until the command ends.
fn limited(check: Check, site: &Arc<Site>, limit: Duration) -> Finding {
    let (tell, told) = mpsc::sync_channel(1);
    let site = Arc::clone(site);
    // A late result has no receiver any more.
    let work = move || drop(tell.send(check(&site)));
    match thread::Builder::new().name("check".into()).spawn(work) {
        Ok(_) => {}
        Err(error) => return Bad(format!("cannot be looked at: {error}")),
    }
    match told.recv_timeout(limit.max(LEAST)) {
        Ok(finding) => finding,
        Err(RecvTimeoutError::Timeout) if limit < LEAST => {
            let total = humantime::format_duration(TOTAL_LIMIT);
            Bad(format!("not looked at: the checks before took {total}"))
        }
        Err(RecvTimeoutError::Timeout) => {
            let limit = humantime::format_duration(Duration::from_secs(limit.as_secs().max(1)));
            Bad(format!("no answer within {limit}"))
        }
        Err(RecvTimeoutError::Disconnected) => Bad("the check failed; the log says where".into()),
    }
}

fn settings(Site { config, .. }: &Site) -> Finding {
    let mode = if config.development { "development" } else { "production" };
    if config.warnings.is_empty() {
        return Good(format!("all readable; {mode} mode"));
    }
    Doubtful(format!("{mode} mode; {}", config.warnings.join("; ")))
}

fn public_url(Site { config, .. }: &Site) -> Finding {
    let url = &config.public_url;
    if url.starts_with("https:") {
        Good(format!("{url} is the issuer of tokens and the start of links"))
    } else {
        Doubtful(format!("{url} is not https: fine on this machine, refused in production"))
    }
}

fn passwords(Site { config, .. }: &Site) -> Finding {
    let (shortest, cost) = (config.password_policy.min_length, config.bcrypt_cost);
    let recommended = PasswordPolicy::RECOMMENDED_LENGTH;
    if cost < 10 {
        return Bad(format!("HALLPASS_BCRYPT_COST={cost} is for tests only"));
    }
    if shortest < recommended {
        return Doubtful(format!(
            "from {shortest} characters, cost {cost}; NIST recommends {recommended} where the \
             password is the only factor (HALLPASS_PASSWORD_MIN_LENGTH)"
        ));
    }
    Good(format!("from {shortest} characters, cost {cost}"))
}

/// Asks for the range of a random password. The service works without an answer.
fn breached_passwords(Site { config, .. }: &Site) -> Finding {
    let Some(settings) = &config.breached_passwords else {
        return Good("not looked for: HALLPASS_BREACHED_PASSWORDS_URL is not set".to_owned());
    };
    let Ok(password) = PlainPassword::parse(&Uuid::new_v4().to_string()) else {
        return Bad("cannot be asked about a random password".to_owned());
    };
    match BreachedPasswords::at(settings).contain(&password) {
        Ok(_) => Good(format!("{} answers", settings.url)),
        Err(error) => Doubtful(format!(
            "{}: {error}; until it answers, breached passwords are accepted",
            settings.url
        )),
    }
}

fn open(config: &Config) -> store::Result<Db> {
    let wait = Duration::from_secs(5);
    let settings = PoolSettings { size: 1, wait, prepared_statements: PreparedStatements::Never };
    Db::open_as_is(&config.database, settings)
}

fn keys(site: &Site) -> Finding {
    let config = &site.config;
    if !site.is_up_to_date() {
        return Doubtful("not looked at: see the database".to_owned());
    }
    if !has_secret(config) {
        return without_secret(config);
    }
    let flows = match build_flows(config, Arc::new(SystemClock)) {
        Ok(flows) => flows,
        Err(error) => return Bad(error.to_string()),
    };
    let algorithm = config.jwt_algorithm.name();
    match (config.jwt_algorithm, flows.public_keys().len()) {
        (SigningAlgorithm::Hs256, _) => Good("HALLPASS_JWT_SECRET signs (HS256)".to_owned()),
        (_, 0) => Good(format!("none of {algorithm} yet; the next start makes it")),
        (_, published) => seals(&flows, published),
    }
}

fn seals(flows: &Flows, published: usize) -> Finding {
    match flows.count_keys_under_previous_secret() {
        Ok(0) => Good(format!("they open with the secret; {published} published")),
        Ok(old) => Doubtful(format!(
            "{old} open with HALLPASS_SECRET_PREVIOUS only: keep it until a service that has both secrets \
             has sealed them anew"
        )),
        Err(error) => Bad(error.to_string()),
    }
}

fn without_secret(config: &Config) -> Finding {
    match open(config).and_then(|db| db.read(signing_keys::list_keys)) {
        Ok(keys) if keys.is_empty() => match database::first_start(&config.data_dir.join("secret"))
        {
            Ok(()) => Good("the first start makes secret and key".to_owned()),
            Err((folder, error)) => Bad(format!(
                "the first start cannot make a secret in {}: {error}",
                folder.display()
            )),
        },
        Ok(_) => Bad(KeyError::WrongSecret.to_string()),
        Err(error) => Bad(error.to_string()),
    }
}

fn mail(Site { config, .. }: &Site) -> Finding {
    let way = match &config.smtp {
        Some(smtp) => format!("through {}", smtp.host()),
        None => format!("as files in {}", config.mail_dir.display()),
    };
    let checked = transport_of(config).and_then(|transport| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        Ok(runtime.block_on(async {
            transport.check().await?;
            Ok::<_, SendError>(transport.count_admitted().await)
        }))
    });
    let most = config.smtp.as_ref().map_or(0, |smtp| smtp.connections);
    match checked {
        Ok(Ok(_)) if config.smtp.is_none() && !config.development => {
            Doubtful(format!("{way}, which are not delivered: set HALLPASS_SMTP_URL"))
        }
        Ok(Ok(Some(admitted))) if admitted < most => Doubtful(format!(
            "{way}; beside the connections that are open, it admits {admitted} of {most} \
             (HALLPASS_SMTP_CONNECTIONS) at a time"
        )),
        Ok(Ok(_)) => Good(format!("{way}; it answers")),
        // The mail server admits no connection, such as beside those of the service.
        Ok(Err(SendError {
            class: FailureClass::Transient,
            scope: FailureScope::Server,
            text,
        })) => Doubtful(format!(
            "{way}: {text}. If that is a limit of connections, set HALLPASS_SMTP_CONNECTIONS ({most}) \
                 below it"
        )),
        Ok(Err(SendError { text, .. })) | Err(text) => Bad(format!("{way}: {text}")),
    }
}

/// Checks how long queued mail waits: a refusal by the recipient's mail server is visible only
/// there.
fn mail_queue(site: &Site) -> Finding {
    let config = &site.config;
    if !site.is_up_to_date() {
        return Doubtful("not looked at: see the database".to_owned());
    }
    let read = open(config).and_then(|db| {
        db.read(|conn| {
            Ok((backlog::count_open(conn)?, backlog::deferral_causes(conn, ERRORS_SHOWN)?))
        })
    });
    let (open, errors) = match read {
        Ok(read) => read,
        Err(error) => return Bad(error.to_string()),
    };
    let counts = format!("{} wait, {} failed", open.waiting, open.failed);
    if errors.is_empty() {
        return Good(counts);
    }
    let is_ours = errors.iter().any(|waiting| waiting.error.starts_with(CONFIGURATION));
    let errors: Vec<String> =
        errors.iter().map(|waiting| format!("{}: {}", waiting.jobs, waiting.error)).collect();
    let text = format!("{counts}; {}", errors.join("; "));
    if is_ours { Bad(text) } else { Doubtful(text) }
}

fn browsers(Site { config, .. }: &Site) -> Finding {
    let own = &config.public_url;
    match config.browsers.origins.as_slice() {
        [] if config.browsers.loopback_origins => Good(format!(
            "pages of {own}, http://localhost and http://127.0.0.1; others need \
             HALLPASS_CORS_ORIGINS"
        )),
        [] => Good(format!("pages of {own} only; others need HALLPASS_CORS_ORIGINS")),
        others => Good(format!("pages of {own} and of {}", others.join(", "))),
    }
}

/// Fetches metadata and keys of each provider, and prints the redirect URI to register.
fn social(Site { config, .. }: &Site) -> Finding {
    let settings = &config.social;
    if settings.providers.is_empty() {
        return Good("no provider is set".to_owned());
    }
    let providers = Providers::new(settings);
    let now = SystemClock.now();
    // Concurrently, as each may take as long as the time-out.
    let findings: Vec<Finding> = thread::scope(|scope| {
        let checks: Vec<_> = providers
            .list()
            .iter()
            .map(|provider| scope.spawn(move || social_provider(config, provider, now)))
            .collect();
        let failed = |_| Bad("the check failed; the log says where".to_owned());
        checks.into_iter().map(|check| check.join().unwrap_or_else(failed)).collect()
    });
    let is_bad = findings.iter().any(|it| matches!(it, Bad(_)));
    let is_doubtful = findings.iter().any(|it| matches!(it, Doubtful(_)));
    let texts = findings.into_iter().map(|(Good(text) | Doubtful(text) | Bad(text))| text);
    let text = texts.collect::<Vec<_>>().join("\n     ");
    match (is_bad, is_doubtful || settings.return_urls.is_empty()) {
        (true, _) => Bad(text),
        (false, true) if settings.return_urls.is_empty() => {
            Doubtful(format!("{text}\n     no page to return to: set HALLPASS_SOCIAL_RETURN_URLS"))
        }
        (false, true) => Doubtful(text),
        (false, false) => Good(text),
    }
}

fn social_provider(config: &Config, provider: &Provider, now: UtcTime) -> Finding {
    let uri = match config.social.callback {
        Callback::Service => SocialSettings::redirect_uri(&config.public_url, provider.id()),
        Callback::FrontEnd => config.social.return_urls.join(" and "),
    };
    let text = format!("{}: the redirect URI is {uri}", provider.id());
    match provider.diagnose(now) {
        Ok(remarks) if remarks.is_empty() => Good(text),
        Ok(remarks) => Doubtful(format!("{text}; it {}", remarks.join("; it "))),
        Err(error) => Bad(format!("{text}; {error}")),
    }
}
