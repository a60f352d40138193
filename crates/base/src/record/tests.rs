#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::*;
use alloc::vec;

const KIND: [u8; 4] = *b"TEST";

fn sample() -> Vec<u8> {
    let mut record = RecordWriter::new(KIND, 2);
    record
        .u8(1)
        .u16(2)
        .u32(3)
        .u64(u64::MAX)
        .flag(true)
        .text("é")
        .option(None)
        .option(Some(""))
        .bytes(&[0, 255]);
    record.count(1).text("last");
    record.finish()
}

fn read(octets: &[u8]) -> Result<(), RecordError> {
    let mut record = RecordReader::open(octets, KIND, 2, 1_000)?;
    assert_eq!(record.version(), 2);
    assert_eq!((record.u8()?, record.u16()?, record.u32()?, record.u64()?), (1, 2, 3, u64::MAX));
    assert_eq!(
        (record.flag()?, record.text()?, record.option()?, record.option()?),
        (true, "é", None, Some(""))
    );
    assert_eq!((record.bytes()?, record.count()?, record.text()?), (&[0, 255][..], 1, "last"));
    record.finish()
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(read(&sample()), Ok(()));
    assert_eq!(sample()[..14], *b"CPMRTEST\0\x02\0\0\0\x2e");
}

#[test]
fn every_cut_is_seen() {
    let whole = sample();
    for at in 0..whole.len() {
        assert_eq!(read(&whole[..at]), Err(RecordError::Truncated), "{at}");
    }
}

#[test]
fn every_damaged_octet_is_seen() {
    let whole = sample();
    for at in 0..whole.len() {
        for change in [1, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            assert!(read(&damaged).is_err(), "{at}");
        }
    }
    let mut longer = whole;
    longer.push(0);
    assert_eq!(read(&longer), Err(RecordError::Damaged));
}

#[test]
fn what_it_is_not_is_named() {
    let whole = sample();
    let open = |kind, known, max| RecordReader::open(&whole, kind, known, max).map(|_| ());
    assert_eq!(open(*b"ELSE", 2, 1_000), Err(RecordError::OtherKind(KIND)));
    assert_eq!(open(KIND, 1, 1_000), Err(RecordError::Newer { version: 2, known: 1 }));
    assert_eq!(
        open(KIND, 2, whole.len() - 1),
        Err(RecordError::TooLong { len: whole.len(), max: whole.len() - 1 })
    );
    assert_eq!(RecordReader::open(b"HTTP/1.1 200", KIND, 2, 99).map(|_| ()), Err(RecordError::NotARecord));
}

#[test]
fn values_that_are_none_are_named() {
    let record = |values: &[u8]| {
        let mut record = RecordWriter::new(KIND, 1);
        for octet in values {
            record.u8(*octet);
        }
        record.finish()
    };
    let flag = record(&[2]);
    assert_eq!(RecordReader::open(&flag, KIND, 1, 99).unwrap().flag(), Err(RecordError::Value("flag")));
    let text = record(&[0, 0, 0, 1, 0xff]);
    assert_eq!(RecordReader::open(&text, KIND, 1, 99).unwrap().text(), Err(RecordError::Value("text")));
    let many = record(&[0xff, 0xff, 0xff, 0xff, 0]);
    assert_eq!(RecordReader::open(&many, KIND, 1, 99).unwrap().count(), Err(RecordError::Truncated));
    let left = record(&[0]);
    assert_eq!(RecordReader::open(&left, KIND, 1, 99).unwrap().finish(), Err(RecordError::Damaged));
    assert_eq!(vec![0u8; 0], RecordReader::open(&record(&[0; 4]), KIND, 1, 99).unwrap().bytes().unwrap());
}
