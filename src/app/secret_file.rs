//! The secret of development, generated at the first start and readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::SecretText;
use crate::domain::token::random_bytes;
use crate::private_files::create_folder;

const NAME: &str = "secret";

/// Returns whether `folder` has a secret.
pub fn is_there(folder: &Path) -> bool {
    folder.join(NAME).exists()
}

/// Returns the secret of `folder`, generated if it has none.
pub fn load_or_create(folder: &Path) -> io::Result<SecretText> {
    create_folder(folder)?;
    let path = folder.join(NAME);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Ok(text) if text.trim().is_empty() => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file `secret` is empty"));
        }
        other => return other.map(|text| text.trim().to_owned().into()),
    }
    // Written to a temporary file and then linked to its name: it is complete or absent, and of two
    // instances that start together one wins.
    let secret = URL_SAFE_NO_PAD.encode(random_bytes::<32>());
    let draft = folder.join(format!("{NAME}.{}", URL_SAFE_NO_PAD.encode(random_bytes::<9>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(fs::read_to_string(&path)?.trim().to_owned().into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_secret_stays_the_same_and_is_the_owners() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("deep/data");
        let first = load_or_create(&data).unwrap();
        assert_eq!(first, load_or_create(&data).unwrap());
        assert!(first.expose().len() >= 32);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data.join(NAME)), 0o600);
        assert_eq!(mode(&data), 0o700);
    }

    #[test]
    fn an_empty_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "\n").unwrap();
        assert!(load_or_create(folder.path()).is_err());
    }
}
