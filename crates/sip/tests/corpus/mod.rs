//! The corpus of messages beside the repository, where it is there.

use std::fs;
use std::path::{Path as FilePath, PathBuf};

fn folder(name: &str) -> PathBuf {
    FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name)
}

/// The octets of a message of the corpus; `None` with a note when it is not there.
#[allow(clippy::disallowed_methods, clippy::print_stdout)]
pub(crate) fn message(corpus: &str, name: &str) -> Option<Vec<u8>> {
    let Ok(octets) = fs::read(folder(corpus).join(name)) else {
        println!("not run: {corpus}/{name} is missing");
        return None;
    };
    if octets.contains(&b'\r') {
        return Some(octets);
    }
    // The archive of RFC 5118 was made with the line ends of another system.
    Some(octets.split(|o| *o == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]))
}

/// All messages of the corpus, none when it is not there.
#[allow(dead_code, clippy::disallowed_methods, clippy::print_stdout, reason = "not every test needs all")]
pub(crate) fn all(corpus: &'static str) -> Vec<Vec<u8>> {
    let Ok(files) = fs::read_dir(folder(corpus)) else {
        println!("not run: {corpus} is missing");
        return Vec::new();
    };
    let mut names: Vec<String> = files.filter_map(|file| file.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| !name.contains("expectations") && !name.ends_with(".md"));
    names.sort();
    names.iter().filter_map(|name| message(corpus, name)).collect()
}
