use super::*;
use proptest::prelude::*;

fn names(text: &str) -> Vec<Emoticon> {
    find(text).into_iter().map(|(_, emoticon)| emoticon).collect()
}

// req: L.1-T8, L.2.2-p1
#[test]
fn every_sequence_of_the_table_is_found() {
    let mut all = std::collections::BTreeSet::new();
    for emoticon in Emoticon::ALL {
        for sequence in emoticon.sequences() {
            assert!(all.insert(*sequence), "{sequence} means two things");
            assert_eq!(find(sequence), [(0..sequence.len(), *emoticon)], "{sequence}");
            assert_eq!(names(&format!("so {sequence}, yes")), [*emoticon], "{sequence}");
        }
    }
    assert_eq!((Emoticon::ALL.len(), all.len()), (29, 111));
}

// req: L.2.1-p1.3, L.2.1-p1.4
#[test]
fn an_emoticon_is_sent_as_its_first_sequence() {
    let composed = [
        Piece::Text("Well "),
        Piece::Emoticon(Emoticon::Rose),
        Piece::Emoticon(Emoticon::Cool),
        Piece::Text("!"),
    ];
    assert_eq!(to_text(&composed), "Well @):-B)!");
    for emoticon in Emoticon::ALL {
        assert_eq!(names(&to_text(&[Piece::Emoticon(*emoticon)])), [*emoticon]);
    }
}

#[test]
fn the_longest_sequence_counts() {
    assert_eq!(
        names("O:-) >:-) :-)) :-SS *-:-)"),
        [Emoticon::Angel, Emoticon::Devilish, Emoticon::Laughing, Emoticon::SealedLips, Emoticon::Idea]
    );
    assert_eq!(names(":-):-("), [Emoticon::Happy, Emoticon::Sad]);
}

#[test]
fn words_and_addresses_have_none() {
    for text in
        ["max(x)", "http://example.com", "a:Douglas", ":Pete", "8)th", "(L)ong", "sip:bob", "é:)", ":)é", ""]
    {
        assert_eq!(find(text), [], "{text}");
    }
    assert_eq!(names("(:)"), [Emoticon::Happy]);
}

#[test]
fn typographic_marks_are_read() {
    assert_eq!(find("\u{e9} :\u{2019}( :\u{201d})"), [(3..8, Emoticon::Crying), (9..14, Emoticon::Blushing)]);
}

proptest! {
    #[test]
    fn places_are_in_order_and_whole(text in "[:;()oOxXBD8|/*\\-'’”é a-c]{0,40}") {
        let mut end = 0;
        for (range, emoticon) in find(&text) {
            prop_assert!(range.start >= end && range.end > range.start);
            end = range.end;
            let part = text.get(range).unwrap().replace('’', "'").replace('”', "\"");
            prop_assert!(emoticon.sequences().contains(&part.as_str()));
        }
    }
}
