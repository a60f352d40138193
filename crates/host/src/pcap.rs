//! A capture that Wireshark opens: the classic pcap format, one packet per datagram or piece of a stream.
//!
//! Only the payload is real: IP, UDP and TCP headers are made up around it (link type RAW, which begins with the IP
//! header), with right lengths, checksums and TCP sequence numbers, a handshake where a stream begins and FINs where
//! it ends, so that a dissector follows streams as if they had been captured.

use crate::tap::{Crossing, Path, TapSink, What};
use cpm_base::{DateTime, Transport};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

/// LINKTYPE_RAW: packets begin with an IPv4 or IPv6 header.
const LINKTYPE_RAW: u32 = 101;
/// Most octets of a stream in one packet; header and payload stay below the 65,535 of an IP packet.
const SEGMENT: usize = 16_384;
/// The most that fits in a packet with the greatest of the headers written here.
const MAX_DATAGRAM: usize = 65_535 - 48;
/// Streams followed at once; when there are more the oldest is followed no further (its next octets open it anew).
const MAX_STREAMS: usize = 4_096;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

const UDP: u8 = 17;
const TCP: u8 = 6;

/// Writes a capture.
pub struct PcapWriter<W> {
    to: W,
    began: bool,
    /// By the ends in order of address.
    streams: BTreeMap<(SocketAddr, SocketAddr), Stream>,
    next_stream: u64,
}

/// What a capture knows of one TCP connection. `[0]` is the end with the lower address.
struct Stream {
    /// Next sequence number of each end.
    next: [u32; 2],
    /// Which ends sent FIN.
    ended: [bool; 2],
    /// For finding the oldest.
    number: u64,
}

impl<W: Write> PcapWriter<W> {
    /// A capture that goes to `to`.
    pub fn new(to: W) -> Self {
        PcapWriter { to, began: false, streams: BTreeMap::new(), next_stream: 0 }
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.began {
            return Ok(());
        }
        self.began = true;
        // Magic number for microseconds, version 2.4, no zone, no accuracy, longest packet, link type.
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
        header.extend_from_slice(&2u16.to_le_bytes());
        header.extend_from_slice(&4u16.to_le_bytes());
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&65_535u32.to_le_bytes());
        header.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        self.to.write_all(&header)
    }

    fn packet(&mut self, at: DateTime, bytes: &[u8]) -> io::Result<()> {
        let micros = at.unix_micros();
        let seconds = u32::try_from(micros.div_euclid(1_000_000)).unwrap_or(u32::MAX);
        let fraction = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or_default();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        for field in [seconds, fraction, length, length] {
            self.to.write_all(&field.to_le_bytes())?;
        }
        self.to.write_all(bytes)
    }

    fn datagram(&mut self, at: DateTime, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        let payload = payload.get(..MAX_DATAGRAM).unwrap_or(payload);
        self.packet(at, &ip_packet(from, to, UDP, udp_header(from, to, payload), payload))
    }

    /// One TCP segment; moves the sender's sequence number on.
    fn segment(
        &mut self,
        at: DateTime,
        from: SocketAddr,
        to: SocketAddr,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let (key, end) = key(from, to);
        let Some(stream) = self.streams.get_mut(&key) else { return Ok(()) };
        let [low, high] = stream.next;
        let (sequence, other) = if end == 0 { (low, high) } else { (high, low) };
        let acknowledged = if flags & ACK == 0 { 0 } else { other };
        let taken = u32::try_from(payload.len()).unwrap_or_default() + u32::from(flags & (SYN | FIN) != 0);
        if let Some(next) = stream.next.get_mut(end) {
            *next = sequence.wrapping_add(taken);
        }
        let header = tcp_header(from.port(), to.port(), sequence, acknowledged, flags);
        self.packet(at, &ip_packet(from, to, TCP, header, payload))
    }

    /// The handshake of a stream that `from` opened, unless it is known already.
    fn open(&mut self, at: DateTime, from: SocketAddr, to: SocketAddr, anew: bool) -> io::Result<()> {
        let (key, _) = key(from, to);
        if self.streams.get(&key).is_some_and(|stream| !anew || stream.ended != [true; 2]) {
            return Ok(());
        }
        if self.streams.len() >= MAX_STREAMS
            && let Some(oldest) =
                self.streams.iter().min_by_key(|(_, stream)| stream.number).map(|(key, _)| *key)
        {
            self.streams.remove(&oldest);
        }
        // Sequence numbers that differ from stream to stream and from end to end, and do not depend on anything else.
        let number = self.next_stream;
        self.next_stream += 1;
        let base = (u32::try_from(number & 0xff).unwrap_or_default() << 24).wrapping_add(1_000);
        self.streams
            .insert(key, Stream { next: [base, base.wrapping_add(0x0080_0000)], ended: [false; 2], number });
        self.segment(at, from, to, SYN, &[])?;
        self.segment(at, to, from, SYN | ACK, &[])?;
        self.segment(at, from, to, ACK, &[])
    }

    fn octets(&mut self, at: DateTime, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
        // A stream that was there before the capture began gets a handshake now.
        self.open(at, from, to, false)?;
        for piece in payload.chunks(SEGMENT) {
            self.segment(at, from, to, PSH | ACK, piece)?;
            self.segment(at, to, from, ACK, &[])?;
        }
        Ok(())
    }

    fn end(&mut self, at: DateTime, from: SocketAddr, to: SocketAddr) -> io::Result<()> {
        let (key, end) = key(from, to);
        match self.streams.get_mut(&key).and_then(|stream| stream.ended.get_mut(end)) {
            Some(ended) if !*ended => *ended = true,
            _ => return Ok(()),
        }
        self.segment(at, from, to, FIN | ACK, &[])?;
        self.segment(at, to, from, ACK, &[])
    }
}

