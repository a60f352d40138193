//! Records: what outlives a process. A header that says what it is, values one after another, a checksum.
//!
//! A record is for the same product on another node or at another time, not for others: how values are laid out is known
//! to whoever writes and reads them, and changes with the version. What was cut, damaged or written by something newer is
//! recognised before anything of it is used.
//!
//! Layout, numbers in network order: `CPMR`, kind (4 octets), version (2), length of the values (4), values, CRC-32 of all
//! before it (4).
//!
//! ```
//! use cpm_base::record::{RecordError, RecordReader, RecordWriter};
//!
//! const KIND: [u8; 4] = *b"DEMO";
//! let mut record = RecordWriter::new(KIND, 1);
//! record.text("sip:alice@example.com").u32(7).option(Some("tag"));
//! let octets = record.finish();
//!
//! let mut record = RecordReader::open(&octets, KIND, 1, 1_024)?;
//! assert_eq!(record.version(), 1);
//! assert_eq!(record.text()?, "sip:alice@example.com");
//! assert_eq!(record.u32()?, 7);
//! assert_eq!(record.option()?, Some("tag"));
//! record.finish()?;
//! assert_eq!(RecordReader::open(&octets[..9], KIND, 1, 1_024).unwrap_err(), RecordError::Truncated);
//! # Ok::<(), RecordError>(())
//! ```

use alloc::vec::Vec;
use core::fmt;

const MAGIC: [u8; 4] = *b"CPMR";
/// Magic, kind, version, length.
const HEADER: usize = 14;
const CHECKSUM: usize = 4;

/// Why a record is not read. Nothing of it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// It is longer than the reader takes.
    TooLong {
        /// Octets of the record.
        len: usize,
        /// Octets that the reader takes.
        max: usize,
    },
    /// It ends too early.
    Truncated,
    /// It is no record at all.
    NotARecord,
    /// It is a record of something else.
    OtherKind([u8; 4]),
    /// It was written by something newer.
    Newer {
        /// Its version.
        version: u16,
        /// The newest version that is known.
        known: u16,
    },
    /// It is not what was written: its checksum, or what stands behind it.
    Damaged,
    /// A value in it is none: which.
    Value(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::TooLong { len, max } => write!(f, "a record of {len} octets, where {max} are taken"),
            RecordError::Truncated => f.write_str("the record ends too early"),
            RecordError::NotARecord => f.write_str("not a record"),
            RecordError::OtherKind(kind) => write!(f, "a record of another kind: {}", kind.escape_ascii()),
            RecordError::Newer { version, known } => {
                write!(f, "a record of version {version}, where {known} is the newest known")
            }
            RecordError::Damaged => f.write_str("the record is damaged"),
            RecordError::Value(what) => write!(f, "the record has no valid {what}"),
        }
    }
}

impl core::error::Error for RecordError {}

/// Writes one record.
#[derive(Debug)]
pub struct RecordWriter {
    octets: Vec<u8>,
}

impl RecordWriter {
    /// A record of a kind, laid out as this version has it.
    #[must_use]
    pub fn new(kind: [u8; 4], version: u16) -> Self {
        let mut octets = Vec::with_capacity(256);
        octets.extend_from_slice(&MAGIC);
        octets.extend_from_slice(&kind);
        octets.extend_from_slice(&version.to_be_bytes());
        octets.extend_from_slice(&[0; 4]);
        RecordWriter { octets }
    }

    /// A number.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.octets.push(value);
        self
    }

    /// A number.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.octets.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A number.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.octets.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A number.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.octets.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Yes or no.
    pub fn flag(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    /// How many of something follow.
    pub fn count(&mut self, value: usize) -> &mut Self {
        // What does not fit is told apart when the record is read: there are not that many.
        self.u32(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// Octets, with their number before them.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len());
        self.octets.extend_from_slice(value);
        self
    }

    /// Text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// Text that may be missing.
    pub fn option(&mut self, value: Option<&str>) -> &mut Self {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.text(value);
        }
        self
    }

    /// The record.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.octets.len().saturating_sub(HEADER)).unwrap_or(u32::MAX);
        if let Some(place) = self.octets.get_mut(10..HEADER) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        let checksum = crc32fast::hash(&self.octets);
        self.u32(checksum);
        self.octets
    }
}

/// Reads one record.
#[derive(Debug)]
pub struct RecordReader<'r> {
    rest: &'r [u8],
    version: u16,
}

impl<'r> RecordReader<'r> {
    /// Opens a record: it has to be whole, undamaged, of this kind, and of a version that is known.
    ///
    /// # Errors
    /// It is not.
    pub fn open(octets: &'r [u8], kind: [u8; 4], known: u16, max: usize) -> Result<Self, RecordError> {
        if octets.len() > max {
            return Err(RecordError::TooLong { len: octets.len(), max });
        }
        let mut header = RecordReader { rest: octets, version: 0 };
        if header.array::<4>().is_ok_and(|magic| magic != MAGIC) {
            return Err(RecordError::NotARecord);
        }
        let found = header.array::<4>()?;
        let version = header.u16()?;
        let length = usize::try_from(header.u32()?).unwrap_or(usize::MAX);
        let (values, checksum) = header.rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
        if checksum.len() < CHECKSUM {
            return Err(RecordError::Truncated);
        }
        let covered = octets.get(..HEADER.saturating_add(length)).ok_or(RecordError::Truncated)?;
        if checksum != crc32fast::hash(covered).to_be_bytes() {
            return Err(RecordError::Damaged);
        }
        if found != kind {
            return Err(RecordError::OtherKind(found));
        }
        if version > known || version == 0 {
            return Err(RecordError::Newer { version, known });
        }
        Ok(RecordReader { rest: values, version })
    }

    /// The version of the layout.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (value, rest) = self.rest.split_first_chunk::<N>().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*value)
    }

    /// A number.
    ///
    /// # Errors
    /// The record ends before it.
    pub fn u8(&mut self) -> Result<u8, RecordError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// A number.
    ///
    /// # Errors
    /// The record ends before it.
    pub fn u16(&mut self) -> Result<u16, RecordError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// A number.
    ///
    /// # Errors
    /// The record ends before it.
    pub fn u32(&mut self) -> Result<u32, RecordError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A number.
    ///
    /// # Errors
    /// The record ends before it.
    pub fn u64(&mut self) -> Result<u64, RecordError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Yes or no.
    ///
    /// # Errors
    /// The record ends before it, or it is neither.
    pub fn flag(&mut self) -> Result<bool, RecordError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Value("flag")),
        }
    }

    /// How many of something follow: never more than octets are left, so that memory can be set aside for them.
    ///
    /// # Errors
    /// The record ends before it, or before that many.
    pub fn count(&mut self) -> Result<usize, RecordError> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if count > self.rest.len() { Err(RecordError::Truncated) } else { Ok(count) }
    }

    /// Octets.
    ///
    /// # Errors
    /// The record ends before their end.
    pub fn bytes(&mut self) -> Result<&'r [u8], RecordError> {
        let count = self.count()?;
        let (value, rest) = self.rest.split_at_checked(count).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(value)
    }

    /// Text.
    ///
    /// # Errors
    /// The record ends before its end, or it is not UTF-8.
    pub fn text(&mut self) -> Result<&'r str, RecordError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| RecordError::Value("text"))
    }

    /// Text that may be missing.
    ///
    /// # Errors
    /// Like [`text`](RecordReader::text).
    pub fn option(&mut self) -> Result<Option<&'r str>, RecordError> {
        if self.flag()? { self.text().map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Something is.
    pub fn finish(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::Damaged) }
    }
}

#[cfg(test)]
mod tests;
