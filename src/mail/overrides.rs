//! Mail templates of the operator: files in a folder.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Returns the files below the folder: relative path with `/`, and text.
pub(super) fn read(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let text_of = |(name, path): (String, PathBuf)| match fs::read_to_string(&path) {
        Ok(text) => Ok((name, text)),
        Err(fault) => Err(cannot_read(&path, &fault)),
    };
    files(folder)?.into_iter().map(text_of).collect()
}

/// Returns the files below the folder, with their relative paths with `/`. Ignores names that start
/// with a dot (`.git`, `.DS_Store`, the `..data` of a Kubernetes volume).
pub fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let mut found = Vec::new();
    walk(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn cannot_read(path: &Path, fault: &io::Error) -> String {
    format!("mail templates: cannot read {}: {fault}", path.display())
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|fault| cannot_read(folder, &fault))?;
    for entry in entries {
        let path = entry.map_err(|fault| cannot_read(folder, &fault))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        // The type of the entry would be that of a symbolic link.
        if path.is_dir() {
            walk(&path, &format!("{name}/"), found)?;
        } else {
            found.push((name, path));
        }
    }
    Ok(())
}
