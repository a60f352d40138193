use super::*;

const ROWS: &str = "id\trole\tarea\tlevel\tscr\tcr
7-1\tclient\theaders\tSHALL\t\t
7-2\tclient\theaders\tSHALL-NOT\t\t
7-3\tpf\tsdp\tMAY\t\t
";

fn traced(files: &[(&str, &str)]) -> Tracing {
    let mut files: Vec<_> =
        files.iter().map(|(name, source)| ((*name).to_owned(), marks::scan(source))).collect();
    mark_test_files(&mut files);
    trace(&read_table(ROWS).unwrap(), &files)
}

#[test]
fn a_table_with_a_repeated_id_or_a_short_row_is_refused() {
    assert_eq!(read_table(ROWS).unwrap().len(), 3);
    assert!(
        read_table(&format!("{ROWS}7-1\tpf\tsdp\tMAY\n")).unwrap_err().contains("7-1 stands there twice")
    );
    assert!(read_table("id\trole\n1-1\tpf\n").unwrap_err().contains(":2:"));
}

#[test]
fn code_and_test_marks_add_up_over_files() {
    let tracing =
        traced(&[("a.rs", "// req: 7-1\nfn f() {}"), ("b.rs", "#[test]\nfn t() { // req: 7-1, 7-3\n }")]);
    assert_eq!(tracing.faults, Vec::<String>::new());
    assert_eq!(tracing.cover["7-1"], Cover { code: true, proved: true });
    assert_eq!(tracing.cover["7-3"], Cover { code: false, proved: true });
    assert_eq!(render(&tracing.cover), "id\tcode\tproved\n7-1\tyes\tyes\n7-3\tno\tyes\n");
}

#[test]
fn only_what_is_mandatory_needs_its_test() {
    let tracing = traced(&[("a.rs", "\n// req: 7-1, 7-2, 7-3\nfn f() {}")]);
    assert_eq!(
        tracing.faults,
        [
            "a.rs:2: 7-1 (SHALL) is marked in code and proved by no test",
            "a.rs:2: 7-2 (SHALL-NOT) is marked in code and proved by no test",
        ]
    );
}

#[test]
fn an_unknown_id_is_a_fault_and_covers_nothing() {
    let tracing = traced(&[("a.rs", "// req: 7-9, 7-1.\nfn f() {}")]);
    assert_eq!(
        tracing.faults,
        ["a.rs:1: no requirement has the id `7-9`", "a.rs:1: no requirement has the id `7-1.`"]
    );
    assert!(tracing.cover.is_empty());
}

#[test]
fn an_ignored_test_proves_nothing() {
    let tracing = traced(&[("a.rs", "// req: 7-1\n#[test]\n#[ignore]\nfn t() {}")]);
    assert_eq!(tracing.faults, ["a.rs:1: 7-1 is marked in an ignored test"]);
    assert!(tracing.cover.is_empty());
}

#[test]
fn a_misplaced_mark_is_a_fault() {
    let tracing = traced(&[("a.rs", "// Answers 480 (req: 7-1).\nfn f() {}")]);
    assert_eq!(tracing.faults.len(), 1, "{:?}", tracing.faults);
    assert!(tracing.faults[0].starts_with("a.rs:1: a mark must be a comment of its own"));
}

#[test]
fn a_changed_snapshot_is_seen_whatever_changed() {
    let now = render(&traced(&[("a_tests.rs", "#[test]\nfn t() { // req: 7-1\n }")]).cover);
    assert_eq!(differences(&now, &now), Vec::<String>::new());
    assert_eq!(differences("", &now), ["+ 7-1\tno\tyes", "+ id\tcode\tproved"]);
    assert_eq!(differences("id\tcode\tproved\n7-1\tyes\tyes\n", &now), ["+ 7-1\tno\tyes", "- 7-1\tyes\tyes"]);
    assert_eq!(differences("7-1\tno\tyes\nid\tcode\tproved\n", &now), ["the order of its lines differs"]);
    let many: String = (0..30).map(|i| format!("{i}\n")).collect();
    assert_eq!(differences(&many, "").last().unwrap(), "... and 10 more");
}

#[test]
fn test_modules_are_found_where_rust_keeps_them() {
    assert_eq!(
        marks::module_files("crates/a/src/lib.rs", "fixtures"),
        ["crates/a/src/fixtures.rs", "crates/a/src/fixtures/mod.rs"]
    );
    assert_eq!(marks::module_files("crates/a/src/uri.rs", "props")[0], "crates/a/src/uri/props.rs");
    assert_eq!(marks::module_files("crates/a/src/uri.rs", "x/y.rs"), ["crates/a/src/x/y.rs"]);
}

#[test]
fn a_file_of_tests_is_known_by_its_name_or_by_its_declaration() {
    let tracing = traced(&[
        ("crates/a/src/lib.rs", "#[cfg(test)]\nmod fixtures;\nmod other;"),
        ("crates/a/src/fixtures.rs", "// req: 7-1"),
        ("crates/a/src/other.rs", "// req: 7-3"),
        ("crates/a/tests/flows.rs", "// req: 7-2"),
    ]);
    assert_eq!(render(&tracing.cover), "id\tcode\tproved\n7-1\tno\tyes\n7-2\tno\tyes\n7-3\tyes\tno\n");
}

#[test]
fn the_summary_counts_by_role_and_area() {
    let tracing = traced(&[("a.rs", "// req: 7-3\nfn f() {}\n#[test]\nfn t() { // req: 7-1, 7-3\n }")]);
    let text = summary(&read_table(ROWS).unwrap(), &tracing);
    let counts = |name: &str| {
        let line = text.lines().find(|l| l.trim_start().starts_with(name)).unwrap();
        line.trim_start().trim_start_matches(name).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(counts("client"), "2 0 1");
    assert_eq!(counts("pf"), "1 1 1");
    assert_eq!(counts("headers"), "2 0 1");
    assert_eq!(counts("all requirements"), "3 1 2");
}

#[test]
fn the_committed_table_reads() {
    let table = read_table(&tree::read(&tree::root(), TABLE).unwrap()).unwrap();
    assert!(table.len() > 2000);
    let levels: BTreeSet<&str> = table.values().map(|row| row.level.as_str()).collect();
    assert_eq!(levels.into_iter().collect::<Vec<_>>(), ["MAY", "SHALL", "SHALL-NOT", "SHOULD", "SHOULD-NOT"]);
}

#[test]
fn an_exclusion_has_a_reason_and_is_of_what_is_not_proved() {
    let table = read_table(ROWS).unwrap();
    let mut tracing = traced(&[("a.rs", "// req: 7-1\nfn f() {}\n#[test]\nfn t() { // req: 7-1\n }")]);
    let text = "id\treason\n7-2\tsaid elsewhere\n7-1\tno\n7-9\tno\n7-3\t \n7-2\ttwice\n";
    let excluded = read_excluded(text, &table, &mut tracing);
    assert_eq!(excluded, BTreeSet::from(["7-2".to_owned()]));
    assert_eq!(
        tracing.faults,
        [
            "docs/excluded.tsv:3: 7-1 is proved by a test",
            "docs/excluded.tsv:4: no requirement has the id `7-9`",
            "docs/excluded.tsv:5: expected an id and a reason",
            "docs/excluded.tsv:6: 7-2 stands there twice",
        ]
    );
    assert_eq!(section("7.2.1.1-8.A.iv"), "7.2.1.1");
}
