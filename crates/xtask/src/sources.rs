//! Every file of the repository: nothing unfinished, no ignored tests, no paths of somebody's machine, no giants.

use std::collections::BTreeSet;
use std::path::Path;

use crate::check::Outcome;
use crate::lexer::{Kind, lex};
use crate::policy::LONG_FILE;
use crate::{marks, tree};

/// Top folders of a machine; written in two halves so that this file does not hold them itself.
const MACHINE_FOLDERS: &[(&str, &str)] =
    &[("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/"), ("/tm", "p/"), ("/Use", "rs/"), ("/us", "r/local/")];

pub fn check(root: &Path) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    let files = tree::files(root)?;
    let (mut rust_files, mut code_lines) = (0, 0);
    let mut declared = BTreeSet::new();
    for name in &files {
        let bytes = std::fs::read(root.join(name)).map_err(|e| format!("{name}: {e}"))?;
        if bytes.contains(&0) {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        outcome
            .faults
            .extend(machine_paths(&text).map(|line| format!("{name}:{line}: a path of one machine")));
        if !name.ends_with(".rs") {
            continue;
        }
        rust_files += 1;
        outcome
            .faults
            .extend(unfinished(&text).into_iter().map(|(line, what)| format!("{name}:{line}: {what}")));
        let scan = marks::scan(&text);
        declared.extend(scan.modules.iter().flat_map(|module| marks::module_files(name, module)));
        if !tree::is_test_file(name) {
            let lines = scan.code_lines;
            code_lines += lines;
            if lines > LONG_FILE {
                outcome.notes.push(format!("{name} has {lines} lines without its tests"));
            }
        }
    }
    let orphans = files.iter().filter(|name| is_orphan(name, &declared));
    outcome
        .faults
        .extend(orphans.map(|name| format!("{name}: no module declares it, so it is never compiled")));
    outcome.summary =
        format!("{} files, {rust_files} of Rust with {code_lines} lines outside of tests", files.len());
    Ok(outcome)
}

/// A Rust file of a member that neither cargo nor a module takes in.
fn is_orphan(name: &str, declared: &BTreeSet<String>) -> bool {
    let of_member = name.starts_with("crates/") || name.starts_with("tests/");
    of_member && name.ends_with(".rs") && !marks::is_root(name) && !declared.contains(name)
}

/// Lines that hold an absolute path below one of the folders; `http://example.com/...` is none.
fn machine_paths(text: &str) -> impl Iterator<Item = usize> {
    let folders: Vec<String> = MACHINE_FOLDERS.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let continues =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}' | ')' | '*' | '/');
    let holds = move |line: &str| {
        let mut places = folders.iter().flat_map(|folder| line.match_indices(folder.as_str()));
        places.any(|(at, _)| !line[..at].ends_with(continues))
    };
    text.lines()
        .enumerate()
        .filter_map(|(number, line)| holds(line).then_some(number + 1))
        .collect::<Vec<_>>()
        .into_iter()
}

fn unfinished(source: &str) -> Vec<(usize, String)> {
    let unfinished_macros = ["todo", "unimplemented"];
    let tokens = lex(source);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let after = |n: usize| tokens.get(at + n).map(|t| &t.kind);
        match &token.kind {
            Kind::Word(word)
                if unfinished_macros.contains(&word.as_str()) && after(1) == Some(&Kind::Punct('!')) =>
            {
                found.push((token.line, format!("{word}! stands for code that is not there")));
            }
            Kind::Punct('#')
                if after(1) == Some(&Kind::Punct('['))
                    && (after(2) == Some(&Kind::Word("ignore".to_owned()))
                        || after(2) == Some(&Kind::Word("cfg_attr".to_owned()))
                            && tokens
                                .iter()
                                .skip(at)
                                .take_while(|t| t.kind != Kind::Punct(']'))
                                .any(|t| t.kind == Kind::Word("ignore".to_owned()))) =>
            {
                found.push((token.line, "an ignored test".to_owned()));
            }
            Kind::Comment(text) if is_reminder(text) => {
                found.push((token.line, "a reminder of unfinished work".to_owned()));
            }
            _ => {}
        }
    }
    found
}

fn is_reminder(comment: &str) -> bool {
    comment.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "TODO" | "FIXME" | "XXX"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_code_is_found_and_words_about_it_are_not() {
        let lines = |source: &str| unfinished(source).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines("fn f() {\n    todo!()\n}\nfn g() { unimplemented! { } }"), [2, 4]);
        assert_eq!(lines("#[test]\n#[ignore = \"slow\"]\nfn t() {}"), [2]);
        assert_eq!(
            lines("#[test]\n#[cfg_attr(unix, ignore)]\nfn t() {}\n#[cfg_attr(unix, x)] fn ignore() {}"),
            [2]
        );
        assert_eq!(lines("// FIXME: later\n/* a TODO */"), [1, 2]);
        assert_eq!(
            lines("// no todo!(\nlet todo = \"todo!() #[ignore] FIXME\"; // see `#[ignore]`"),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn a_file_that_nothing_takes_in_is_found() {
        let declared: BTreeSet<String> = marks::scan("mod a; #[cfg(test)] mod tests; mod b { }")
            .modules
            .iter()
            .flat_map(|module| marks::module_files("crates/x/src/lib.rs", module))
            .collect();
        for taken_in in [
            "crates/x/src/lib.rs",
            "crates/x/src/a.rs",
            "crates/x/src/a/mod.rs",
            "crates/x/src/tests.rs",
            "crates/x/src/main.rs",
            "crates/x/src/bin/y.rs",
            "crates/x/src/bin/y/main.rs",
            "crates/x/tests/y.rs",
            "crates/x/tests/y/main.rs",
            "tests/tests/y.rs",
            "tests/examples/y.rs",
            "benches/benches/y.rs",
            "crates/x/src/a.txt",
        ] {
            assert!(!is_orphan(taken_in, &declared), "{taken_in}");
        }
        for orphan in [
            "crates/x/src/b.rs",
            "crates/x/src/a/c.rs",
            "crates/x/src/tests/c.rs",
            "crates/x/tests/y/c.rs",
            "tests/tests/y/c.rs",
            "crates/x/src/bin/y/c.rs",
        ] {
            assert!(is_orphan(orphan, &declared), "{orphan}");
        }
    }

    #[test]
    fn paths_of_a_machine_are_found_and_parts_of_other_paths_are_not() {
        let lines = |text: &str| machine_paths(text).collect::<Vec<_>>();
        for (a, b) in MACHINE_FOLDERS {
            assert_eq!(lines(&format!("x\ncd {a}{b}x")), [2]);
            assert_eq!(lines(&format!("\"{a}{b}x\"")), [1]);
            assert_eq!(lines(&format!("http://example.com{a}{b}x target{a}{b}x")), Vec::<usize>::new());
        }
    }
}
