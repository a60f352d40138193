//! Records of dialogs and registrations: what an endpoint takes up, it can work with.

use cpm_base::record::RecordWriter;
use cpm_base::{DateTime, Instant, Now, Seed};
use cpm_sip::{Headers, Method};
use cpm_ua::{Action, Config, Endpoint, SessionTimer};

/// Values of a record of a dialog (after `D`) or a registration (after `R`), put under a header and a checksum that fit; the
/// whole is also read as a record as it is.
pub fn ua_restore(data: &[u8]) {
    let now = Now::new(Instant::from_micros(1_000_000), DateTime::UNIX_EPOCH);
    let mut ua = endpoint(1);
    assert!(ua.restore_dialog(now, data).is_err() || data.starts_with(b"CPMR"));
    assert!(ua.restore_registration(now, data).is_err() || data.starts_with(b"CPMR"));
    let Some((kind, values)) = data.split_first() else { return };
    match kind {
        b'D' => dialog(now, &sealed(*b"DIAL", values)),
        b'R' => registration(now, &sealed(*b"REGI", values)),
        _ => {}
    }
}

fn endpoint(seed: u8) -> Endpoint {
    let mut config = Config::user_agent(Seed::new([seed; 32]), "fuzz");
    config.allow.push(Method::Update);
    config.session_timer = Some(SessionTimer::default());
    Endpoint::new(config).expect("a configuration")
}

fn sealed(kind: [u8; 4], values: &[u8]) -> Vec<u8> {
    let mut record = RecordWriter::new(kind, 1);
    for octet in values {
        record.u8(*octet);
    }
    record.finish()
}

fn dialog(now: Now, record: &[u8]) {
    let mut ua = endpoint(2);
    let Ok(restored) = ua.restore_dialog(now, record) else { return };
    let id = restored.dialog;
    let written = ua.export_dialog(now, id).expect("what was taken up is at rest");
    let mut other = endpoint(3);
    let again = other.restore_dialog(now, &written).expect("what was written is read").dialog;
    assert_eq!(other.export_dialog(now, again).expect("at rest"), written);
    // It can be used and ended.
    let _ = ua.send_in_dialog(now, id, Method::Message, Headers::new(), None);
    pass_time(&mut other, now);
    let _ = ua.bye(now, id, Headers::new());
    pass_time(&mut ua, now);
}

fn registration(now: Now, record: &[u8]) {
    let mut ua = endpoint(2);
    let Ok(id) = ua.restore_registration(now, record) else { return };
    let written = ua.export_registration(now, id).expect("what was taken up is not being removed");
    let mut other = endpoint(3);
    let again = other.restore_registration(now, &written).expect("what was written is read");
    assert_eq!(other.export_registration(now, again).expect("at rest"), written);
    pass_time(&mut ua, now);
}

/// Lets the clock run over all alarms of a while; time moves, and what comes out is bounded.
fn pass_time(ua: &mut Endpoint, mut now: Now) {
    for _ in 0..64 {
        while let Some(action) = ua.poll_action() {
            if let Action::Open(open, _) = action {
                ua.handle_opened(now, open, Err(cpm_base::OpenError::Refused));
            }
        }
        let Some(next) = ua.next_timeout() else { return };
        now = now.plus(next.since(now.mono));
        ua.handle_timeout(now);
    }
}
