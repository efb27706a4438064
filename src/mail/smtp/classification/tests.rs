//! Replies of servers and their consequences.

use super::phrases::{BLOCKED_IP, RELAY, REPUTATION, SENDER_POLICY};
use super::*;

fn classified(step: Step, line: &str) -> SendError {
    let (code, text) = line.split_at(3);
    classify(step, &Reply { code: code.parse().unwrap(), lines: vec![text.trim().to_owned()] })
}

#[track_caller]
fn assert_class(class: FailureClass, step: Step, lines: &[&str]) {
    for line in lines {
        assert_eq!(classified(step, line).class, class, "{step:?}: {line}");
    }
}

#[test]
fn refusals_of_this_recipient_are_final() {
    assert_class(
        FailureClass::Permanent,
        Step::Recipient,
        &[
            "550 5.1.1 <a@b.example>: no such user",
            "550 5.1.10 null MX",
            "550 5.2.1 mailbox disabled",
            "552 5.2.2 mailbox full",
            "550 5.4.1 Recipient address rejected: Access denied",
            "550 5.5.0 Requested action not taken: mailbox unavailable",
            "550 no such user here",
            "550 no such user: relay-sender@b.example",
            "550 5.1.2 we cannot find that domain",
            "550 5.1.3 bad address",
            "550 5.1.6 mailbox has moved",
            "550 5.1.0 unknown user",
            "550 5.2.1 the account of this user is suspended",
            "551 user not local",
            "553 mailbox name not allowed",
            "556 domain accepts no mail",
            "554 5.7.1 <a@b.example>: Recipient address rejected: Access denied",
            "554 delivery error: this user has no account here",
        ],
    );
}

#[test]
fn refusals_of_this_message_are_final() {
    assert_class(
        FailureClass::Permanent,
        Step::Content,
        &[
            "554 5.6.0 not this content",
            "552 5.3.4 message too big",
            "554 5.7.1 this looks like spam",
            "550 5.1.1 no such user",
            "552 5.7.0 blocked because its content presents a potential security issue",
            "554 delivery error: This user doesn't have an example.com account",
        ],
    );
}

#[test]
fn refusals_without_a_known_cause_are_tried_again() {
    for step in [Step::Recipient, Step::Content] {
        assert_class(
            FailureClass::Unclassified,
            step,
            &[
                "550",
                "550 5.0.0",
                "550 5.1.0 address rejected",
                "550 5.2.0 STOREDRV",
                "552 too much mail stored",
                "550 5.4.6 routing loop",
                "550 5.5.0 requested action not taken",
                "552 quota exceeded",
                "553 not now",
            ],
        );
    }
    assert_class(
        FailureClass::Unclassified,
        Step::Content,
        &["554 transaction failed", "554 5.7.1", "550 5.7.0 no"],
    );
    assert_class(FailureClass::Unclassified, Step::Data, &["554 no valid recipients"]);
    let unclear = classified(Step::Content, "554 transaction failed");
    assert_eq!(unclear.scope, FailureScope::Mail);
}

#[test]
fn refusals_of_the_account_are_about_the_configuration() {
    for step in [Step::Recipient, Step::Content] {
        assert_class(
            FailureClass::Configuration,
            step,
            &[
                "550 5.4.5 Daily user sending limit exceeded. For more information visit",
                "550 5.1.90 Your message can't be sent because you've reached your daily limit",
                "550 5.1.90",
                "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
                "550 5.2.2 Submission quota exceeded",
                "554 Message rejected: Email address is not verified. The following identities",
                "554 Message rejected: Sending suspended for this account.",
                "550 5.7.1 Sandbox subdomains are for test purposes only.",
                "550 5.7.1 Account suspended",
                "550 5.7.1 sending quota exceeded for this account",
                "550 5.7.1 <a@b.example>: Recipient address rejected: sending quota exceeded",
                "550 5.7.1 rate limit exceeded",
                "550 Unauthenticated senders not allowed",
                "550 The from address does not match a verified Sender Identity",
                "451 4.7.1 daily quota of messages exceeded",
                "454 4.7.0 Throttling failure: Maximum sending rate exceeded",
            ],
        );
    }
    let text = classified(Step::Content, "550 5.4.5 Daily user sending limit exceeded").text;
    assert!(text.ends_with("see the account of HALLPASS_SMTP_URL at the provider"), "{text}");
}

