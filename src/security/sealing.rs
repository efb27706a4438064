//! Sealing of private keys at rest: AES-256-GCM with a key derived from `HALLPASS_SECRET`.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;

use crate::domain::token::random_bytes;

fn key(bytes: &[u8; 32]) -> Result<LessSafeKey, Unspecified> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes)?))
}

/// Seals `plain`. Opening it requires the same `name`.
pub fn seal(sealing_key: &[u8; 32], name: &str, plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let nonce = random_bytes::<NONCE_LEN>();
    let mut sealed = plain.to_vec();
    key(sealing_key)?.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(name.as_bytes()),
        &mut sealed,
    )?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens a text that [`seal`] created with the same key and name.
pub fn open(sealing_key: &[u8; 32], name: &str, sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
    let mut plain = sealed.to_vec();
    let length = key(sealing_key)?
        .open_in_place(
            Nonce::try_assume_unique_for_key(nonce)?,
            Aad::from(name.as_bytes()),
            &mut plain,
        )?
        .len();
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn only_the_same_key_and_name_open() {
        let sealed = seal(&[1; 32], "a", b"private").unwrap();
        assert_eq!(open(&[1; 32], "a", &sealed).unwrap(), b"private");
        assert!(open(&[2; 32], "a", &sealed).is_err());
        assert!(open(&[1; 32], "b", &sealed).is_err());
        assert!(open(&[1; 32], "a", &sealed[..5]).is_err());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(open(&[1; 32], "a", &changed).is_err(), "byte {place} may change");
            assert!(open(&[1; 32], "a", &sealed[..place]).is_err(), "{place} bytes are enough");
        }
    }

    #[test]
    fn no_two_seals_share_a_nonce_and_none_shows_what_it_holds() {
        let seals: Vec<Vec<u8>> =
            (0..1_000).map(|_| seal(&[1; 32], "a", b"private").unwrap()).collect();
        let nonces: HashSet<&[u8]> = seals.iter().map(|it| &it[..NONCE_LEN]).collect();
        let texts: HashSet<&[u8]> = seals.iter().map(|it| &it[NONCE_LEN..]).collect();
        assert_eq!((nonces.len(), texts.len()), (1_000, 1_000));
        assert!(seals.iter().all(|it| !it.windows(7).any(|part| part == b"private")));
        // Nonce, text, and a tag of 128 bits.
        assert!(seals.iter().all(|it| it.len() == NONCE_LEN + 7 + 16));
    }
}
