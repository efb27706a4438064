//! Signing keys over time: creation, rotation, deletion. Their state is a function of the rows, so
//! instances need no other coordination.

use std::time::Duration;

use super::{Error, Flows, Result};
use crate::domain::{SealedKey, UtcTime};
use crate::security::key_schedule::KeyDates;
use crate::security::key_set::DueKey;
use crate::security::keys::{KeyError, SigningAlgorithm};
use crate::store;
use crate::store::signing_keys;

/// Time for which a key is published before it signs, after a rotation by an operator. A shared
/// cache keeps the JWKS for 5 minutes, and services that check tokens keep it for 10.
const PUBLISHED_BY_OPERATOR: Duration = Duration::from_mins(20);

/// Reasons why no signing keys could be loaded at the start.
#[derive(Debug, thiserror::Error)]
pub enum KeyLoadError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A key in the database cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Reasons why a rotation by an operator failed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Tokens are signed with a shared secret from the settings.
    #[error(
        "access tokens are signed with HALLPASS_JWT_SECRET (HS256), a setting: set a new one for all \
         instances and all services that check tokens, and restart them; users stay logged in and get \
         new access tokens"
    )]
    SharedSecret,
    /// No instance signs with keys of the configured algorithm.
    #[error(
        "the database has no key of HALLPASS_JWT_ALGORITHM={0}: set what the services have. (They \
         make the first key of an algorithm when they start.)"
    )]
    NoKey(&'static str),
    /// The rotation failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// The result of a rotation by an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The id of the next key.
    pub kid: String,
    /// The time from which it signs.
    pub signs_from: UtcTime,
}

impl Flows {
    /// Loads the existing keys and creates none. A command that runs with another secret or
    /// algorithm than the services must not leave a key behind that they cannot open.
    pub(crate) fn open_keys(&self) -> std::result::Result<(), KeyLoadError> {
        let keys = self.access_tokens.keys();
        if keys.stored_algorithm().is_none() {
            return Ok(());
        }
        let stored = self.db.read(signing_keys::list_keys)?;
        let (renewed, faults) = keys.renewed(&stored, &self.secrets.sealing_keys());
        for fault in faults {
            match fault {
                // A key of a newer version. This version does not check its tokens.
                KeyError::Unknown(_) => tracing::warn!("{fault}"),
                fault => return Err(fault.into()),
            }
        }
        self.access_tokens.set_keys(renewed);
        Ok(())
    }

    /// Creates the first key of the configured algorithm, or the next one if the algorithm was used
    /// before. Called by a service that is about to sign, after [`Self::open_keys`].
    pub(crate) fn make_first_key(&self) -> std::result::Result<(), KeyLoadError> {
        let (keys, now) = (self.access_tokens.keys(), self.now());
        if let (Some(algorithm), Some(due)) = (keys.stored_algorithm(), keys.due_key(None, now)) {
            self.make_key(algorithm, due, now)?;
            // Another instance, possibly with another secret, may have created it first.
            self.open_keys()?;
        }
        if self.access_tokens.keys().is_empty() { Err(KeyError::Missing.into()) } else { Ok(()) }
    }

    /// Replaces the loaded keys if the stored ones differ. Keys that cannot be used are logged, and
    /// the others stay.
    pub(super) fn install_keys(&self, stored: &[SealedKey]) {
        let keys = self.access_tokens.keys();
        if keys.stored_algorithm().is_none() || keys.is_of(stored) {
            return;
        }
        let (renewed, faults) = keys.renewed(stored, &self.secrets.sealing_keys());
        for fault in faults {
            tracing::error!("a signing key of the database is not used: {fault}");
        }
        self.access_tokens.set_keys(renewed);
    }

    /// Seals the signing keys with `HALLPASS_SECRET` that were sealed with
    /// `HALLPASS_SECRET_PREVIOUS`. Keys that neither opens stay as they are.
    pub(crate) fn seal_keys_anew(&self) -> Result<()> {
        for (key, sealed) in self.keys_under_previous_secret()? {
            let kid = key.kid.clone();
            let sealed_anew = self.db.write(move |conn| {
                signing_keys::replace_seal(conn, &key.kid, &key.sealed_private_key, &sealed)
            })?;
            if sealed_anew {
                tracing::info!(kid, "a signing key was sealed with the new secret");
            }
        }
        Ok(())
    }

    /// Returns how many signing keys are sealed with `HALLPASS_SECRET_PREVIOUS`.
    pub(crate) fn count_keys_under_previous_secret(&self) -> Result<usize> {
        Ok(self.keys_under_previous_secret()?.len())
    }

    /// Returns the keys that are sealed with `HALLPASS_SECRET_PREVIOUS`, each with its new seal.
    fn keys_under_previous_secret(&self) -> Result<Vec<(SealedKey, Vec<u8>)>> {
        if !self.secrets.has_previous() {
            return Ok(Vec::new());
        }
        let sealing_keys = self.secrets.sealing_keys();
        let stored = self.db.read(signing_keys::list_keys)?;
        let keys = stored.into_iter().filter_map(|key| {
            let sealed = key.sealed_anew(&sealing_keys).ok().flatten()?;
            Some((key, sealed))
        });
        Ok(keys.collect())
    }

