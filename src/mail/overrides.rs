//! Mail templates of the operator: files in a folder.

use std::{fs, io, path::Path};

/// Returns the files below the folder: relative path with `/`, and text. Ignores names that start
/// with a dot (`.git`, `.DS_Store`, the `..data` of a Kubernetes volume).
pub(super) fn read(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    walk(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) -> Result<(), String> {
    let cannot_read = |path: &Path, fault: &io::Error| {
        format!("mail templates: cannot read {}: {fault}", path.display())
    };
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
            let text = fs::read_to_string(&path).map_err(|fault| cannot_read(&path, &fault))?;
            found.push((name, text));
        }
    }
    Ok(())
}