#[test]
fn refusals_of_this_service_are_about_the_configuration() {
    assert_class(
        FailureClass::Configuration,
        Step::Recipient,
        &[
            "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
            "504 5.5.2",
            "450 4.7.1 <localhost>: Helo command rejected: Host not found",
            "554 5.7.1 <a@b.example>: Relay access denied",
            "454 4.7.1 <a@b.example>: Relay access denied",
            "550 5.7.1 Unable to relay",
            "550 relay not permitted",
            "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
            "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using a list",
            "550 5.1.8 Sender address rejected: Domain not found",
            "550 Sender verify failed",
            "550 authentication required",
            "530 5.7.0 Must issue a STARTTLS command first",
            "530 authentication required",
            "554 5.7.1",
            "554 5.7.1 Access denied",
            "550 5.7.606 Access denied, banned sending IP",
            "503 5.5.1 bad sequence",
            "554 5.3.2 no service here",
            "450 4.1.8 <auth@x.example>: Domain not found",
            "450 4.7.25 no reverse DNS name",
            "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]",
            "451 4.7.24 SPF",
        ],
    );
    assert_class(
        FailureClass::Configuration,
        Step::Content,
        &[
            "550 5.7.1 Unauthenticated email is not accepted due to the DMARC policy",
            "550 5.7.26 neither SPF nor DKIM",
            "535 5.7.8 log in",
            "554 5.2.252 SendAsDenied; auth@a.example not allowed to send as no-reply@a.example",
        ],
    );
    for step in [Step::Greeting, Step::Hello, Step::StartTls, Step::LogIn, Step::Sender] {
        let error = classified(step, "550 5.1.1 whatever");
        assert_eq!(error.class, FailureClass::Configuration, "{step:?}");
        assert_eq!(error.scope, FailureScope::Server, "{step:?}");
    }
}

#[test]
fn demands_for_a_log_in_are_about_the_log_in_at_every_step() {
    for step in [
        Step::Greeting,
        Step::Hello,
        Step::StartTls,
        Step::LogIn,
        Step::Sender,
        Step::Recipient,
        Step::Data,
        Step::Content,
    ] {
        for (line, setting) in [
            ("530 5.7.0 Authentication Required. For more information, go to", LOG_IN),
            ("530 5.7.57 Client not authenticated to send mail.", LOG_IN),
            ("530", LOG_IN),
            ("534 5.7.9 Application-specific password required", LOG_IN),
            ("535 5.7.8 Username and Password not accepted", LOG_IN),
            ("538 5.7.11 Encryption required for requested authentication mechanism", TLS),
            ("530 5.7.0 Must issue a STARTTLS command first", TLS),
        ] {
            let error = classified(step, line);
            assert_eq!(error.class, FailureClass::Configuration, "{step:?}: {line}");
            assert!(error.text.ends_with(setting), "{step:?}: {}", error.text);
        }
    }
    for line in [
        "550 Authentication required",
        "550 5.7.1 Client was not authenticated",
        "553 5.7.1 <auth@a.example>: Sender address rejected: not logged in",
    ] {
        let error = classified(Step::Sender, line);
        assert!(error.text.ends_with(LOG_IN), "{}", error.text);
    }
    for line in ["530 5.7.0 Authentication Required", "530 5.7.0 Must issue a STARTTLS command"] {
        assert_eq!(classified(Step::Sender, line).scope, FailureScope::Server, "{line}");
    }
}

#[test]
fn temporary_refusals_stay_temporary() {
    for step in [Step::Greeting, Step::LogIn, Step::Sender] {
        let error = classified(step, "421 4.7.0 too many connections");
        assert_eq!((error.class, error.scope), (FailureClass::Transient, FailureScope::Server));
    }
    for line in [
        "450 4.2.0 greylisted, try again",
        "450 4.7.1 <h[192.0.2.1]>: Client host rejected: Greylisting in action, come back later",
        "451 4.7.1 greylisted: authenticated senders are not",
        "450 4.1.1 <a@b.example>: unverified address",
        "452 4.2.2 mailbox full",
    ] {
        let grey = classified(Step::Recipient, line);
        assert_eq!(
            (grey.class, grey.scope),
            (FailureClass::Transient, FailureScope::Mail),
            "{line}"
        );
    }
    let closing = classified(Step::Recipient, "421 4.3.2 closing");
    assert_eq!((closing.class, closing.scope), (FailureClass::Transient, FailureScope::Domain));
}

#[test]
fn texts_name_the_setting_to_look_at() {
    for (step, line, setting) in [
        (Step::Recipient, "504 5.5.2 Helo command rejected", EHLO_NAME),
        (Step::Recipient, "554 5.7.1 Relay access denied", RELAY),
        (Step::Recipient, "554 5.7.1 Client host [192.0.2.1] blocked using a list", BLOCKED_IP),
        (Step::Content, "550 5.7.26 neither SPF nor DKIM", SENDER_POLICY),
        (Step::Content, "550 5.7.1 low reputation of the sending domain", REPUTATION),
        (Step::Recipient, "550 Unauthenticated senders not allowed", MAIL_FROM),
        (Step::Recipient, "550 authentication required", URL),
        (Step::Sender, "553 5.7.1 not yours", MAIL_FROM),
        (Step::Sender, "550 5.7.1 Helo command rejected", EHLO_NAME),
        (Step::LogIn, "535 5.7.8 wrong", URL),
    ] {
        assert!(classified(step, line).text.ends_with(setting), "{line}");
    }
}