    /// Creates the next key if the schedule requires it, and deletes expired keys.
    pub fn rotate_keys_if_due(&self) -> Result<()> {
        let (keys, now) = (self.access_tokens.keys(), self.now());
        let Some(algorithm) = keys.stored_algorithm() else { return Ok(()) };
        let due = keys.due_key(self.policy.key_rotation, now);
        let forgotten = keys.forgotten(now);
        if due.is_none() && forgotten.is_empty() {
            return Ok(());
        }
        if let Some(due) = due {
            self.make_key(algorithm, due, now)?;
        }
        if !forgotten.is_empty() {
            self.db.write(move |conn| signing_keys::delete_keys(conn, &forgotten))?;
        }
        self.reload_keys()
    }

    /// Creates a key that signs as soon as every service can know it. A key that is already
    /// published signs from then at the latest.
    pub fn rotate_keys(&self) -> std::result::Result<Rotation, RotateError> {
        let algorithm = self.rotated_algorithm()?;
        let now = self.now();
        let signs_from = now.after(PUBLISHED_BY_OPERATOR);
        self.reload_keys()?;
        // The first key of a schedule signs before its time because there is no other. The operator
        // wants its successor.
        if let Some(ahead) = self.access_tokens.keys().first_if_ahead(now) {
            self.bring_forward(ahead, now, now)?;
            self.reload_keys()?;
        }
        let keys = self.access_tokens.keys();
        if let Some(waiting) = keys.waiting(now) {
            self.bring_forward(waiting, signs_from, now)?;
        } else {
            self.make_key(algorithm, keys.wanted_key(signs_from, now), now).map_err(Error::from)?;
        }
        self.reload_keys()?;
        let keys = self.access_tokens.keys();
        let next = keys.waiting(now).ok_or(KeyError::Missing).map_err(Error::from)?;
        Ok(Rotation { kid: next.kid.clone(), signs_from: next.begins_at() })
    }

    /// Creates a key that signs at once and deletes all others, for keys that an attacker may have.
    /// Every access token becomes invalid; refresh tokens are not signed and stay valid.
    pub fn replace_keys(&self) -> std::result::Result<Rotation, RotateError> {
        let algorithm = self.rotated_algorithm()?;
        let now = self.now();
        let only = self.new_key(algorithm, now, now).map_err(Error::from)?;
        let rotation = Rotation { kid: only.kid.clone(), signs_from: now };
        self.db
            .write(move |conn| signing_keys::replace_all_keys(conn, &only))
            .map_err(Error::from)?;
        tracing::warn!(kid = rotation.kid, "every signing key was replaced");
        self.reload_keys()?;
        Ok(rotation)
    }

    /// Returns the algorithm that the services sign with.
    fn rotated_algorithm(&self) -> std::result::Result<SigningAlgorithm, RotateError> {
        let keys = self.access_tokens.keys();
        let algorithm = keys.stored_algorithm().ok_or(RotateError::SharedSecret)?;
        if keys.is_empty() { Err(RotateError::NoKey(algorithm.name())) } else { Ok(algorithm) }
    }

    fn bring_forward(&self, key: &KeyDates, signs_from: UtcTime, now: UtcTime) -> Result<()> {
        let kid = key.kid.clone();
        self.db.write(move |conn| signing_keys::bring_forward(conn, &kid, signs_from, now))?;
        Ok(())
    }

    fn reload_keys(&self) -> Result<()> {
        self.install_keys(&self.db.read(signing_keys::list_keys)?);
        Ok(())
    }

    /// Creates and publishes a key, unless another instance did.
    fn make_key(
        &self,
        algorithm: SigningAlgorithm,
        due: DueKey,
        now: UtcTime,
    ) -> std::result::Result<(), KeyLoadError> {
        let key = self.new_key(algorithm, now, due.signs_from)?;
        let (kid, starts_in) = (key.kid.clone(), due.signs_from.remaining(now));
        if self.db.write(move |conn| signing_keys::insert_key_after(conn, due.after, &key))? {
            tracing::info!(kid, ?starts_in, "a new signing key is published");
        }
        Ok(())
    }

    fn new_key(
        &self,
        algorithm: SigningAlgorithm,
        now: UtcTime,
        signs_from: UtcTime,
    ) -> std::result::Result<SealedKey, KeyError> {
        SealedKey::generate(algorithm, self.secrets.sealing_keys()[0], now, signs_from)
    }
}

impl From<KeyLoadError> for Error {
    fn from(error: KeyLoadError) -> Self {
        match error {
            KeyLoadError::Store(error) => error.into(),
            KeyLoadError::Key(error) => error.into(),
        }
    }
}
