//! Plants bugs, one at a time, into a copy of the tree and looks for the first seed of `pager_model` that finds each.
//!
//! `cargo run -p cpm-tests --example planted` runs all of `tests/planted/*.bug`, with names behind it those. A bug is a
//! text: a line that says what it is, `file: PATH`, what stands there between `<<<<` and `====`, and what is put in its
//! place up to `>>>>`. What stands there must stand there exactly once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How many seeds are tried at most, and how many at once at first.
const SEEDS: u64 = 2_000;
const AT_ONCE: u64 = 100;

struct Bug {
    name: String,
    what: String,
    edits: Vec<Edit>,
}

struct Edit {
    file: String,
    old: String,
    new: String,
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut bugs = read_bugs(&root.join("tests/planted"));
    bugs.retain(|bug| wanted.is_empty() || wanted.contains(&bug.name));
    // All are tried before the first is built: what does not apply any more is said at once.
    let applicable = bugs.iter().filter(|bug| applies(&root, bug)).count();
    if applicable < bugs.len() {
        return ExitCode::FAILURE;
    }
    let tree = copy(&root);
    // The tree may have changed while it was copied.
    assert!(bugs.iter().all(|bug| applies(&tree, bug)), "the copy is another");
    if let Some(seed) = first_failing(&tree, 40) {
        eprintln!("without any bug seed {seed} fails: nothing can be said");
        return ExitCode::FAILURE;
    }
    println!("| bug | file | first seed |\n|---|---|---|");
    let mut all = true;
    for bug in &bugs {
        let before = plant(&tree, bug);
        let seed = first_failing(&tree, SEEDS);
        for (path, text) in before.into_iter().rev() {
            fs::write(path, text).expect("a file can be written");
        }
        let files: Vec<_> = bug.edits.iter().map(|edit| format!("`{}`", edit.file)).collect();
        let found = seed.map_or("not found".to_owned(), |seed| seed.to_string());
        println!("| {} (`{}`) | {} | {found} |", bug.what, bug.name, files.join(", "));
        all &= seed.is_some();
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read_bugs(folder: &Path) -> Vec<Bug> {
    let entries = fs::read_dir(folder).expect("tests/planted is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "bug"));
    paths.sort();
    paths.iter().map(|path| read_bug(path)).collect()
}

fn read_bug(path: &Path) -> Bug {
    let text = fs::read_to_string(path).expect("readable");
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let (what, mut rest) = text.split_once('\n').unwrap_or_else(|| panic!("{name}: no first line"));
    let mut edits = Vec::new();
    while let Some((_, edit)) = rest.split_once("file: ") {
        let cut = |text: &'_ str, at: &str| match text.split_once(at) {
            Some((before, after)) => (before.to_owned(), after.to_owned()),
            None => panic!("{name}: {at:?} is missing"),
        };
        let (file, edit) = cut(edit, "\n<<<<\n");
        let (old, edit) = cut(&edit, "====\n");
        let (new, _) = cut(&edit, ">>>>\n");
        edits.push(Edit { file, old, new });
        rest = rest
            .split_once("file: ")
            .and_then(|(_, rest)| rest.split_once(">>>>\n"))
            .map_or("", |(_, rest)| rest);
    }
    assert!(!edits.is_empty(), "{name}: nothing is planted");
    Bug { name, what: what.to_owned(), edits }
}

fn applies(root: &Path, bug: &Bug) -> bool {
    let fits = |edit: &Edit| {
        let text = fs::read_to_string(root.join(&edit.file)).unwrap_or_default();
        let times = text.matches(&edit.old).count();
        if times != 1 {
            eprintln!("{}: what it changes stands {times} times in {}", bug.name, edit.file);
        }
        times == 1
    };
    bug.edits.iter().filter(|edit| fits(edit)).count() == bug.edits.len()
}

/// The files that the repository knows, as they are now.
fn copy(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let tree = target.join("planted");
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().expect("git runs");
    for file in listed.stdout.split(|octet| *octet == 0).filter(|file| !file.is_empty()) {
        let file = String::from_utf8_lossy(file).into_owned();
        let (from, to) = (root.join(&file), tree.join(&file));
        let Ok(octets) = fs::read(&from) else { continue };
        // What did not change is not built again.
        if fs::read(&to).is_ok_and(|former| former == octets) {
            continue;
        }
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder can be made");
        fs::write(&to, octets).expect("a file can be written");
    }
    tree
}

/// Plants a bug and gives what stood there before.
fn plant(tree: &Path, bug: &Bug) -> Vec<(PathBuf, String)> {
    let mut before = Vec::new();
    for edit in &bug.edits {
        let path = tree.join(&edit.file);
        let text = fs::read_to_string(&path).expect("readable");
        fs::write(&path, text.replacen(&edit.old, &edit.new, 1)).expect("a file can be written");
        before.push((path, text));
    }
    before
}

/// The first seed of so many that fails.
fn first_failing(tree: &Path, seeds: u64) -> Option<u64> {
    let (mut first, mut count) = (0, AT_ONCE.min(seeds));
    while first < seeds {
        let run = Command::new(env!("CARGO"))
            .args(["test", "--quiet", "-p", "cpm-tests", "--test", "pager_model", "--", "seeds_of"])
            .env("CPM_FIRST", first.to_string())
            .env("CPM_SEEDS", count.min(seeds - first).to_string())
            .env("RUST_BACKTRACE", "0")
            // What is built of the copy has the names of what is built of the tree: it lies apart.
            .env("CARGO_TARGET_DIR", tree.join("target"))
            .current_dir(tree)
            .output()
            .expect("cargo runs");
        let said = [run.stdout, run.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        // Each case stops at its first one: the least of them is the first of all.
        let seed =
            said.lines().filter_map(|line| line.strip_prefix("seed ")?.split(':').next()?.parse().ok()).min();
        if seed.is_some() {
            return seed;
        }
        if !run.status.success() {
            let end: Vec<_> = said.lines().rev().take(30).collect();
            panic!("it does not build or run:\n{}", end.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        first += count;
        count *= 2;
    }
    None
}
