#![allow(clippy::arithmetic_side_effects)]

use super::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const T0: Instant = Instant::from_micros(1_000_000);

fn seconds(at: Option<Instant>) -> String {
    at.map_or_else(|| "-".into(), |at| format!("{}", at.since(T0).as_secs_f64()))
}

fn shown(next: &str, effects: Effects, alarms: Alarms) -> String {
    let mut words = Vec::new();
    for (set, word) in [
        (effects.transmit, "send"),
        (effects.ack, "ack"),
        (effects.deliver, "deliver"),
        (effects.failed == Some(Failure::Timeout), "timeout"),
        (effects.failed == Some(Failure::Transport), "transport"),
        (effects.refused, "refused"),
    ] {
        if set {
            words.push(word);
        }
    }
    let words = if words.is_empty() { "nothing".into() } else { words.join("+") };
    format!("{next} {words} {}/{}", seconds(alarms.again), seconds(alarms.end))
}

/// One line per state and event: `state event -> next effects again/end` with the timers in seconds from now; then, for
/// each state, the events that change nothing and have no effect.
macro_rules! matrix {
    ($module:ident, $start:expr, [$($state:ident)*], [$($event:ident)*]) => {{
        use super::$module::{Event, State};
        let mut text = String::new();
        for state in [$(State::$state),*] {
            let mut ignored = Vec::new();
            for event in [$(Event::$event),*] {
                let mut machine = $start.in_state(state);
                let effects = machine.step(T0, &TimerValues::default(), event);
                let line = shown(&format!("{:?}", machine.state()), effects, machine.alarms());
                if line == format!("{state:?} nothing -/-") {
                    ignored.push(format!("{event:?}"));
                } else {
                    text += &format!("{state:?} {event:?} -> {line}\n");
                }
            }
            text += format!("{state:?} ignores {}", ignored.join(" ")).trim_end();
            text.push('\n');
        }
        text
    }};
}

#[test]
fn invite_client_matrix() {
    let of = |reliable| {
        matrix!(
            invite_client,
            super::invite_client::InviteClient::start(T0, &TimerValues::default(), reliable),
            [Calling Proceeding Completed Accepted Terminated],
            [Provisional Success Failure TimerA TimerB TimerD TimerM TransportError]
        )
    };
    assert_eq!(
        of(false),
        "\
Calling Provisional -> Proceeding deliver -/-
Calling Success -> Accepted deliver -/32
Calling Failure -> Completed ack+deliver -/32
Calling TimerA -> Calling send 1/-
Calling TimerB -> Terminated timeout -/-
Calling TransportError -> Terminated transport -/-
Calling ignores TimerD TimerM
Proceeding Provisional -> Proceeding deliver -/-
Proceeding Success -> Accepted deliver -/32
Proceeding Failure -> Completed ack+deliver -/32
Proceeding TransportError -> Terminated transport -/-
Proceeding ignores TimerA TimerB TimerD TimerM
Completed Failure -> Completed ack -/-
Completed TimerD -> Terminated nothing -/-
Completed TransportError -> Terminated nothing -/-
Completed ignores Provisional Success TimerA TimerB TimerM
Accepted Success -> Accepted deliver -/-
Accepted TimerM -> Terminated nothing -/-
Accepted ignores Provisional Failure TimerA TimerB TimerD TransportError
Terminated ignores Provisional Success Failure TimerA TimerB TimerD TimerM TransportError
"
    );
    let reliable = of(true);
    assert_eq!(
        reliable.replace("Terminated ack+deliver -/-", "Completed ack+deliver -/32"),
        of(false),
        "on streams, Timer D is 0"
    );
    assert_eq!(reliable.matches("Terminated ack+deliver").count(), 2);
}

#[test]
fn non_invite_client_matrix() {
    let of = |reliable| {
        matrix!(
            non_invite_client,
            super::non_invite_client::NonInviteClient::start(T0, &TimerValues::default(), reliable),
            [Trying Proceeding Completed Terminated],
            [Provisional Final TimerE TimerF TimerK TransportError]
        )
    };
    assert_eq!(
        of(false),
        "\
Trying Provisional -> Proceeding deliver -/-
Trying Final -> Completed deliver -/5
Trying TimerE -> Trying send 1/-
Trying TimerF -> Terminated timeout -/-
Trying TransportError -> Terminated transport -/-
Trying ignores TimerK
Proceeding Provisional -> Proceeding deliver -/-
Proceeding Final -> Completed deliver -/5
Proceeding TimerE -> Proceeding send 4/-
Proceeding TimerF -> Terminated timeout -/-
Proceeding TransportError -> Terminated transport -/-
Proceeding ignores TimerK
Completed TimerK -> Terminated nothing -/-
Completed TransportError -> Terminated nothing -/-
Completed ignores Provisional Final TimerE TimerF
Terminated ignores Provisional Final TimerE TimerF TimerK TransportError
"
    );
    assert_eq!(of(true), of(false).replace("Completed deliver -/5", "Terminated deliver -/-"));
}

