//! MSRP (RFC 4975) with the roles of RFC 6135 and the anchoring of RFC 6714.
#![no_std]
extern crate alloc;

mod event;
mod head;
mod limits;
mod parser;
mod ranges;
mod reassembly;
mod timers;
mod uri;
mod values;
mod write;

pub use event::{
    AbortReason, Action, ChunkId, Event, Fault, FaultKind, IncomingId, LostReason, Matching, Outgoing, Role,
    SendError, SendFailure, SendRefusal, SessionConfig, SessionError, SessionId, TransferId,
};
pub use head::{BadHead, Head, HeadError, Method, StartLine};
pub use limits::Limits;
pub use parser::{Frame, FramingError, StreamParser};
pub use reassembly::{Reassembly, ReassemblyError};
pub use uri::{Host, MsrpUri, UriError};
pub use values::{ByteRange, ContinuationFlag, FailureReport, Status};
