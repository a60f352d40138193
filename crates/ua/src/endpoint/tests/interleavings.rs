//! All interleavings of INVITE, CANCEL, 200, 487, ACK and BYE across a bridge with two outgoing legs, written octet by octet
//! by peers that keep to no rules and fall silent afterwards.

use super::bridges::bridging;
use super::net::*;
use crate::*;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use cpm_sip::Headers;

/// What a peer does next. The caller is at 10.0.0.2, the legs at 10.0.0.3 and 10.0.0.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Cancel,
    Ack,
    Bye,
    Accept(u8),
    Reject(u8),
    LegBye(u8),
}

const STEPS: [Step; 9] = [
    Step::Cancel,
    Step::Ack,
    Step::Bye,
    Step::Accept(3),
    Step::Reject(3),
    Step::LegBye(3),
    Step::Accept(4),
    Step::Reject(4),
    Step::LegBye(4),
];

const CALLER: &str = "From: <sip:u@x>;tag=u\r\nCall-ID: upstream\r\nMax-Forwards: 70\r\n";

fn text(packet: &Packet) -> String {
    String::from_utf8_lossy(&packet.bytes).into_owned()
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(name)).unwrap()
}

/// The last message of the bridge to a peer with this label.
fn last(net: &Net, to: u8, fits: impl Fn(&str) -> bool) -> Option<String> {
    net.wire.iter().rev().find(|p| p.to == address(to) && fits(&p.label())).map(text)
}

fn from_caller(net: &Net, method: &str, branch: &str) -> String {
    let final_one = last(net, 2, |label| label.ends_with(" INVITE") && !label.starts_with('1'));
    let to = final_one.as_deref().map_or("To: <sip:b@x>", |response| line(response, "To: "));
    let to = if method == "CANCEL" { "To: <sip:b@x>" } else { to };
    let cseq = if method == "BYE" { 2 } else { 1 };
    format!(
        "{method} sip:b@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK{branch}\r\n{CALLER}{to}\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:u@10.0.0.2>\r\nContent-Length: 0\r\n\r\n"
    )
}

fn leg_response(net: &Net, leg: u8, status: &str) -> Option<String> {
    let invite = last(net, leg, |label| label == "INVITE")?;
    let of = |name| line(&invite, name);
    Some(format!(
        "SIP/2.0 {status}\r\n{}\r\n{}\r\n{};tag=leg{leg}\r\n{}\r\n{}\r\nContact: <sip:l@10.0.0.{leg}>\r\nContent-Length: 0\r\n\r\n",
        of("Via: "),
        of("From: "),
        of("To: "),
        of("Call-ID: "),
        of("CSeq: ")
    ))
}

fn leg_bye(net: &Net, leg: u8) -> Option<String> {
    let invite = last(net, leg, |label| label == "INVITE")?;
    let value = |name: &str| line(&invite, name).trim_start_matches(name);
    Some(format!(
        "BYE sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.{leg}:5060;branch=z9hG4bKbye{leg}\r\nMax-Forwards: 70\r\n\
         From: {};tag=leg{leg}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 7 BYE\r\nContent-Length: 0\r\n\r\n",
        value("To: "),
        value("From: "),
        value("Call-ID: ")
    ))
}

fn message(net: &Net, step: Step) -> Option<(u8, String)> {
    Some(match step {
        Step::Cancel => (2, from_caller(net, "CANCEL", "u")),
        Step::Ack => {
            let accepted = last(net, 2, |label| label == "200 INVITE").is_some();
            (2, from_caller(net, "ACK", if accepted { "ack" } else { "u" }))
        }
        Step::Bye => (2, from_caller(net, "BYE", "bye")),
        Step::Accept(leg) => (leg, leg_response(net, leg, "200 OK")?),
        Step::Reject(leg) => (leg, leg_response(net, leg, "487 Request Terminated")?),
        Step::LegBye(leg) => (leg, leg_bye(net, leg)?),
    })
}

