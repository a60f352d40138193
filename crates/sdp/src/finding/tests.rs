#![allow(clippy::arithmetic_side_effects, clippy::string_slice)]

use super::*;
use crate::limits::Limits;
use alloc::string::String;

fn findings(text: &str) -> Vec<Finding> {
    let octets = text.replace('\n', "\r\n");
    let description = SessionDescription::parse(octets.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(description.to_bytes(), octets.as_bytes());
    description.findings()
}

const GOOD: &str = "v=0\no=- 1 1 IN IP4 a\ns=-\ni=x\nu=http://a\ne=a\ne=b\np=1\nc=IN IP4 a\nb=AS:1\nt=0 0\nr=1 1 0\n\
t=1 2\nr=1 1 0\nz=1 1\nk=prompt\na=tool:x\nm=audio 1 RTP/AVP 0\ni=x\nc=IN IP4 a\nc=IN IP4 b\nb=AS:1\nb=CT:2\nk=prompt\na=recvonly\n";

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(findings(GOOD), []);
}

#[test]
fn order_and_grammar_are_judged_and_the_lines_kept() {
    use Finding::{Malformed, MalformedAttribute, NoConnection, OutOfOrder, Repeated, UnknownLine};
    let swap = |from: &str, to: &str| findings(&GOOD.replacen(from, to, 1));
    assert_eq!(swap("s=-\ni=x\n", "i=x\ns=-\n"), [OutOfOrder { line: 4, kind: 's' }]);
    assert_eq!(swap("c=IN IP4 a\nb=AS:1\nt=0 0\n", "t=0 0\nc=IN IP4 a\nb=AS:1\n").len(), 2, "c= and b=");
    assert_eq!(swap("i=x\n", "i=x\ni=y\n"), [Repeated { line: 5, kind: 'i' }]);
    assert_eq!(swap("k=prompt\n", "k=prompt\nx=1\n"), [UnknownLine { line: 17, kind: 'x' }]);
    assert_eq!(swap("b=AS:1\n", "b=AS\n"), [Malformed { line: 10, kind: 'b' }]);
    assert_eq!(swap("a=recvonly\n", "a=setup:what\n"), [MalformedAttribute { line: 25, name: "setup" }]);
    assert_eq!(swap("a=recvonly\n", "a=recvonly\nt=0 0\n"), [OutOfOrder { line: 26, kind: 't' }]);
    // RFC 8866 §5.7, threats I1.
    let without = GOOD.replace("c=IN IP4 a\n", "").replace("c=IN IP4 b\n", "");
    assert_eq!(findings(&without), [NoConnection { medium: 0 }]);
    assert_eq!(findings(&without.replace("m=audio 1", "m=audio 0")), []);
    let shown: String = alloc::format!("{}", UnknownLine { line: 17, kind: 'x' });
    assert_eq!(shown, "line 17, x=, is of an unknown kind");
}
