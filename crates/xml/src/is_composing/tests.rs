use super::*;
use proptest::prelude::*;

fn read(text: &str) -> Result<IsComposing, XmlError> {
    parse(text.as_bytes(), &Limits::DEFAULT)
}

#[test]
fn a_document_is_known_both_ways() {
    let value = IsComposing::active(Some("text/plain"), Some(90));
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\">\
                <state>active</state><contenttype>text/plain</contenttype><refresh>90</refresh></isComposing>";
    assert_eq!(write(&value), text);
    assert_eq!(read(text), Ok(value));
}

#[test]
fn whatever_is_not_active_is_idle() {
    let read_state = |state: &str| {
        read(&format!("<isComposing xmlns='{NAMESPACE}'><state>{state}</state></isComposing>")).unwrap().state
    };
    assert_eq!(read_state(" active\n"), State::Active);
    assert_eq!(read_state("idle"), State::Idle);
    assert_eq!(read_state("pondering"), State::Idle);
}

#[test]
fn faults_are_named() {
    let document = |inside: &str| read(&format!("<isComposing xmlns='{NAMESPACE}'>{inside}</isComposing>"));
    assert_eq!(document(""), Err(XmlError::Missing("state")));
    assert_eq!(document("<state>idle</state><state>idle</state>"), Err(XmlError::Repeated("state")));
    for bad in ["0", "-1", "", "1.5", "x"] {
        let got = document(&format!("<state>active</state><refresh>{bad}</refresh>"));
        assert_eq!(got, Err(XmlError::Value("refresh")), "{bad}");
    }
    assert_eq!(
        document("<state>active</state><refresh>99999999999</refresh>").unwrap().refresh,
        Some(u32::MAX)
    );
    assert_eq!(
        read("<isComposing xmlns='urn:x'><state>idle</state></isComposing>"),
        Err(XmlError::WrongRoot)
    );
    assert_eq!(read("<iscomposing><state>idle</state></iscomposing>"), Err(XmlError::WrongRoot));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        active: bool,
        last_active in proptest::option::of("[!-~]([ -~]{0,20}[!-~])?"),
        content_type in proptest::option::of("[!-~]([ -~]{0,20}[!-~])?"),
        refresh in proptest::option::of(1u32..),
    ) {
        let state = if active { State::Active } else { State::Idle };
        let value = IsComposing { state, last_active, content_type, refresh };
        prop_assert_eq!(read(&write(&value)), Ok(value));
    }
}
