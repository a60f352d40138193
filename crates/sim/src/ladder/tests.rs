use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn entries() -> Vec<Entry> {
    vec![
        Entry::new(ms(0), "a", "core", "MESSAGE", Kind::Request),
        Entry::new(ms(1), "core", "b", "MESSAGE with a label that is longer than the lane", Kind::Lost),
        Entry::new(ms(12), "b", "a", "200 OK", Kind::Success),
        Entry::new(ms(13), "b", "", "shown\x1b[2J ", Kind::Note),
        Entry::new(ms(13), "elsewhere", "a", "not drawn", Kind::Request),
    ]
}

#[test]
fn draws_aligned_lanes() {
    let options = Options { width: 60, ascii: true, color: false };
    let text = render(&["a", "core", "b"], &entries(), &options);
    let expected = [
        "            a                    core                     b",
        " 0.000 ms   |- MESSAGE ----------->|                      |",
        "            | MESSAGE with a label that is longer than the …",
        " 1.000 ms   |                      |--------------------x>|",
        "12.000 ms   |<- 200 OK -----------------------------------|",
        "13.000 ms   |                      |           shown.[2J  |",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn colours_are_switched_off_again_and_change_nothing_else() {
    let plain = Options { width: 70, ..Options::default() };
    let coloured = Options { color: true, ..plain.clone() };
    let names = ["a", "core", "b"];
    let (plain, coloured) = (render(&names, &entries(), &plain), render(&names, &entries(), &coloured));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some(start) = rest.find('\x1b') {
        stripped.push_str(&rest[..start]);
        let end = rest[start..].find('m').unwrap() + start + 1;
        rest = &rest[end..];
    }
    stripped.push_str(rest);
    assert_eq!(stripped, plain);
    for line in coloured.lines().filter(|line| line.contains('\x1b')) {
        assert_eq!(line.matches("\x1b[0m").count(), 1, "{line:?}");
    }
}

#[test]
fn nothing_to_draw_is_no_panic() {
    assert_eq!(render(&[], &entries(), &Options::default()), "");
    assert!(!render(&["alone"], &entries(), &Options { width: 0, ..Options::default() }).is_empty());
}
