//! The words of the trade: values that cannot be wrong once they exist, and predicates that take
//! `now` as an argument. No I/O and no other room of the crate.

pub mod code;
pub mod device;
pub mod email;
pub mod event;
pub mod fault;
pub mod guessable;
pub mod identity;
pub mod ids;
pub mod language;
pub mod limit;
pub mod locale;
pub mod mail_request;
pub mod metadata;
pub mod one_time;
pub mod password;
pub mod registration;
pub mod secret_text;
pub mod session;
pub mod social_flow;
pub mod time;
pub mod token;
pub mod user;
pub mod username;

pub use code::parse_code;
pub use device::{Device, KnownDevice};
pub use email::Email;
pub use event::{Event, EventKind, Scene};
pub use fault::{Fault, Length};
pub use identity::{Identity, IdentityKey, LinkedIdentity};
pub use ids::{
    EventId, IdentityId, LeaseId, MailId, OneTimeId, RegistrationId, SessionId, TokenId, UserId,
};
pub use language::Language;
pub use limit::{Counted, Counter, FEW_FAILURES, Limits, Rate, Reached};
pub use locale::Locale;
pub use mail_request::{MailClass, MailRequest};
pub use metadata::Metadata;
pub use one_time::{OneTimeToken, Purpose};
pub use password::{PasswordHash, PasswordPolicy, PlainPassword};
pub use registration::Registration;
pub use secret_text::SecretText;
pub use session::{EndReason, EndedSession, RefreshState, RefreshToken, Session, Transport};
pub use social_flow::FlowToken;
pub use time::UtcTime;
pub use token::{PlainToken, TokenHash};
pub use user::{EmailChange, User};
pub use username::Username;
