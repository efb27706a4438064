//! Domain values that are valid by construction, and predicates that take `now` as an argument. No
//! I/O and no other module of the crate.

pub mod api_key;
pub mod challenge;
pub mod claim_mapping;
pub mod code;
pub mod event;
pub mod fault;
pub mod ids;
pub mod limit;
pub mod locale;
pub mod registration;
pub mod secrets;
pub mod session;
mod signing_key;
pub mod social;
pub mod time;
pub mod token;
pub mod user;

pub use api_key::{ApiKey, ApiKeyState, Scope};
pub use challenge::{Challenge, ChallengeKind};
pub use claim_mapping::ClaimMapping;
pub use code::{parse_code, trim_typed};
pub use event::{Event, EventContext, EventKind};
pub use fault::{Fault, Length};
pub use ids::{
    ApiKeyId, ChallengeId, EventId, IdentityId, JobId, LeaseId, SessionId, TokenId, UserId,
};
pub use limit::mail_request::{MailClass, MailRequest};
pub use limit::share::MailShare;
pub use limit::{
    Counted, Counter, FEW_FAILURES, LimitHit, LimitReports, Limits, MAILBOX_LATE, Rate,
};
pub use locale::Locale;
pub use locale::language::Language;
pub use registration::AddressVerification;
pub use registration::rules::{
    DomainPattern, EmailVerification, RegistrationMode, RegistrationRules, VerifyEmailProof,
};
pub use secrets::text::SecretText;
pub use session::amr::Amr;
pub use session::device::{Device, KnownDevice};
pub use session::{EndReason, EndedSession, RefreshState, RefreshToken, Session, Transport};
pub use signing_key::SealedKey;
pub use social::flow::{FlowOutcome, FlowToken, ProviderIdentity, SocialFlow};
pub use social::identity::{Identity, IdentityKey, LinkedIdentity};
pub use time::{CLOCKS_DIFFER, UtcTime};
pub use token::{PlainToken, TokenHash};
pub use user::email::Email;
pub use user::metadata::Metadata;
pub use user::password::{AcceptedPassword, PasswordHash, PasswordPolicy, PlainPassword};
pub use user::roles::Roles;
pub use user::username::Username;
pub use user::{EmailChange, User};
