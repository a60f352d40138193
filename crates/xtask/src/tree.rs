//! The files of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's top folder: two above this crate's manifest.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Every file that is or would be committed, relative to `root`, with `/` between folders, sorted.
///
/// Asks git; a tree without git (an unpacked archive) is walked instead.
pub fn files(root: &Path) -> Result<Vec<String>, String> {
    let listing = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output();
    let mut files = match listing {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split('\0')
            .filter(|name| !name.is_empty() && root.join(name).is_file())
            .map(str::to_owned)
            .collect(),
        _ => walk(root)?,
    };
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "corpus" | "artifacts") {
                    folders.push(path);
                }
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    Ok(found)
}

pub fn read(root: &Path, name: &str) -> Result<String, String> {
    std::fs::read_to_string(root.join(name)).map_err(|e| format!("{name}: {e}"))
}

/// Whether a file holds tests alone, by its name: under a folder `tests`, `tests.rs` or `*_tests.rs`.
pub fn is_test_file(name: &str) -> bool {
    let mut parts: Vec<&str> = name.split('/').collect();
    let file = parts.pop().unwrap_or_default();
    parts.contains(&"tests") || file == "tests.rs" || file.ends_with("_tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_known_by_their_names() {
        for name in
            ["tests/src/lib.rs", "crates/sip/tests/all.rs", "crates/sip/src/uri/tests.rs", "a/uri_tests.rs"]
        {
            assert!(is_test_file(name), "{name}");
        }
        for name in ["crates/sip/src/uri.rs", "crates/sip/src/contests.rs", "crates/tests_of/src/lib.rs"] {
            assert!(!is_test_file(name), "{name}");
        }
    }

    #[test]
    fn git_and_walking_both_find_this_file() {
        let this = "crates/xtask/src/tree.rs".to_owned();
        assert!(files(&root()).unwrap().contains(&this));
        assert!(walk(&root()).unwrap().contains(&this));
    }
}
