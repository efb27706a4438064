//! Mails as `.eml` files in a folder, for development and the first steps.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::envelope::{Mail, SendError};
use super::mime;
use crate::private_files::{create_folder, try_folder, write_file};

/// A folder of mails.
#[derive(Clone, Debug)]
pub struct Directory {
    folder: PathBuf,
}

impl Directory {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes one file atomically, readable by its owner only. A second attempt for the same mail
    /// replaces the file.
    pub(super) async fn write(&self, mail: &Mail, source: Vec<u8>) -> Result<(), SendError> {
        let folder = self.folder.clone();
        let name = file_name(mail)?;
        blocking(move || {
            create_folder(&folder)?;
            let unfinished = folder.join(format!(".{name}.tmp"));
            let written = write_file(&unfinished, &source);
            let finished = written.and_then(|()| fs::rename(&unfinished, folder.join(name)));
            // A part of a mail that the disk has no room for must not take the rest of it.
            finished.inspect_err(|_| drop(fs::remove_file(&unfinished)))
        })
        .await
    }

    pub(super) async fn check(&self) -> Result<(), SendError> {
        let folder = self.folder.clone();
        blocking(move || {
            create_folder(&folder)?;
            try_folder(&folder)
        })
        .await
    }
}

/// Returns the name of the file, `20260101T120000.000000Z-ID.eml`: the order of names is that of
/// times.
fn file_name(mail: &Mail) -> Result<String, SendError> {
    let time = humantime::format_rfc3339_micros(mime::system_time(mail.date)).to_string();
    Ok(format!("{}-{}.eml", time.replace(['-', ':'], ""), mime::safe_message_id(mail)?))
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), SendError> {
    let outcome = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten();
    outcome.map_err(|fault| {
        SendError::transient(format!("the mail folder cannot be written to: {fault}"))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::mail::envelope::FailureClass;
    use crate::{domain::UtcTime, mail::transport::Transport};

    fn mail() -> Mail {
        Mail {
            message_id: "id-1".to_owned(),
            from: "auth@example.com".parse().unwrap(),
            to: "bob@example.org".to_owned(),
            subject: "Hello".to_owned(),
            text: "123456".to_owned(),
            html: "<b>123456</b>".to_owned(),
            date: UtcTime::from_micros(1_767_225_600_000_007),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_mail_becomes_one_file_named_by_time_and_id() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("data/mail");
        let transport = Transport::directory(folder.clone());
        transport.send(&mail()).await.unwrap();
        transport.send(&mail()).await.unwrap();
        assert_eq!(names(&folder), ["20260101T000000.000007Z-id-1.eml"]);
        let source = fs::read_to_string(folder.join(&names(&folder)[0])).unwrap();
        assert!(source.contains("Message-ID: <id-1@example.com>"), "{source}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_can_read_the_mail() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mail");
        Transport::directory(folder.clone()).send(&mail()).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(&names(&folder)[0])), 0o600);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_a_temporary_fault() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let transport = Transport::directory(file.path().join("mail"));
        assert_eq!(transport.send(&mail()).await.unwrap_err().class, FailureClass::Transient);
        assert!(transport.check().await.is_err());
    }
}