#[test]
fn invite_server_matrix() {
    let of = |reliable| {
        matrix!(
            invite_server,
            super::invite_server::InviteServer::start(&TimerValues::default(), reliable),
            [Proceeding Completed Confirmed Accepted Terminated],
            [InviteAgain Ack SendProvisional SendSuccess SendFailure TimerG TimerH TimerI TimerL]
        )
    };
    assert_eq!(
        of(false),
        "\
Proceeding SendProvisional -> Proceeding send -/-
Proceeding SendSuccess -> Accepted send -/32
Proceeding SendFailure -> Completed send 0.5/32
Proceeding ignores InviteAgain Ack TimerG TimerH TimerI TimerL
Completed InviteAgain -> Completed send -/-
Completed Ack -> Confirmed nothing -/5
Completed SendProvisional -> Completed refused -/-
Completed SendSuccess -> Completed refused -/-
Completed SendFailure -> Completed refused -/-
Completed TimerG -> Completed send 1/-
Completed TimerH -> Terminated timeout -/-
Completed ignores TimerI TimerL
Confirmed SendProvisional -> Confirmed refused -/-
Confirmed SendSuccess -> Confirmed refused -/-
Confirmed SendFailure -> Confirmed refused -/-
Confirmed TimerI -> Terminated nothing -/-
Confirmed ignores InviteAgain Ack TimerG TimerH TimerL
Accepted Ack -> Accepted deliver -/-
Accepted SendProvisional -> Accepted refused -/-
Accepted SendSuccess -> Accepted send -/-
Accepted SendFailure -> Accepted refused -/-
Accepted TimerL -> Terminated nothing -/-
Accepted ignores InviteAgain TimerG TimerH TimerI
Terminated SendProvisional -> Terminated refused -/-
Terminated SendSuccess -> Terminated refused -/-
Terminated SendFailure -> Terminated refused -/-
Terminated ignores InviteAgain Ack TimerG TimerH TimerI TimerL
"
    );
    let reliable =
        of(false).replace("Confirmed nothing -/5", "Terminated nothing -/-").replace("0.5/32", "-/32");
    assert_eq!(of(true), reliable, "on streams, no Timer G, and Timer I is 0");
}

#[test]
fn an_invite_that_comes_again_gets_the_last_provisional_response() {
    use super::invite_server::{Event, InviteServer};
    let values = TimerValues::default();
    let mut machine = InviteServer::start(&values, false);
    assert_eq!(machine.step(T0, &values, Event::InviteAgain), Effects::NONE);
    assert_eq!(machine.step(T0, &values, Event::SendProvisional), Effects::TRANSMIT);
    assert_eq!(machine.step(T0, &values, Event::InviteAgain), Effects::TRANSMIT);
}

#[test]
fn non_invite_server_matrix() {
    let of = |reliable| {
        matrix!(
            non_invite_server,
            super::non_invite_server::NonInviteServer::start(reliable),
            [Trying Proceeding Completed Terminated],
            [RequestAgain SendProvisional SendFinal TimerJ]
        )
    };
    assert_eq!(
        of(false),
        "\
Trying SendProvisional -> Proceeding send -/-
Trying SendFinal -> Completed send -/32
Trying ignores RequestAgain TimerJ
Proceeding RequestAgain -> Proceeding send -/-
Proceeding SendProvisional -> Proceeding send -/-
Proceeding SendFinal -> Completed send -/32
Proceeding ignores TimerJ
Completed RequestAgain -> Completed send -/-
Completed SendProvisional -> Completed refused -/-
Completed SendFinal -> Completed refused -/-
Completed TimerJ -> Terminated nothing -/-
Completed ignores
Terminated SendProvisional -> Terminated refused -/-
Terminated SendFinal -> Terminated refused -/-
Terminated ignores RequestAgain TimerJ
"
    );
    assert_eq!(of(true), of(false).replace("Completed send -/32", "Terminated send -/-"));
}

/// C2: an INVITE is sent 7 times over UDP, another request 11 times, and then never again.
#[test]
fn retransmissions_follow_the_intervals_of_the_rfc() {
    let values = TimerValues::default();
    let mut now = T0;
    let mut invite = super::invite_client::InviteClient::start(now, &values, false);
    let mut sent = Vec::from([0.0]);
    while let Some(at) = invite.alarms().next() {
        now = at;
        let event = invite.due(now).unwrap();
        if invite.step(now, &values, event).transmit {
            sent.push(now.since(T0).as_secs_f64());
        }
    }
    assert_eq!(sent, [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]);
    assert_eq!(now.since(T0), values.patience());

    now = T0;
    let mut other = super::non_invite_client::NonInviteClient::start(now, &values, false);
    sent = Vec::from([0.0]);
    while let Some(at) = other.alarms().next() {
        now = at;
        let event = other.due(now).unwrap();
        if other.step(now, &values, event).transmit {
            sent.push(now.since(T0).as_secs_f64());
        }
    }
    assert_eq!(sent, [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]);
    assert_eq!(now.since(T0), values.patience());
}

/// RFC 4320 §4.1: the time until Timer E reaches T2.
#[test]
fn a_100_to_other_requests_waits_for_timer_e() {
    let of = |t1, t2| {
        let values = TimerValues {
            t1: Duration::from_millis(t1),
            t2: Duration::from_millis(t2),
            ..TimerValues::default()
        };
        values.trying_after_non_invite().as_millis()
    };
    assert_eq!([of(500, 4000), of(500, 500), of(2000, 16_000), of(500, 3000)], [3500, 500, 14_000, 3500]);
}

#[test]
fn a_final_response_to_invite_is_repeated_until_its_ack() {
    use super::invite_server::{Event, InviteServer, State};
    let values = TimerValues::default();
    let mut machine = InviteServer::start(&values, false);
    let mut now = T0;
    machine.step(now, &values, Event::SendFailure);
    let mut sent = Vec::new();
    while let Some(at) = machine.alarms().next() {
        now = at;
        let event = machine.due(now).unwrap();
        if machine.step(now, &values, event).transmit {
            sent.push(now.since(T0).as_secs_f64());
        }
    }
    assert_eq!(sent, [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]);
    assert_eq!((machine.state(), now.since(T0)), (State::Terminated, values.patience()));
}