/// One interleaving, from the INVITE to the end of all timers.
fn run(steps: &[Step]) {
    let mut net = Net::new([config(1)]);
    let (memory, script) = bridging(&[3, 4]);
    net.script(0, script);
    let invite = from_caller(&net, "INVITE", "u");
    net.inject(0, address(2), invite);
    net.run(Duration::from_millis(1));
    for step in steps {
        if let Some((from, octets)) = message(&net, *step) {
            net.inject(0, address(from), octets);
        }
        net.run(Duration::from_millis(1));
    }
    let bridge = memory.borrow().bridge.unwrap();
    // The function may have ended it already.
    let _ = net.with(0, |ua, now| ua.end_bridge(now, bridge, &Headers::new()));
    net.run_to_quiet();
    check(&net, &memory.borrow().log, steps);
}

fn check(net: &Net, log: &[String], steps: &[Step]) {
    let count =
        |to: u8, label: &str| net.wire.iter().filter(|p| p.to == address(to) && p.label() == label).count();
    // The caller gets one final answer, whatever happens.
    let mut answers: Vec<String> = net
        .wire
        .iter()
        .filter(|p| p.to == address(2))
        .map(Packet::label)
        .filter(|l| l.ends_with(" INVITE"))
        .collect();
    answers.retain(|label| !label.starts_with('1'));
    answers.sort_unstable();
    answers.dedup();
    assert_eq!(answers.len(), 1, "{steps:?}");
    // Once a leg has said how it ends, nothing else of it counts.
    for leg in [3, 4] {
        let first = steps.iter().find(|step| [Step::Accept(leg), Step::Reject(leg)].contains(step));
        let hung_up = count(leg, "200 BYE") > 0;
        assert!(count(leg, "ACK") > 0 || first.is_none(), "{steps:?}: no ACK to leg {leg}");
        match first {
            Some(Step::Accept(_)) => {
                assert!(count(leg, "BYE") > 0 || hung_up, "{steps:?}: leg {leg} stays in a call");
            }
            _ => assert_eq!((count(leg, "BYE"), hung_up), (0, false), "{steps:?}: BYE for no call"),
        }
        let ends = log.iter().filter(|l| {
            let mut words = l.split(' ');
            words.next() == Some(if leg == 3 { "0" } else { "1" })
                && matches!(words.next(), Some("ended" | "Rejected" | "Cancelled" | "Timeout" | "Transport"))
        });
        assert_eq!(ends.count(), 1, "{steps:?}: {log:?}");
    }
    assert_eq!(log.iter().filter(|line| *line == "over").count(), 1, "{steps:?}: {log:?}");
    if answers == ["200 INVITE"] {
        assert!(count(2, "BYE") > 0 || count(2, "200 BYE") > 0, "{steps:?}: the caller stays in a call");
    }
}

/// Runs all interleavings that begin with `steps` and have at most `more` steps more, each step at most once; what
/// differs only in which leg is which is run once. Says how many there were.
fn enumerate(steps: &mut Vec<Step>, more: usize) -> usize {
    run(steps);
    let mut count = 1;
    if more == 0 {
        return count;
    }
    for step in STEPS {
        let second_leg = matches!(step, Step::Accept(4) | Step::Reject(4) | Step::LegBye(4));
        let first_leg_known =
            steps.iter().any(|step| matches!(step, Step::Accept(3) | Step::Reject(3) | Step::LegBye(3)));
        if steps.contains(&step) || (second_leg && !first_leg_known) {
            continue;
        }
        steps.push(step);
        count += enumerate(steps, more - 1);
        steps.pop();
    }
    count
}

/// With the INVITE, sequences of up to 5 messages; of up to 7 with `CPM_INTERLEAVINGS=7`.
#[test]
fn all_interleavings_across_a_bridge_end_clean() {
    #[allow(clippy::disallowed_methods)]
    let length = std::env::var("CPM_INTERLEAVINGS").ok().and_then(|n| n.parse().ok()).unwrap_or(5usize);
    let count = enumerate(&mut Vec::new(), length - 1);
    assert!(length != 5 || count == 1_813, "{count}");
}
