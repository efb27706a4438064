//! Lists of revocations that were asked for. Many clients poll with the same question, and each
//! answer is made once for each version of the set.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use crate::domain::{EndedSession, UserId, UtcTime};

/// Number of lists since a time that are kept. Clients name whole seconds.
const PARTS: usize = 8;
/// Largest number of entries of such a list. All kept ones together need some 5 MB.
pub(super) const PART_ENTRIES: usize = 2_000;

/// A snapshot of the revocation list.
pub struct Ended {
    pub(super) sessions: Vec<EndedSession>,
    pub(super) users: BTreeMap<UserId, UtcTime>,
    pub(super) tag: String,
    pub(super) rendered: OnceLock<Arc<[u8]>>,
}

impl Ended {
    /// The entity tag of the content, equal on instances with equal content.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The sessions, the one that was ended last first.
    pub fn sessions(&self) -> &[EndedSession] {
        &self.sessions
    }

    /// The users who were disabled or deleted, or whose rights changed, with the time.
    pub fn users(&self) -> &BTreeMap<UserId, UtcTime> {
        &self.users
    }

    /// Returns the list in the form of `render`, which is called once.
    pub fn rendered(&self, render: impl FnOnce(&Self) -> Vec<u8>) -> Arc<[u8]> {
        Arc::clone(self.rendered.get_or_init(|| render(self).into()))
    }
}

/// The whole list, and those of what is new since a time.
#[derive(Default)]
pub(super) struct Lists {
    whole: Option<(u64, Arc<Ended>)>,
    /// Version of the parts.
    version: u64,
    parts: VecDeque<(UtcTime, Arc<Ended>)>,
}

impl Lists {
    /// Returns the kept list: the whole of that version or a later one, or what is new since
    /// `since` in that version.
    pub(super) fn find(&self, version: u64, since: Option<UtcTime>) -> Option<Arc<Ended>> {
        let Some(since) = since else {
            let whole = self.whole.as_ref().filter(|(known, _)| *known >= version);
            return whole.map(|(_, list)| Arc::clone(list));
        };
        let mut parts = self.parts.iter().filter(|_| self.version == version);
        parts.find(|part| part.0 == since).map(|part| Arc::clone(&part.1))
    }

    /// Keeps a list in place of those of other versions, or else of the oldest part. Long parts are
    /// not kept.
    pub(super) fn keep(&mut self, version: u64, since: Option<UtcTime>, list: &Arc<Ended>) {
        let Some(since) = since else {
            self.whole = Some((version, Arc::clone(list)));
            return;
        };
        if self.version != version {
            self.version = version;
            self.parts.clear();
        }
        if list.sessions().len() + list.users().len() > PART_ENTRIES {
            return;
        }
        self.parts.truncate(PARTS - 1);
        self.parts.push_front((since, Arc::clone(list)));
    }
}
