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
            typed(&attribute);
        }
    }
    for line in description.lines().chain(description.media().iter().flat_map(|media| media.lines())) {
        let Some(read) = line.typed() else { continue };
        let text = read.to_string();
        let again = text.strip_prefix(char::from(line.kind)).and_then(|rest| rest.strip_prefix('='));
        let again = cpm_sdp::Line::read(line.kind, again.expect("a line").as_bytes());
        assert_eq!(again, Some(read));
    }
    let _ = (description.findings(), description.times(), description.value('s'));
    relayed(&description);
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

/// What is read of an attribute is written and read again as the same; names of files are safe.
fn typed(attribute: &cpm_sdp::Attribute<'_>) {
    use cpm_sdp::{SafeFileName, TypedAttribute};
    let Ok(Some(read)) = attribute.typed() else { return };
    let value = read.value();
    let again = TypedAttribute::read(read.name(), value.as_deref().map(str::as_bytes));
    assert_eq!(again.as_ref(), Ok(&Some(read.clone())));
    if let TypedAttribute::FileSelector(selector) = read {
        let name = selector.safe_name();
        assert!(!name.as_str().is_empty() && name.as_str().len() <= 255);
        assert!(!name.as_str().contains(['/', '\\', ':']) && !name.as_str().starts_with('.'));
        assert_eq!(SafeFileName::new(name.as_str()), name);
    }
}

/// What goes through us can be read, has as many media, and names our ends alone.
fn relayed(description: &cpm_sdp::SessionDescription) {
    use cpm_sdp::{End, LegOrigin, LegRules, MediaPolicy, Merge, MsrpTransport, OfferBridge, SessionIds};
    let policy = MediaPolicy { msrp: true, others: vec!["audio".into()] };
    let Ok(mut bridge) = OfferBridge::new(description, &policy) else { return };
    let rules = LegRules {
        cema: true,
        legacy: true,
        chunks: cpm_sdp::ChunkSizes::new(vec![100, 1024], false),
        rechunk: false,
        events: false,
        closed_group: true,
    };
    let end = |media: &cpm_sdp::Media| {
        let tls = media.proto().eq_ignore_ascii_case(MsrpTransport::Tls.as_str());
        let path = format!("{}://192.0.2.7:2855/ours;tcp", if tls { "msrps" } else { "msrp" });
        Some(End { address: [192, 0, 2, 7].into(), port: 2855, path })
    };
    let ends: Vec<_> = description.media().iter().map(end).collect();
    let mut origin = LegOrigin::new(SessionIds { id: 7, version: 1 }, [192, 0, 2, 7].into());
    let (leg, out) = match bridge.add_leg(&mut origin, &rules, &ends) {
        Ok(passed) => passed,
        Err(cpm_sdp::RelayError::Text(_)) => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(out.media().len(), description.media().len());
    let anchored: Vec<usize> = bridge.anchored().collect();
    for index in anchored {
        let path = out.media()[index].attribute("path").expect("a path");
        assert!(path.text().expect("text").ends_with("://192.0.2.7:2855/ours;tcp"));
    }
    // Any description answers itself, as far as it can.
    if bridge.answered(leg, description).is_ok()
        && let Ok((answer, sides)) = bridge.answer(Merge::All, &mut origin, &rules, &ends)
    {
        assert_eq!(
            (answer.media().len(), sides.len()),
            (description.media().len(), description.media().len())
        );
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
