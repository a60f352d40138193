//! The disposition machines (TS 5.4, RFC 5438): what became of messages, on both sides.
//!
//! * [`Sent`] is the sender's: it knows what was asked for which message, and takes the notifications that arrive.
//! * [`Owed`] is the receiver's: it knows what others asked of us, and says which notification goes next, and by which way.
//!
//! [`aggregate()`] and [`notifications`] put several notifications into one message and read them again (RFC 5438 §8.3).
//!
//! Both machines are pure state: they send nothing, and know no time but the order of what happens. Both export to a
//! [record](cpm_base::record) and are restored from it.

mod aggregate;
mod owed;
mod sent;

pub use aggregate::{Disclosure, ImdnFault, aggregate, notifications};
pub use owed::{Due, DueId, Happened, Owed, OwedId, OwedLimits, OwedMessage, Settings, Way};
pub use sent::{Progress, Sent, SentLimits, SentMessage, Verdict};

use cpm_base::record::{RecordError, RecordReader, RecordWriter};
use cpm_cpim::DispositionRequest;

/// A request in one octet; extensions are nothing that a notification exists for.
fn write_request(record: &mut RecordWriter, request: &DispositionRequest) {
    let flags = [
        request.positive_delivery,
        request.negative_delivery,
        request.processing,
        request.display,
        request.interworking,
    ];
    let octet = flags.into_iter().rev().fold(0u8, |octet, flag| (octet << 1) | u8::from(flag));
    record.u8(octet);
}

fn read_request(record: &mut RecordReader<'_>) -> Result<DispositionRequest, RecordError> {
    let octet = record.u8()?;
    if octet >= 1 << 5 {
        return Err(RecordError::Value("disposition request"));
    }
    let bit = |place: u8| octet & (1 << place) != 0;
    Ok(DispositionRequest {
        positive_delivery: bit(0),
        negative_delivery: bit(1),
        processing: bit(2),
        display: bit(3),
        interworking: bit(4),
        ..DispositionRequest::default()
    })
}

/// Whether a request asks for anything that a notification exists for.
fn asks(request: &DispositionRequest) -> bool {
    request.positive_delivery
        || request.negative_delivery
        || request.processing
        || request.display
        || request.interworking
}
