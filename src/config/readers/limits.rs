//! Rate limits.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::mode::Mode;
use super::urls::is_url_of_this_machine;
use crate::config::source::Source;
use crate::config::types::MINUTE;
use crate::domain::{LimitReports, Limits, Rate};

/// Reads the rate limits, `None` for none, and the requests for which they are only reported. They
/// are always enforced in production, and behind a proxy unless the operator chose otherwise.
pub fn read_limits(
    s: &mut Source,
    mode: Mode,
    public_url: &str,
    proxies: &[IpNet],
) -> (Option<Limits>, LimitReports) {
    let has_other_clients = !proxies.is_empty() || !is_url_of_this_machine(public_url);
    let is_for_developer = mode == Mode::LocalDevelopment && !has_other_clients;
    let unset = if is_for_developer { LimitReports::FromThisMachine } else { LimitReports::Never };
    let words = [
        ("on", (true, LimitReports::Never)),
        ("off", (false, LimitReports::Never)),
        ("report", (true, LimitReports::Always)),
    ];
    let (are_counted, reports) = s.choice("HALLPASS_LIMITS", (true, unset), &words);
    let are_enforced = are_counted && reports == LimitReports::Never;
    if !are_enforced && mode == Mode::Production {
        s.fault("HALLPASS_LIMITS", "may be off or report in development only");
    }
    let limits = read_each_limit(s);
    (Some(limits).filter(|_| are_counted), reports)
}

fn read_each_limit(s: &mut Source) -> Limits {
    let base = Limits::default();
    Limits {
        failed_logins_per_network: read_rate(
            s,
            "HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK",
            base.failed_logins_per_network,
            3..=20,
        ),
        failed_logins_per_account: read_rate(
            s,
            "HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT",
            base.failed_logins_per_account,
            5..=100,
        ),
        failed_logins_consecutive: s.number(
            "HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE",
            base.failed_logins_consecutive,
            20,
            100,
        ),
        attempts_of_network: read_rate(
            s,
            "HALLPASS_LIMIT_NETWORK",
            base.attempts_of_network,
            10..=10_000,
        ),
        refreshes_of_network: read_rate(
            s,
            "HALLPASS_LIMIT_REFRESH",
            base.refreshes_of_network,
            60..=100_000,
        ),
        mailbox_hourly: s.number("HALLPASS_LIMIT_MAIL_HOURLY", base.mailbox_hourly, 1, 20),
        mailbox_daily: s.number("HALLPASS_LIMIT_MAIL_DAILY", base.mailbox_daily, 1, 100),
        mail_of_network: s.number("HALLPASS_LIMIT_MAIL_NETWORK", base.mail_of_network, 1, 10_000),
        mails_to_domain: s.number(
            "HALLPASS_LIMIT_MAIL_DOMAIN",
            base.mails_to_domain,
            10,
            10_000_000,
        ),
        mails_in_all: s.number("HALLPASS_LIMIT_MAIL_TOTAL", base.mails_in_all, 10, 10_000_000),
    }
}

/// `5/15m`: five in fifteen minutes.
fn read_rate(s: &mut Source, name: &str, default: Rate, uses: RangeInclusive<i64>) -> Rate {
    let advice = format!(
        "must be a number from {} to {} and a span from 1m to 1h: {}/{}",
        uses.start(),
        uses.end(),
        default.uses,
        humantime::format_duration(default.window)
    );
    s.parsed(name, default, |text| {
        let (count, window) = text.split_once('/').ok_or_else(|| advice.clone())?;
        let count = count
            .parse()
            .ok()
            .filter(|count| uses.contains(count))
            .ok_or_else(|| advice.clone())?;
        let window = humantime::parse_duration(window)
            .ok()
            .filter(|window| (MINUTE..=60 * MINUTE).contains(window))
            .ok_or_else(|| advice.clone())?;
        Ok(Rate::new(count, window))
    })
}
