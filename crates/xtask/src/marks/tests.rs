use super::*;

/// `id` of every mark, with `t` for a test and `i` for an ignored one.
fn marks(source: &str) -> Vec<String> {
    scan(source)
        .marks
        .into_iter()
        .map(|m| {
            let place = if m.in_test { "test" } else { "code" };
            let ignored = if m.in_ignored { " ignored" } else { "" };
            format!("{} {place}{ignored}", m.id)
        })
        .collect()
}

#[test]
fn marks_in_code_with_their_lines() {
    let scan =
        scan("// req: 7.2-1.a, 7.2-1.b\nfn f() {\n    g(); // req: 8-1\n}\n/// req: A-1\n//! req: B-1\n");
    let found: Vec<_> = scan.marks.iter().map(|m| (m.id.as_str(), m.line, m.in_test)).collect();
    assert_eq!(
        found,
        [
            ("7.2-1.a", 1, false),
            ("7.2-1.b", 1, false),
            ("8-1", 3, false),
            ("A-1", 5, false),
            ("B-1", 6, false)
        ]
    );
}

#[test]
fn a_mark_inside_a_string_is_none() {
    assert_eq!(marks("let a = \"// req: 1-1\"; let b = r#\"\n// req: 1-2\n\"#; // req: 1-3"), ["1-3 code"]);
}

#[test]
fn a_test_module_makes_tests_of_what_is_in_it_and_of_nothing_after_it() {
    let source = "
        #[cfg(test)]
        mod tests {
            mod inner { fn helper() { /* { */ let c = '}'; /* req: 1-1 */ } }
            // req: 1-2
            #[test]
            fn t() {}
        }
        // req: 1-3
        fn code() {}";
    assert_eq!(marks(source), ["1-1 test", "1-2 test", "1-3 code"]);
}

#[test]
fn a_mark_above_or_inside_a_test_function_is_proof() {
    let source = "
        // req: 1-1
        #[test]
        // req: 1-2
        fn t(a: [u8; 2]) { x(); // req: 1-3
        }
        // req: 1-4
        fn code() {}
        /// req: 1-5
        #[tokio::test(flavor = \"current_thread\")]
        async fn u() {}
        // req: 1-6
        #[contest]
        fn v() {}";
    assert_eq!(marks(source), ["1-1 test", "1-2 test", "1-3 test", "1-4 code", "1-5 test", "1-6 code"]);
}

#[test]
fn a_trailing_mark_belongs_to_its_own_line() {
    assert_eq!(marks("const A: u8 = 1; // req: 1-1\n#[test]\nfn t() {}"), ["1-1 code"]);
    assert_eq!(marks("const A: u8 = 1;\n// req: 1-1\n#[test]\nfn t() {}"), ["1-1 test"]);
}

#[test]
fn conditions_that_also_hold_outside_of_tests_make_no_test() {
    for (condition, place) in [
        ("test", "test"),
        ("all(test, unix)", "test"),
        ("any(test, unix)", "code"),
        ("not(test)", "code"),
        ("all(not(test), unix)", "code"),
        ("feature = \"test\"", "code"),
    ] {
        let source = format!("#[cfg({condition})] mod m {{ // req: 1-1\n }}");
        assert_eq!(marks(&source), [format!("1-1 {place}")], "{condition}");
    }
    assert_eq!(marks("// req: 1-1\n#![cfg(test)]\n// req: 1-2"), ["1-1 test", "1-2 test"]);
}

#[test]
fn an_attribute_ends_with_its_item() {
    let source =
        "#[cfg(test)] use a::b; fn f() { // req: 1-1\n } #[cfg(test)] mod t; fn g() { // req: 1-2\n }";
    assert_eq!(marks(source), ["1-1 code", "1-2 code"]);
}

#[test]
fn marks_in_ignored_tests_are_told() {
    let source = "
        // req: 1-1
        #[test]
        #[ignore = \"slow\"]
        fn t() { // req: 1-2
        }
        // req: 1-3
        #[test]
        #[cfg_attr(miri, ignore)]
        fn u() {}
        // req: 1-4
        #[test]
        fn v() {}";
    assert_eq!(marks(source), ["1-1 test ignored", "1-2 test ignored", "1-3 test ignored", "1-4 test"]);
}

#[test]
fn a_mark_in_the_middle_of_a_comment_is_told() {
    let found = scan("// The answer. req: 7.2-1\n// a `req: <id>` mark\n// prereq: 1-1\n/* a\nreq: 1-1 */");
    assert_eq!(found.misplaced, [1, 4]);
    assert!(found.marks.is_empty());
}

#[test]
fn what_is_no_id_is_kept_for_the_table_to_refuse() {
    assert_eq!(marks("// req: 7.2-1 and more,\n// req:"), ["7.2-1 and more code", " code", " code"]);
}

#[test]
fn test_modules_in_files_of_their_own_are_named() {
    let source =
        "mod code; #[cfg(test)] mod tests; #[cfg(test)] #[path = \"x/y.rs\"] mod z; #[cfg(test)] use a;";
    assert_eq!(scan(source).test_modules, ["tests", "x/y.rs"]);
}

#[test]
fn lines_of_tests_do_not_count_as_code() {
    assert_eq!(
        scan("fn f() {\n}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {\n    }\n}\n").code_lines,
        3
    );
    assert_eq!(scan("#![cfg(test)]\nfn f() {}\n").code_lines, 0);
    assert_eq!(scan("a\nb").code_lines, 2);
}

#[test]
fn what_is_never_compiled_proves_nothing() {
    assert_eq!(marks("// req: 1-1\n#[cfg(any())]\n#[test]\nfn t() {}"), ["1-1 test ignored"]);
    assert_eq!(
        marks("#[cfg(any())]\nmod t {\n    // req: 1-1\n}\n// req: 1-2"),
        ["1-1 code ignored", "1-2 code"]
    );
    assert_eq!(marks("#![cfg(any())]\n// req: 1-1\n#[test]\nfn t() {}"), ["1-1 test ignored"]);
    assert_eq!(marks("#[cfg(any(unix, windows))]\n// req: 1-1\n#[test]\nfn t() {}"), ["1-1 test"]);
}