impl<W: Write + Send> TapSink for PcapWriter<W> {
    fn record(&mut self, crossing: &Crossing<'_>) -> io::Result<()> {
        self.begin()?;
        let at = crossing.at.wall;
        let Path { transport, local, peer, .. } = crossing.path;
        let (local, peer) = same_family(local, peer);
        match (transport, crossing.what) {
            (Transport::Udp, What::Sent(bytes)) => self.datagram(at, local, peer, bytes),
            (Transport::Udp, What::Received(bytes)) => self.datagram(at, peer, local, bytes),
            (Transport::Udp, _) => Ok(()),
            (_, What::Sent(bytes)) => self.octets(at, local, peer, bytes),
            (_, What::Received(bytes)) => self.octets(at, peer, local, bytes),
            (_, What::Connected) => self.open(at, local, peer, true),
            (_, What::Accepted) => self.open(at, peer, local, true),
            (_, What::Ended) => self.end(at, local, peer),
            (_, What::PeerEnded) => self.end(at, peer, local),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // A capture of nothing is a capture too.
        self.begin()?;
        self.to.flush()
    }
}

/// The stream's name and which of its ends `from` is.
fn key(from: SocketAddr, to: SocketAddr) -> ((SocketAddr, SocketAddr), usize) {
    if from <= to { ((from, to), 0) } else { ((to, from), 1) }
}

/// Both addresses as IPv4 or both as IPv6.
fn same_family(a: SocketAddr, b: SocketAddr) -> (SocketAddr, SocketAddr) {
    let wide = |address: SocketAddr| match address.ip() {
        IpAddr::V4(v4) => SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), address.port()),
        IpAddr::V6(_) => address,
    };
    if a.is_ipv4() == b.is_ipv4() { (a, b) } else { (wide(a), wide(b)) }
}

/// 16 bits of a length that was bounded before.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// RFC 768, its checksum still 0.
fn udp_header(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(8);
    header.extend_from_slice(&from.port().to_be_bytes());
    header.extend_from_slice(&to.port().to_be_bytes());
    header.extend_from_slice(&short(payload.len() + 8));
    header.extend_from_slice(&[0, 0]);
    header
}

/// RFC 9293 §3.1 without options, its checksum still 0.
fn tcp_header(from: u16, to: u16, sequence: u32, acknowledged: u32, flags: u8) -> Vec<u8> {
    let mut header = Vec::with_capacity(20);
    header.extend_from_slice(&from.to_be_bytes());
    header.extend_from_slice(&to.to_be_bytes());
    header.extend_from_slice(&sequence.to_be_bytes());
    header.extend_from_slice(&acknowledged.to_be_bytes());
    // Five words of header, flags, the widest window, checksum, no urgent data.
    header.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    header
}

/// The packet around a transport header and its payload, with both checksums.
fn ip_packet(from: SocketAddr, to: SocketAddr, protocol: u8, mut header: Vec<u8>, payload: &[u8]) -> Vec<u8> {
    let length = header.len() + payload.len();
    let mut packet = Vec::with_capacity(40 + length);
    let mut sum = Sum::default();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            // RFC 791: version 4, five words, no fragmentation, 64 hops.
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend_from_slice(&short(20 + length));
            packet.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
            packet.extend_from_slice(&from.octets());
            packet.extend_from_slice(&to.octets());
            let checksum = Sum::of(&packet);
            put(&mut packet, 10, checksum);
            sum.add(&from.octets());
            sum.add(&to.octets());
        }
        (from, to) => {
            let (from, to) = (octets(from), octets(to));
            // RFC 8200: version 6, 64 hops.
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&short(length));
            packet.extend_from_slice(&[protocol, 64]);
            packet.extend_from_slice(&from);
            packet.extend_from_slice(&to);
            sum.add(&from);
            sum.add(&to);
        }
    }
    // The pseudo header ends with the protocol and the length, then follow transport header and payload.
    sum.add(&[0, protocol]);
    sum.add(&short(length));
    sum.add(&header);
    sum.add(payload);
    match sum.finish() {
        // RFC 768: a UDP checksum of 0 would say that there is none.
        [0, 0] if protocol == UDP => put(&mut header, 6, [0xff, 0xff]),
        checksum if protocol == UDP => put(&mut header, 6, checksum),
        checksum => put(&mut header, 16, checksum),
    }
    packet.extend_from_slice(&header);
    packet.extend_from_slice(payload);
    packet
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn put(into: &mut [u8], at: usize, value: [u8; 2]) {
    if let Some(place) = into.get_mut(at..at + 2) {
        place.copy_from_slice(&value);
    }
}

/// The internet checksum (RFC 1071). Every piece but the last has an even length.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks(2) {
            let word = match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                [high] => u16::from_be_bytes([*high, 0]),
                _ => 0,
            };
            self.0 += u64::from(word);
        }
    }

    fn finish(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!u16::try_from(sum).unwrap_or_default()).to_be_bytes()
    }

    fn of(bytes: &[u8]) -> [u8; 2] {
        let mut sum = Sum::default();
        sum.add(bytes);
        sum.finish()
    }
}

#[cfg(test)]
mod tests;
