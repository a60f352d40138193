use super::*;
use cpm_base::{Instant, Now, Protocol};

fn crossing<'a>(transport: Transport, local: &str, peer: &str, what: What<'a>) -> Crossing<'a> {
    let path = Path {
        protocol: Protocol::Sip,
        transport,
        local: local.parse().unwrap(),
        peer: peer.parse().unwrap(),
    };
    let wall = DateTime::from_unix_micros(1_000_000_007).unwrap();
    Crossing { at: Now::new(Instant::ZERO, wall), node: "", path, what }
}

fn capture(crossings: &[Crossing<'_>]) -> Vec<u8> {
    let mut pcap = PcapWriter::new(Vec::new());
    for crossing in crossings {
        pcap.record(crossing).unwrap();
    }
    pcap.flush().unwrap();
    pcap.to
}

/// The packets of a capture, without their record headers.
fn packets(mut capture: &[u8]) -> Vec<&[u8]> {
    capture = &capture[24..];
    let mut packets = Vec::new();
    while !capture.is_empty() {
        let length = u32::from_le_bytes(capture[8..12].try_into().unwrap()) as usize;
        assert_eq!(capture[8..12], capture[12..16]);
        packets.push(&capture[16..16 + length]);
        capture = &capture[16 + length..];
    }
    packets
}

/// One TCP packet over IPv4: (source port, sequence, acknowledgement, flags, payload).
fn tcp(packet: &[u8]) -> (u16, u32, u32, u8, &[u8]) {
    let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
    (u16::from_be_bytes([packet[20], packet[21]]), word(24), word(28), packet[33], &packet[40..])
}

#[test]
fn a_datagram_octet_by_octet() {
    let bytes =
        capture(&[crossing(Transport::Udp, "192.0.2.1:5060", "192.0.2.2:5070", What::Sent(b"hello"))]);
    #[rustfmt::skip]
    let expected: &[u8] = &[
        // File header.
        0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0,
        // 1000.000007 s, 33 octets.
        0xe8, 0x03, 0, 0, 7, 0, 0, 0, 33, 0, 0, 0, 33, 0, 0, 0,
        // IPv4 header; both checksums were computed by another program.
        0x45, 0, 0, 33, 0, 0, 0x40, 0, 64, 17, 0xb6, 0xc8, 192, 0, 2, 1, 192, 0, 2, 2,
        // UDP header.
        0x13, 0xc4, 0x13, 0xce, 0, 13, 0x10, 0x6c,
        b'h', b'e', b'l', b'l', b'o',
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn checksums_verify() {
    // What a receiver does: the sum over pseudo header, header and payload with the checksum in it is 0.
    let check = |transport, local: &str, peer: &str, payload: &[u8]| {
        let bytes = capture(&[crossing(transport, local, peer, What::Sent(payload))]);
        for packet in packets(&bytes) {
            let (addresses, protocol, rest) = match packet[0] >> 4 {
                4 => {
                    assert_eq!(Sum::of(&packet[..20]), [0, 0]);
                    (&packet[12..20], packet[9], &packet[20..])
                }
                _ => (&packet[8..40], packet[6], &packet[40..]),
            };
            let mut sum = Sum::default();
            sum.add(addresses);
            sum.add(&[0, protocol]);
            sum.add(&short(rest.len()));
            sum.add(rest);
            assert_eq!(sum.finish(), [0, 0]);
        }
    };
    for payload in [&b""[..], b"a", b"ab", &[0xff; 1001]] {
        check(Transport::Udp, "192.0.2.1:5060", "192.0.2.2:5070", payload);
        check(Transport::Udp, "[2001:db8::1]:5060", "[2001:db8::2]:5070", payload);
        check(Transport::Tcp, "192.0.2.1:5060", "192.0.2.2:5070", payload);
        check(Transport::Tcp, "[2001:db8::1]:5060", "[2001:db8::2]:5070", payload);
    }
}

#[test]
fn a_stream_has_handshake_numbers_and_end() {
    let (a, b) = ("127.0.0.1:40000", "127.0.0.1:2855");
    let bytes = capture(&[
        crossing(Transport::Tcp, a, b, What::Connected),
        crossing(Transport::Tcp, b, a, What::Accepted),
        crossing(Transport::Tcp, a, b, What::Sent(b"abc")),
        crossing(Transport::Tcp, b, a, What::Sent(b"de")),
        crossing(Transport::Tcp, a, b, What::Ended),
        crossing(Transport::Tcp, b, a, What::PeerEnded),
        crossing(Transport::Tcp, b, a, What::Ended),
    ]);
    let seen: Vec<_> = packets(&bytes).into_iter().map(tcp).collect();
    // 2855 is the lower end and begins at 1000.
    let (x, y) = (1_000 + 0x0080_0000, 1_000);
    let expected: Vec<(u16, u32, u32, u8, &[u8])> = vec![
        (40000, x, 0, SYN, b""),
        (2855, y, x + 1, SYN | ACK, b""),
        (40000, x + 1, y + 1, ACK, b""),
        (40000, x + 1, y + 1, PSH | ACK, b"abc"),
        (2855, y + 1, x + 4, ACK, b""),
        (2855, y + 1, x + 4, PSH | ACK, b"de"),
        (40000, x + 4, y + 3, ACK, b""),
        (40000, x + 4, y + 3, FIN | ACK, b""),
        (2855, y + 3, x + 5, ACK, b""),
        (2855, y + 3, x + 5, FIN | ACK, b""),
        (40000, x + 5, y + 4, ACK, b""),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn long_pieces_are_cut_and_whole() {
    let long: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8).collect();
    let bytes = capture(&[crossing(Transport::Tcp, "127.0.0.1:1", "127.0.0.1:2", What::Received(&long))]);
    let mut whole = Vec::new();
    for packet in packets(&bytes) {
        assert!(packet.len() <= 40 + SEGMENT);
        whole.extend_from_slice(tcp(packet).4);
    }
    assert_eq!(whole, long);
}

#[test]
fn ports_used_again_begin_a_new_stream() {
    let (a, b) = ("127.0.0.1:40000", "127.0.0.1:2855");
    let mut crossings = Vec::new();
    for _ in 0..2 {
        crossings.push(crossing(Transport::Tcp, a, b, What::Connected));
        crossings.push(crossing(Transport::Tcp, a, b, What::Ended));
        crossings.push(crossing(Transport::Tcp, b, a, What::Ended));
    }
    let bytes = capture(&crossings);
    let handshakes = packets(&bytes).into_iter().filter(|packet| tcp(packet).3 == SYN).count();
    assert_eq!(handshakes, 2);
}
