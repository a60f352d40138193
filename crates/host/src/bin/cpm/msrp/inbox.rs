//! Where the octets of a message go that comes in: into a file, or nowhere.

use bytes::Bytes;
use cpm_sdp::SafeFileName;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Names that are tried for a file before it is given up.
const NAMES: u32 = 1_000;
/// Octets of a name's end that count as its extension.
const EXTENSION: usize = 16;
/// Octets of a name before its number: systems take 255.
const LONGEST: usize = 250;

/// A message being stored. What is not kept is written to no file as long as it comes in order: its hash is known then.
/// Behind a gap a file without a name takes it, until the gap is filled.
pub(crate) struct Stored {
    file: Option<File>,
    /// The name, when it is kept.
    path: Option<PathBuf>,
    /// How far octets have come in order, as long as there is no file.
    in_order: u64,
}

impl Stored {
    /// A message that nobody keeps.
    pub(crate) fn nowhere() -> Stored {
        Stored { file: None, path: None, in_order: 0 }
    }

    /// A file that is gone with this value.
    pub(crate) fn temporary() -> io::Result<Stored> {
        Ok(Stored { file: Some(nameless()?), path: None, in_order: 0 })
    }

    /// A new file in this directory, named as one of these; none that exists is touched (threats H1).
    pub(crate) fn create<'a>(
        dir: &Path,
        wished: impl IntoIterator<Item = &'a str>,
    ) -> Result<Stored, String> {
        let name = wished.into_iter().find_map(SafeFileName::of);
        let name = name.as_ref().map_or("message", SafeFileName::as_str);
        for number in 0..NAMES {
            let path = dir.join(numbered(name, number));
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Stored { file: Some(file), path: Some(path), in_order: 0 }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(format!("cannot write {}: {error}", path.display())),
            }
        }
        Err(format!("{} has {NAMES} files of this name already", dir.display()))
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(crate) fn write(&mut self, offset: u64, octets: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            if offset == self.in_order {
                let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
                self.in_order = self.in_order.saturating_add(length);
                return Ok(());
            }
            self.file = Some(nameless()?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(octets)
    }

    pub(crate) fn read(&mut self, offset: u64, max: u64) -> io::Result<Bytes> {
        let Some(file) = &mut self.file else { return Ok(Bytes::new()) };
        file.seek(SeekFrom::Start(offset))?;
        let mut octets = Vec::new();
        file.take(max).read_to_end(&mut octets)?;
        Ok(octets.into())
    }

    /// It did not become whole: nothing of it stays.
    pub(crate) fn discard(self) {
        if let Some(path) = &self.path {
            // Nobody relies on its being gone.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// `holiday.mpg`, `holiday-1.mpg`, `holiday-2.mpg`… The number takes the place of the end of a name that is long.
fn numbered(name: &str, number: u32) -> String {
    if number == 0 {
        return name.to_owned();
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= EXTENSION => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    let room = LONGEST.saturating_sub(extension.len());
    let stem: String =
        stem.char_indices().take_while(|(at, c)| at + c.len_utf8() <= room).map(|(_, c)| c).collect();
    format!("{stem}-{number}{extension}")
}

/// A file that is gone when it is closed.
fn nameless() -> io::Result<File> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|_| io::Error::other("the system gives no randomness"))?;
    let path = std::env::temp_dir().join(format!("cpm-{:016x}", u64::from_ne_bytes(random)));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_order_needs_no_file_and_a_gap_does() {
        let mut stored = Stored::nowhere();
        stored.write(0, b"abc").unwrap();
        stored.write(3, b"def").unwrap();
        assert!(stored.file.is_none());
        stored.write(9, b"jkl").unwrap();
        stored.write(6, b"ghi").unwrap();
        assert_eq!(stored.read(6, 100).unwrap(), "ghijkl");
        assert_eq!(stored.read(7, 2).unwrap(), "hi");
    }

    /// Threat H1: a peer's name leads nowhere else, and overwrites nothing.
    #[test]
    fn names_stay_in_the_directory_and_nothing_is_overwritten() {
        let dir = std::env::temp_dir().join(format!("cpm-inbox-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let create = |name: &str| Stored::create(&dir, [name]).unwrap().path().unwrap().to_owned();
        assert_eq!(create("a.txt"), dir.join("a.txt"));
        assert_eq!(create("../../a.txt"), dir.join("a-1.txt"));
        assert_eq!(create("/etc/passwd"), dir.join("passwd"));
        assert_eq!(create(".."), dir.join("message"));
        assert_eq!(create("..."), dir.join("message-1"));
        let long = "é".repeat(200);
        assert_ne!(create(&long), create(&long));
        let stored = Stored::create(&dir, ["..", "second"]).unwrap();
        assert_eq!(stored.path(), Some(&*dir.join("second")));
        stored.discard();
        assert!(!dir.join("second").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
