//! Files that other users of the machine must not read or replace: secrets, certificates, templates
//! and the database.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, absolute};

use rustix::process::{getegid, geteuid, getgroups};

/// Content of a file, which decides about the access that others may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A secret.
    Secret,
    /// Settings, certificates or templates, which others may read.
    Public,
    /// The database. A file that others could read is out of their reach in a closed folder, such
    /// as the one that the service makes.
    Database,
}

/// Permission bits of group and others.
const READ: u32 = 0o044;
const WRITE: u32 = 0o022;
const SEARCH: u32 = 0o011;
const OF_GROUP: u32 = 0o070;
/// In a folder with this bit, a file can be replaced by its owner and that of the folder only.
const STICKY: u32 = 0o1000;
const ROOT: u32 = 0;

/// Returns warnings about a file that others can read, change or replace. `name` is how the
/// operator knows it. Of a file that the start will make, the folders are examined; what is no
/// regular file, such as a pipe, is not.
pub(super) fn warnings_about(name: &str, path: &Path, content: Content) -> Vec<String> {
    // A file that cannot be examined is reported by its reader, or made by the start.
    let file = fs::metadata(path).ok();
    let is_special = file.as_ref().is_some_and(|file| !file.is_file());
    let Some(named) = absolute(path).ok().filter(|_| !is_special) else { return Vec::new() };
    let real = fs::canonicalize(path).unwrap_or_else(|_| named.clone());
    let process = Identity::of_process();
    let access = file.map(|file| process.access_of_others(&file, &real, content));
    let (is_read, is_written) = access.unwrap_or_default();
    let verbs = match (is_read, is_written) {
        (true, true) => Some("read and changed"),
        (true, false) => Some("read"),
        (false, true) => Some("changed"),
        (false, false) => None,
    };
    let mut warnings = Vec::new();
    if let Some(verbs) = verbs {
        let what = match content {
            Content::Secret => "a secret is its owner's only (chmod 600)",
            Content::Public => "only its owner should (chmod go-w)",
            Content::Database => "the database is its owner's only (chmod 600)",
        };
        warnings.push(format!("{name} can be {verbs} by others: {what}"));
    }
    for weakness in process.weak_places(&named, &real) {
        warnings.push(format!("{name} can be replaced by others: {weakness}"));
    }
    warnings
}

/// User and groups of the process.
struct Identity {
    user: u32,
    groups: Vec<u32>,
}

impl Identity {
    fn of_process() -> Self {
        let mut groups = getgroups().unwrap_or_default();
        groups.push(getegid());
        Self {
            user: geteuid().as_raw(),
            groups: groups.into_iter().map(rustix::process::Gid::as_raw).collect(),
        }
    }

    fn is_trusted_user(&self, user: u32) -> bool {
        user == ROOT || user == self.user
    }

    /// Returns whether the group is that of root or one of the process.
    fn is_trusted_group(&self, group: u32) -> bool {
        group == ROOT || self.groups.contains(&group)
    }

    /// Returns the bits that others than root and the trusted groups have.
    fn bits_of_others(&self, file: &Metadata) -> u32 {
        let mode = file.mode();
        if self.is_trusted_group(file.gid()) { mode & !OF_GROUP } else { mode }
    }

    /// Returns whether others can read a file, and whether they can write it.
    fn access_of_others(&self, file: &Metadata, real: &Path, content: Content) -> (bool, bool) {
        let bits = match content {
            Content::Secret if self.is_lent(file) => self.bits_of_others(file),
            Content::Secret => file.mode(),
            Content::Public | Content::Database => self.bits_of_others(file),
        };
        let must_be_private = match content {
            Content::Secret => !is_mounted_secret(real),
            Content::Public => false,
            Content::Database => self.is_in_open_folder(real),
        };
        (must_be_private && bits & READ != 0, bits & WRITE != 0)
    }

    /// Returns whether a secret reaches the process by a group that may only read it: the file is
    /// root's, or has no writer, as with Kubernetes' `fsGroup` and systemd's credentials.
    fn is_lent(&self, file: &Metadata) -> bool {
        let is_roots = file.uid() == ROOT && self.user != ROOT;
        file.mode() & (WRITE & OF_GROUP) == 0 && (is_roots || file.mode() & 0o222 == 0)
    }

    /// Returns whether others can enter the folder of a file.
    fn is_in_open_folder(&self, real: &Path) -> bool {
        let folder = real.parent().and_then(|folder| fs::metadata(folder).ok());
        folder.is_some_and(|folder| self.bits_of_others(&folder) & SEARCH != 0)
    }

    /// Returns whether Kubernetes has mounted a `Secret` or `ConfigMap` at the folder. It is
    /// writable by its mode, and mounted read-only. Another user cannot make that link.
    fn is_volume_of_kubernetes(&self, folder: &Path) -> bool {
        let link = folder.join("..data").symlink_metadata();
        link.is_ok_and(|link| link.is_symlink() && self.is_trusted_user(link.uid()))
    }

    /// Returns the files and folders by which another user can put another file in the place of
    /// this one: each on the path as it is named, and as it is without symbolic links. Owners are
    /// examined of the file and its folder only: a workspace that a container mounts belongs to a
    /// user of the host.
    fn weak_places(&self, named: &Path, real: &Path) -> Vec<String> {
        let mut places = BTreeMap::new();
        for path in [named, real] {
            for (distance, place) in path.ancestors().enumerate() {
                *places.entry(place).or_default() |= distance < 2;
            }
        }
        let mut weak = Vec::new();
        for (place, is_near) in places {
            let shown = place.display();
            let Ok(entry) = place.symlink_metadata() else { continue };
            // The owner of a mounted secret may be a user of the host, too.
            if is_near && !self.is_trusted_user(entry.uid()) && !is_mounted_secret(place) {
                let (owner, own) = (entry.uid(), self.user);
                weak.push(format!(
                    "{shown} belongs to user {owner}, and this process to user {own}"
                ));
            }
            let is_open = self.bits_of_others(&entry) & WRITE != 0 && entry.mode() & STICKY == 0;
            if entry.is_dir() && is_open && !self.is_volume_of_kubernetes(place) {
                weak.push(format!("the folder {shown} is writable (chmod go-w)"));
            }
        }
        weak
    }
}

/// Returns whether a file, without symbolic links, is a secret that a container runtime has
/// mounted: Docker beneath `/run/secrets`, Kubernetes in a folder such as `..2026_11_30`. They let
/// every process of the container read it.
fn is_mounted_secret(real: &Path) -> bool {
    let is_of_kubernetes = |part: &OsStr| part.as_encoded_bytes().starts_with(b"..2");
    real.starts_with("/run/secrets") || real.iter().any(is_of_kubernetes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_container_runtimes_mount_are_recognised() {
        for mounted in ["/run/secrets/hallpass", "/etc/hallpass/..2026_11_30_08_00_00.7/secret"] {
            assert!(is_mounted_secret(Path::new(mounted)), "{mounted}");
        }
        for other in ["/run/secret", "/etc/run/secrets/hallpass", "/etc/hallpass/secret"] {
            assert!(!is_mounted_secret(Path::new(other)), "{other}");
        }
    }
}
