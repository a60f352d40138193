use super::*;
use alloc::vec::Vec;
use bytes::Bytes;
use cpm_base::Trust;
use cpm_sip::{Limits, Message, parse_datagram};

fn headers(via: &str) -> Headers {
    let message = format!("SIP/2.0 200 OK\r\nv:{via}\r\n\r\n");
    let Ok(Message::Response(response)) = parse_datagram(Bytes::from(message), &Limits::default()) else {
        panic!("{via}")
    };
    response.headers().clone()
}

/// What is noted in a Via is what the typed value writes, for all that can be written without it.
#[test]
fn the_source_is_noted_as_the_typed_value_writes_it() {
    let sources: Vec<SocketAddr> =
        ["192.0.2.7:5061", "[2001:db8::7]:5062"].map(|source| source.parse().unwrap()).into();
    for via in [
        "SIP/2.0/UDP h;branch=z9hG4bK1;rport",
        " SIP / 2.0 / udp  10.0.0.1 : 5070 ; RPort ; branch = z9hG4bK1 ; x ; y=[::1]",
        "SIP/2.0/TCP h.example.com.;received=10.0.0.9;rport=9;ttl=3;branch=z9hG4bK1",
        "SIP/2.0/TCP h;Received=::1;branch=z9hG4bK1, SIP/2.0/UDP other",
        "SIP/2.0/TCP\r\n h;branch=z9hG4bK1\r\n ;rport",
        "SIP/2.0/TCP [2001:DB8:0::1]:1;rport",
        "SIP/2.0/TCP h;x=\"a b\";rport",
    ] {
        for source in &sources {
            let (mut noted, mut typed) = (headers(via), headers(via));
            let info = FlowInfo {
                protocol: Protocol::Sip,
                transport: Transport::Udp,
                local: *source,
                peer: *source,
                secure_identity: None,
                trust: Trust::Outside,
            };
            let (_, top, _) = read_top(&typed, &info).unwrap();
            stamp(&mut noted, FlowId(1), &info).unwrap();
            top.note_typed(&mut typed, *source).unwrap();
            let text = |headers: &Headers| headers.get(&HeaderName::Via).unwrap().as_bytes().to_vec();
            assert_eq!(text(&noted), text(&typed), "{via}");
        }
    }
}
