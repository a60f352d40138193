//! The files that `--trace` and `--pcap` name.

use crate::args::Record;
use cpm_host::{Clock, Once, PcapWriter, Tap, TapSink, TraceWriter};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// A tap that writes the files asked for, beside other sinks.
pub(crate) fn tap(clock: Clock, record: &Record, mut sinks: Vec<Box<dyn TapSink>>) -> Result<Tap, String> {
    if let Some(path) = &record.trace {
        sinks.push(Box::new(Once::new(TraceWriter::new(create(path)?))));
    }
    if let Some(path) = &record.pcap {
        sinks.push(Box::new(Once::new(PcapWriter::new(create(path)?))));
    }
    Ok(Tap::new(clock, sinks))
}

/// Writes out what is still held back.
pub(crate) fn finish(tap: &Tap) -> Result<(), String> {
    tap.finish().map_err(|error| format!("the trace or capture is not complete: {error}"))
}

fn create(path: &Path) -> Result<BufWriter<File>, String> {
    File::create(path)
        .map(BufWriter::new)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
