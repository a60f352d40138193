use super::*;

fn stored(uid: u32, correlator: &str) -> StoredObject {
    let address = String::from("+15145554321");
    StoredObject { uid, direction: Direction::Incoming, address, correlator: String::from(correlator) }
}

fn message(id: u64, correlator: &str) -> ShortMessage {
    let address = String::from("+15145554321");
    ShortMessage { id, direction: Direction::Incoming, address, correlator: String::from(correlator) }
}

// req: N.1-1.b1, N.1-2.b1
#[test]
fn addresses_are_written_by_their_type() {
    assert_eq!(address(TypeOfNumber::International, "15145554321"), "+15145554321");
    assert_eq!(address(TypeOfNumber::International, "+15145554321"), "+15145554321");
    assert_eq!(address(TypeOfNumber::Unknown, "5145554321"), "5145554321");
    assert_eq!(address(TypeOfNumber::Alphanumeric, "Caf\u{e9}"), "Caf\u{e9}");
}

// req: N.1-p2
#[test]
fn numbers_are_the_same_in_each_form() {
    for (a, b, same) in [
        ("+15145554321", "5145554321", true),
        ("+15145554321", "05145554321", true),
        ("+1 (514) 555-4321", "15145554321", true),
        ("+15145554321", "+25145554321", false),
        ("4321", "+15145554321", false),
        ("4321", "4321", true),
        ("Bank", "Bank", true),
        ("Bank", "bank", false),
        ("", "", true),
    ] {
        assert_eq!((same_address(a, b), same_address(b, a)), (same, same), "{a} {b}");
    }
}

// req: N-p1.2, N.1-3.b1, N.1-3.b2, N.1-3.b3, N.2-p1.1, N.2-p1.3
#[test]
fn a_message_is_found_by_its_correlator() {
    let objects = [stored(7, "Hello"), stored(8, "hello"), stored(9, "Bye")];
    let messages = [message(1, "hello"), message(2, "Bye"), message(3, "else")];
    assert_eq!(correlate(&objects, &messages, Comparison::Exact), [(8, 1), (9, 2)]);
    let longer = [message(1, "Hello, you"), message(2, "By")];
    assert_eq!(correlate(&objects, &longer, Comparison::Prefix), [(7, 1)]);
    assert_eq!(correlate(&[stored(1, "")], &longer, Comparison::Prefix), []);
}

// req: N.2-p2
#[test]
fn direction_and_address_tell_apart() {
    let out = StoredObject { direction: Direction::Outgoing, ..stored(1, "C") };
    assert_eq!(correlate(&[out], &[message(1, "C")], Comparison::Exact), []);
    let other = StoredObject { address: String::from("+4930123456"), ..stored(1, "C") };
    assert_eq!(correlate(&[other], &[message(1, "C")], Comparison::Exact), []);
}

// req: N.2-p4
/// The examples of N.2: two of each; one message; one object.
#[test]
fn of_those_that_are_alike_the_earliest_has_the_lowest_uid() {
    let (objects, messages) = ([stored(20, "C"), stored(10, "C")], [message(2, "C"), message(1, "C")]);
    assert_eq!(correlate(&objects, &messages, Comparison::Exact), [(10, 1), (20, 2)]);
    assert_eq!(correlate(&objects, &messages[..1], Comparison::Exact), [(10, 2)]);
    assert_eq!(correlate(&objects[..1], &messages, Comparison::Exact), [(20, 1)]);
}
