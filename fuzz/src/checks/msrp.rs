//! MSRP: streams, and an endpoint behind them.

use super::{cut, partitions};
use bytes::Bytes;

/// An MSRP stream: the frames are the same however it is cut, apart from where bodies are cut into pieces.
pub fn msrp_stream(data: &[u8]) {
    let small = cpm_msrp::Limits {
        max_header: 200,
        max_lines: 6,
        max_nonsend_body: 16,
        piece: 64,
        ..cpm_msrp::Limits::default()
    };
    for limits in [cpm_msrp::Limits::default(), small] {
        let [whole, bytewise, pieces] = partitions(data).map(|parts| msrp_frames(&parts, &limits));
        assert_eq!(whole, bytewise, "octet by octet");
        assert_eq!(whole, pieces, "in pieces");
    }
    for parts in [vec![data], cut(data)] {
        msrp_endpoint(&parts, data);
    }
}

/// An endpoint with one session that waits for its peer, and a message for it: what it writes is MSRP, what it hands on
/// came in, and it comes to rest.
fn msrp_endpoint(parts: &[&[u8]], data: &[u8]) {
    use cpm_base::{DateTime, FlowId, FlowInfo, Instant, Now, Protocol, Seed, Transport, Trust};
    use cpm_msrp::{
        Action, Config, Endpoint, Event, FailureReport, Limits, Matching, MsrpUri, Outgoing, Role, Status,
    };
    let config = Config { limits: Limits::default(), seed: Seed::new([7; 32]) };
    let mut endpoint = Endpoint::new(config).expect("default limits");
    let mut now = Now::new(Instant::ZERO, DateTime::UNIX_EPOCH);
    let uri = |text| MsrpUri::parse(text).expect("a URI");
    let session = cpm_msrp::SessionConfig {
        local_path: uri("msrp://127.0.0.1:2855/fuzzedsession1234;tcp"),
        remote_path: vec![uri("msrp://192.0.2.10:40010/a9s8d7f6g5h4j3k2;tcp")],
        role: Role::Passive,
        matching: Matching::Rfc4975,
        max_chunk: None,
        max_message: 4096,
    };
    let session = endpoint.open_session(now, session).expect("a session");
    let outgoing = Outgoing {
        message_id: Some("ours".into()),
        content_type: "message/cpim".into(),
        body: Bytes::from_static(&[b'x'; 3000]).into(),
        success_report: true,
        failure_report: FailureReport::Yes,
    };
    endpoint.send(now, session, outgoing).expect("a message");
    let flow = FlowId(1);
    let info = FlowInfo {
        protocol: Protocol::Msrp,
        transport: Transport::Tcp,
        local: ([127, 0, 0, 1], 2855).into(),
        peer: ([192, 0, 2, 10], 40010).into(),
        secure_identity: None,
        trust: Trust::Outside,
    };
    endpoint.handle_accepted(now, flow, info);
    let (mut written, mut received, mut closed) = (Vec::new(), 0, false);
    let mut drain = |endpoint: &mut Endpoint, now: Now| {
        while let Some(action) = endpoint.poll_action() {
            match action {
                Action::Close(..) => closed = true,
                Action::Event(Event::Data { bytes, .. }) => received += bytes.len(),
                Action::Event(Event::ChunkEnd { chunk, .. }) => {
                    let refuse = chunk.0 % 5 == 4;
                    endpoint.respond(
                        now,
                        chunk,
                        if refuse { Status::new(413).expect("a status") } else { Status::OK },
                    );
                }
                _ => {}
            }
        }
        let before = written.len();
        let count = endpoint.poll_transmit(now, flow, 700, &mut written);
        assert_eq!(written.len(), before + count);
        assert!(count <= 700 && !(closed && count > 0), "writes to a closed flow");
    };
    for (number, part) in parts.iter().enumerate() {
        endpoint.handle_stream(now, flow, Bytes::copy_from_slice(part));
        drain(&mut endpoint, now);
        if number % 16 == 15 {
            now = now.plus(std::time::Duration::from_secs(1));
            endpoint.handle_timeout(now);
        }
    }
    for _ in 0..200 {
        drain(&mut endpoint, now);
        let Some(next) = endpoint.next_timeout() else { break };
        now.mono = now.mono.max(next);
        endpoint.handle_timeout(now);
    }
    assert!(endpoint.next_timeout().is_none(), "an endpoint that nobody talks to comes to rest");
    assert!(received <= data.len(), "{received} octets out of {}", data.len());
    written_msrp(&written, data);
}

/// What an endpoint wrote can be read, and it answered no more than it was asked.
fn written_msrp(written: &[u8], data: &[u8]) {
    let mut parser = cpm_msrp::StreamParser::new(&cpm_msrp::Limits::default());
    parser.push(Bytes::copy_from_slice(written));
    let mut answers = 0;
    while let Some(frame) = parser.next() {
        match frame {
            cpm_msrp::Frame::Head(head) => {
                answers += usize::from(matches!(head.start(), cpm_msrp::StartLine::Response { .. }));
            }
            cpm_msrp::Frame::BadHead(_) | cpm_msrp::Frame::Lost(_) => panic!("it wrote {frame:?}"),
            _ => {}
        }
    }
    let asked = data.windows(5).filter(|window| window == b"MSRP ").count();
    assert!(answers <= asked, "{answers} answers to {asked} messages");
}

fn msrp_frames(parts: &[&[u8]], limits: &cpm_msrp::Limits) -> Vec<String> {
    let mut parser = cpm_msrp::StreamParser::new(limits);
    let mut frames = Vec::new();
    let mut body: Vec<u8> = Vec::new();
    for part in parts {
        parser.push(Bytes::copy_from_slice(part));
        while let Some(frame) = parser.next() {
            let frame = match frame {
                cpm_msrp::Frame::Body(piece) => {
                    assert!(
                        !piece.is_empty() && piece.len() <= limits.piece,
                        "a piece of {} octets",
                        piece.len()
                    );
                    body.extend_from_slice(&piece);
                    continue;
                }
                cpm_msrp::Frame::Head(head) => {
                    let _ = (head.to_path(), head.from_path(), head.byte_range(), head.report_status());
                    let _ = (head.content_type(), head.fields().count());
                    format!("head {:?}", head.to_bytes())
                }
                cpm_msrp::Frame::BadHead(bad) => format!("bad head {bad:?}"),
                cpm_msrp::Frame::End(flag) => format!("end {flag:?}"),
                cpm_msrp::Frame::Lost(cpm_msrp::FramingError::Limit(exceeded)) => {
                    // How much of the body came out before depends on the cut.
                    body.clear();
                    format!("lost {}", exceeded.limit)
                }
                cpm_msrp::Frame::Lost(error) => format!("lost {error:?}"),
            };
            frames.push(format!("body {:?}", Bytes::from(std::mem::take(&mut body))));
            frames.push(frame);
        }
    }
    frames.push(format!("body {:?}", Bytes::from(body)));
    frames
}
