//! Session descriptions: offer and answer.

/// SDP: octets survive; an offer is answered or refused, and the answer is one that the offerer can read.
pub fn sdp(data: &[u8]) {
    use cpm_sdp::{Direction, Limits, RemoteOffer, SessionDescription, SessionIds, Setup, offer};
    let limits = Limits::default();
    let Ok(description) = SessionDescription::parse(data, &limits) else { return };
    assert_eq!(description.to_bytes(), data);
    let _ = (description.origin(), description.connection(), description.attributes().count());
    for media in description.media() {
        let _ = (media.media(), media.port(), media.proto(), media.formats(), media.connection());
        for attribute in media.attributes() {
            let _ = (attribute.name, attribute.text());
        }
    }
    let ids = SessionIds { id: 7, version: 1 };
    for setup in [Setup::Active, Setup::Passive] {
        let Ok(remote) = RemoteOffer::read(&description) else { break };
        let _ = (remote.accepts("message/cpim"), remote.accepts_wrapped("text/plain"), remote.file_size());
        let ours = our_medium(setup, Direction::SendRecv, remote.transport());
        if let Ok((answer, negotiated)) = remote.answer(&ids, &ours) {
            let read = SessionDescription::parse(&answer.to_bytes(), &limits).expect("our answer is SDP");
            assert_eq!(read.media().len(), description.media().len());
            assert_eq!(read.media().iter().filter(|media| media.port() != Some(0)).count(), 1);
            assert!(!negotiated.remote_path.is_empty());
        }
    }
    for transport in [cpm_sdp::MsrpTransport::Tcp, cpm_sdp::MsrpTransport::Tls] {
        let media = our_medium(Setup::ActPass, Direction::SendOnly, transport);
        let (ours, pending) = offer(&ids, &media).expect("our offer");
        SessionDescription::parse(&ours.to_bytes(), &limits).expect("our offer is SDP");
        if let Ok(negotiated) = pending.answered(&description) {
            assert_eq!(negotiated.transport, transport);
            assert!(
                matches!(negotiated.direction, Direction::SendOnly | Direction::Inactive),
                "more than was offered"
            );
        }
    }
}

fn our_medium(
    setup: cpm_sdp::Setup,
    direction: cpm_sdp::Direction,
    transport: cpm_sdp::MsrpTransport,
) -> cpm_sdp::MsrpMedia {
    let scheme = if transport == cpm_sdp::MsrpTransport::Tls { "msrps" } else { "msrp" };
    cpm_sdp::MsrpMedia {
        accept_wrapped_types: vec!["*".into()],
        setup,
        direction,
        max_size: Some(100_000),
        ..cpm_sdp::MsrpMedia::new(
            transport,
            [192, 0, 2, 7].into(),
            2855,
            format!("{scheme}://192.0.2.7:2855/our1session2nobody3guesses;tcp"),
        )
    }
}
