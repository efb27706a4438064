//! Files that other users of the machine can read or replace: `doctor` and the start warn.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use crate::missing::needs;
use crate::service::Setup;
use crate::smtp::{Mode, SmtpServer};

const SECRET: &str = "plum-tree-at-dusk-and-dawn-3719-kestrel\n";
/// An id of no user or group of this machine or of the service.
const OTHER: u32 = 54_321;

/// A service with its secret in a file of a folder of its own.
fn with_secret_file(name: &str) -> (Setup, PathBuf) {
    let setup = Setup::on_sqlite().with("HALLPASS_SECRET_FILE", name);
    let file = setup.folder().join(name);
    make_folder(file.parent().unwrap());
    fs::write(&file, SECRET).unwrap();
    set_mode(&file, 0o600);
    (setup, file)
}

fn make_folder(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    set_mode(folder, 0o755);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives a file or folder to a user and a group, which only root can.
fn give(path: &Path, user: Option<u32>, group: Option<u32>) -> Option<()> {
    let is_root = rustix::process::geteuid().is_root();
    needs("root, to change owners of files", is_root.then_some(()))?;
    chown(path, user, group).unwrap();
    Some(())
}

/// Returns the warnings about files; `doctor` and the start must agree.
fn warnings(setup: &Setup) -> Vec<String> {
    let report = setup.run(&["doctor"]).stdout;
    let settings = report.lines().find(|line| line.get(5..14) == Some("settings:")).unwrap();
    let about_files = settings.split("; ").filter(|it| it.contains("by others"));
    let warnings: Vec<String> = about_files.map(str::to_owned).collect();
    let service = setup.start();
    let log = service.log();
    assert!(warnings.iter().all(|warning| log.contains(warning)), "{warnings:?} in {log}");
    assert_eq!(log.matches("by others").count(), warnings.len(), "{warnings:?} in {log}");
    warnings
}

#[track_caller]
fn warns(setup: &Setup, told: &str) {
    let warnings = warnings(setup);
    assert!(warnings.len() == 1 && warnings[0].contains(told), "no {told} in {warnings:?}");
}

#[track_caller]
fn warns_of_nothing(setup: &Setup) {
    assert_eq!(warnings(setup), Vec::<String>::new());
}

#[test]
fn a_secret_file_that_others_can_read_or_write_is_warned_about() {
    let (setup, file) = with_secret_file("own/secret");
    warns_of_nothing(&setup);
    for (mode, verbs) in [
        (0o644, "read"),
        (0o604, "read"),
        (0o640, "read"),
        (0o620, "changed"),
        (0o602, "changed"),
        (0o660, "read and changed"),
        (0o666, "read and changed"),
    ] {
        set_mode(&file, mode);
        warns(&setup, &format!("HALLPASS_SECRET_FILE: own/secret can be {verbs} by others"));
    }
}

#[test]
fn a_secret_file_in_a_folder_that_others_can_write_is_warned_about() {
    let (setup, file) = with_secret_file("outer/inner/secret");
    let inner = file.parent().unwrap();
    for folder in [inner, inner.parent().unwrap()] {
        let told = format!("the folder {} is writable", folder.display());
        for mode in [0o777, 0o757] {
            set_mode(folder, mode);
            warns(&setup, &told);
        }
        // A folder such as /tmp.
        set_mode(folder, 0o1777);
        warns_of_nothing(&setup);
        set_mode(folder, 0o775);
        if give(folder, None, Some(OTHER)).is_none() {
            return;
        }
        warns(&setup, &told);
        set_mode(folder, 0o755);
        warns_of_nothing(&setup);
    }
}

#[test]
fn a_link_in_a_folder_that_others_can_write_is_warned_about() {
    let (setup, file) = with_secret_file("outer/inner/secret");
    let folder = setup.folder().join("links");
    make_folder(&folder);
    symlink(&file, folder.join("secret")).unwrap();
    let setup = setup.with("HALLPASS_SECRET_FILE", "links/secret");
    warns_of_nothing(&setup);
    for folder in [folder, setup.folder().join("outer")] {
        set_mode(&folder, 0o777);
        warns(&setup, &format!("the folder {} is writable", folder.display()));
        set_mode(&folder, 0o755);
    }
}

#[test]
fn a_secret_file_or_folder_of_another_user_is_warned_about() {
    let (setup, file) = with_secret_file("workspace/own/secret");
    let folder = file.parent().unwrap();
    for place in [&file, folder] {
        if give(place, Some(OTHER), None).is_none() {
            return;
        }
        warns(&setup, &format!("{} belongs to user {OTHER}", place.display()));
        give(place, Some(0), None);
    }
    give(folder.parent().unwrap(), Some(OTHER), None);
    warns_of_nothing(&setup);
}

#[test]
fn a_dot_env_file_that_others_can_write_is_warned_about_also_without_a_secret() {
    let setup = Setup::on_sqlite();
    setup.write(".env", "HALLPASS_SERVICE_NAME=Plum\n");
    let file = setup.folder().join(".env");
    for (mode, is_warned) in [(0o644, false), (0o666, true), (0o646, true)] {
        set_mode(&file, mode);
        if is_warned {
            warns(&setup, ".env can be changed by others");
        } else {
            warns_of_nothing(&setup);
        }
    }
}

#[test]
fn a_certificate_authority_that_others_can_write_is_warned_about() {
    let Some(server) = SmtpServer::start(Mode::IMPLICIT) else { return };
    let setup = Setup::on_sqlite().with("HALLPASS_SMTP_URL", &server.url());
    set_mode(&server.ca(), 0o644);
    warns_of_nothing(&setup);
    set_mode(&server.ca(), 0o646);
    warns(&setup, "ca.pem (ca= of HALLPASS_SMTP_URL) can be changed by others");
}

#[test]
fn a_mail_template_that_others_can_write_is_warned_about_once() {
    let setup = Setup::on_sqlite().with("HALLPASS_MAIL_TEMPLATES", "templates");
    let folder = setup.folder().join("templates");
    make_folder(&folder.join("en"));
    let files = ["verify_email.subject.txt", "password_changed.subject.txt"];
    for name in files.map(|name| folder.join("en").join(name)) {
        fs::write(&name, "Plum").unwrap();
        set_mode(&name, 0o644);
    }
    warns_of_nothing(&setup);
    set_mode(&folder, 0o777);
    warns(&setup, &format!("the folder {} is writable", folder.display()));
    set_mode(&folder, 0o755);
    let file = folder.join("en").join(files[0]);
    set_mode(&file, 0o666);
    warns(&setup, &format!("{} can be changed by others", files[0]));
}

#[test]
fn a_database_that_others_can_read_or_write_is_warned_about() {
    let setup = Setup::on_sqlite();
    warns_of_nothing(&setup);
    let folder = setup.folder().join("data");
    let file = folder.join("hallpass.db");
    for (mode, verbs) in
        [(0o644, "read"), (0o604, "read"), (0o602, "changed"), (0o666, "read and changed")]
    {
        set_mode(&file, mode);
        set_mode(&folder, 0o755);
        warns(&setup, &format!("data/hallpass.db can be {verbs} by others"));
    }
    // With the mode of SQLite itself, in a folder that is closed to others.
    set_mode(&folder, 0o700);
    set_mode(&file, 0o644);
    warns_of_nothing(&setup);
    set_mode(&file, 0o666);
    warns(&setup, "data/hallpass.db can be changed by others");
    set_mode(&file, 0o600);
    set_mode(&folder, 0o777);
    its_files_can_be_replaced(&setup, &folder);
}

#[test]
fn the_folder_of_a_database_that_is_not_there_yet_is_examined() {
    let setup = Setup::on_sqlite();
    let folder = setup.folder().join("data");
    make_folder(&folder);
    set_mode(&folder, 0o777);
    its_files_can_be_replaced(&setup, &folder);
}

/// The folder holds the database and the generated secret.
#[track_caller]
fn its_files_can_be_replaced(setup: &Setup, folder: &Path) {
    let told = format!("the folder {} is writable", folder.display());
    let found = warnings(setup);
    assert!(found.len() == 2 && found.iter().all(|it| it.contains(&told)), "{found:?}");
    for file in ["data/secret", "data/hallpass.db"] {
        assert!(
            found.iter().any(|it| it.contains(&format!("{file} can be replaced"))),
            "{found:?}"
        );
    }
}

#[test]
fn secrets_as_container_runtimes_mount_them_are_not_warned_about() {
    let (setup, file) = with_secret_file("volume/..2026_11_30_08_00_00.7/secret");
    let volume = setup.folder().join("volume");
    // The mode of a mounted `Secret`.
    set_mode(&volume, 0o1777);
    symlink("..data/secret", volume.join("secret")).unwrap();
    symlink("..2026_11_30_08_00_00.7", volume.join("..data")).unwrap();
    let setup = setup.with("HALLPASS_SECRET_FILE", "volume/secret");
    // The modes of a volume with `defaultMode: 0400`, with `fsGroup`, and without either.
    for mode in [0o400, 0o440, 0o644] {
        set_mode(&file, mode);
        warns_of_nothing(&setup);
    }
    // The mode of a mounted `ConfigMap`.
    set_mode(&volume, 0o777);
    warns_of_nothing(&setup);
    set_mode(&file, 0o666);
    warns(&setup, "can be changed by others");
    // A copy with the mode of `fsGroup` or of systemd's credentials.
    let (setup, file) = with_secret_file("own/secret");
    set_mode(&file, 0o440);
    warns_of_nothing(&setup);
    if give(&file, None, Some(OTHER)).is_none() {
        return;
    }
    warns(&setup, "can be read by others");
}
