use super::*;
use crate::Clock;

/// Keeps what it sees as text.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Vec<String>>>);

impl TapSink for Keep {
    fn record(&mut self, crossing: &Crossing<'_>) -> io::Result<()> {
        let what = match crossing.what {
            What::Sent(bytes) => format!("sent {}", bytes.escape_ascii()),
            What::Received(bytes) => format!("received {}", bytes.escape_ascii()),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(format!(
            "{} {} {what}",
            crossing.path.local.port(),
            crossing.path.peer.port()
        ));
        Ok(())
    }
}

struct Full;
impl TapSink for Full {
    fn record(&mut self, _: &Crossing<'_>) -> io::Result<()> {
        Err(io::Error::other("disk full"))
    }
}

fn path(transport: Transport, local: u16, peer: u16) -> Path {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Path { protocol: Protocol::Sip, transport, local: at(local), peer: at(peer) }
}

#[test]
fn octets_between_tapped_ends_are_seen_once() {
    let keep = Keep::default();
    let tap = Tap::new(Clock::start(), vec![Box::new(Once::new(keep.clone()))]);
    let (there, back) = (path(Transport::Udp, 1, 2), path(Transport::Udp, 2, 1));
    tap.sending(there, b"a", || Ok(1)).unwrap();
    tap.happened(back, What::Received(b"a"));
    // 9 is a foreign peer.
    tap.happened(path(Transport::Udp, 1, 9), What::Received(b"b"));
    let (there, back) = (path(Transport::Tcp, 3, 4), path(Transport::Tcp, 4, 3));
    tap.happened(there, What::Connected);
    tap.happened(back, What::Accepted);
    tap.sending(there, b"cdef", || Ok(2)).unwrap();
    tap.happened(there, What::Ended);
    tap.happened(back, What::Received(b"cd"));
    tap.happened(back, What::PeerEnded);
    tap.happened(back, What::Ended);
    tap.happened(path(Transport::Tcp, 3, 9), What::Accepted);
    tap.happened(path(Transport::Tcp, 3, 9), What::Received(b"g"));
    let seen = keep.0.lock().unwrap().clone();
    let expected = [
        "1 2 sent a",
        "1 9 received b",
        "3 4 Connected",
        "3 4 sent cd",
        "3 4 Ended",
        "4 3 Ended",
        "3 9 Accepted",
        "3 9 received g",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_sink_that_fails_is_reported_and_left_out() {
    let keep = Keep::default();
    let tap = Tap::new(Clock::start(), vec![Box::new(Full), Box::new(keep.clone())]);
    tap.happened(path(Transport::Tcp, 3, 4), What::Connected);
    tap.happened(path(Transport::Tcp, 3, 4), What::Ended);
    assert_eq!(keep.0.lock().unwrap().len(), 2);
    assert_eq!(tap.finish().unwrap_err().to_string(), "disk full");
}

#[test]
fn what_was_not_taken_is_not_recorded() {
    let keep = Keep::default();
    let tap = Tap::new(Clock::start(), vec![Box::new(keep.clone())]);
    let refused = tap.sending(path(Transport::Tcp, 3, 4), b"a", || Err(io::ErrorKind::WouldBlock.into()));
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(keep.0.lock().unwrap().is_empty());
}
