//! The words of the trade: values that cannot be wrong once they exist, and predicates that take
//! `now` as an argument. No I/O and no other room of the crate.

pub mod amr;
pub mod api_key;
pub mod challenge;
pub mod claim_mapping;
pub mod code;
pub mod device;
pub mod event;
pub mod fault;
pub mod guessable_secret;
pub mod identity;
pub mod ids;
pub mod language;
pub mod limit;
pub mod locale;
pub mod mail_request;
pub mod registration;
pub mod registration_rules;
pub mod secret_text;
pub mod session;
mod signing_key;
pub mod social_flow;
pub mod time;
pub mod token;
pub mod user;

pub use amr::Amr;
pub use api_key::{ApiKey, ApiKeyState, Scope};
pub use challenge::{Challenge, ChallengeKind};
pub use claim_mapping::ClaimMapping;
pub use code::parse_code;
pub use device::{Device, KnownDevice};
pub use event::{Event, EventContext, EventKind};
pub use fault::{Fault, Length};
pub use identity::{Identity, IdentityKey, LinkedIdentity};
pub use ids::{
    ApiKeyId, ChallengeId, EventId, IdentityId, JobId, LeaseId, SessionId, TokenId, UserId,
};
pub use language::Language;
pub use limit::{Counted, Counter, FEW_FAILURES, LimitHit, Limits, MAILBOX_LATE, Rate};
pub use locale::Locale;
pub use mail_request::{MailClass, MailRequest};
pub use registration::Registration;
pub use registration_rules::{DomainPattern, RegistrationMode, RegistrationRules};
pub use secret_text::SecretText;
pub use session::{EndReason, EndedSession, RefreshState, RefreshToken, Session, Transport};
pub use signing_key::SealedKey;
pub use social_flow::{FlowOutcome, FlowToken, PendingIdentity, SocialFlow};
pub use time::UtcTime;
pub use token::{PlainToken, TokenHash};
pub use user::email::Email;
pub use user::metadata::Metadata;
pub use user::password::{PasswordHash, PasswordPolicy, PlainPassword};
pub use user::roles::Roles;
pub use user::username::Username;
pub use user::{EmailChange, User};
