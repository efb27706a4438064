//! Shares of the budgets of the service for mails.

/// Part of the budgets of the service that a mail may use. Requests of few networks use up what
/// later requests of a network may have, and leave the rest to the first requests of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MailShare {
    /// The first request of a network on a day may use the whole budget.
    First,
    /// Its repeats may use half of it.
    Repeat,
    /// Requests beyond those of one hour may use a quarter of it.
    Bulk,
}

impl MailShare {
    /// The shares, from the largest to the smallest.
    pub(super) const ALL: [Self; 3] = [Self::First, Self::Repeat, Self::Bulk];

    /// Returns the number by which a budget is divided for the share.
    pub(super) const fn divisor(self) -> i64 {
        match self {
            Self::First => 1,
            Self::Repeat => 2,
            Self::Bulk => 4,
        }
    }
}
