//! Plants bugs, one at a time, into a copy of the tree and looks for the first seed of `pager_model` that finds each.
//!
//! `cargo run -p cpm-tests --example planted` runs all of `tests/planted/*.bug`, with names behind it those. A bug is a
//! text: a line that says what it is, `said: TEXT` for each thing that a seed may say that found it, `file: PATH`, what
//! stands there between `<<<<` and `====`, and what is put in its place up to `>>>>`. What stands there must stand there
//! exactly once.
//!
//! A seed counts when it says one of these things, and the tree without the bug passes it: what differs anyway proves
//! nothing. What is built is optimised, and of the copy only what a bug changes, with what stands on that, is built again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How many seeds are tried at most, and how many at once at first.
const SEEDS: u64 = 2_000;
const AT_ONCE: u64 = 100;

struct Bug {
    name: String,
    what: String,
    /// What a seed may say that found it.
    said: Vec<String>,
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
    // What does not apply any more is said at once.
    let wanted = bugs.len();
    bugs.retain(|bug| applies(&root, bug));
    let mut all = bugs.len() == wanted;
    let tree = copy(&root);
    // The tree may have changed while it was copied.
    assert!(bugs.iter().all(|bug| applies(&tree, bug)), "the copy is another");
    let clean = tree.join("without-bug");
    let built = build(&tree).unwrap_or_else(|said| panic!("it does not build:\n{said}"));
    fs::copy(built, &clean).expect("a file can be copied");
    println!("| bug | file | first seed | what was said |\n|---|---|---|---|");
    for bug in &bugs {
        let before = plant(&tree, bug);
        let found = build(&tree).map(|planted| first_failing(&planted, &clean, &bug.said));
        for (path, text) in before.into_iter().rev() {
            fs::write(path, text).expect("a file can be written");
        }
        let files: Vec<_> = bug.edits.iter().map(|edit| format!("`{}`", edit.file)).collect();
        let found = match found {
            Ok(Some((seed, why))) => format!("{seed} | {why}"),
            Ok(None) => {
                all = false;
                "not found |".to_owned()
            }
            Err(said) => {
                eprintln!("{}: does not build:\n{said}", bug.name);
                all = false;
                "does not build |".to_owned()
            }
        };
        println!("| {} (`{}`) | {} | {found} |", bug.what, bug.name, files.join(", "));
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
    let said = rest.lines().map_while(|line| line.strip_prefix("said: ")).map(str::to_owned).collect();
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
    let bug = Bug { name, what: what.to_owned(), said, edits };
    assert!(!bug.said.is_empty(), "{}: nothing would find it", bug.name);
    bug
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

/// Builds `pager_model` of a tree; the program, or what was said against it.
fn build(tree: &Path) -> Result<PathBuf, String> {
    let run = Command::new(env!("CARGO"))
        .args(["test", "--release", "-p", "cpm-tests", "--test", "pager_model", "--no-run"])
        .args(["--message-format", "json-render-diagnostics"])
        // What is built of the copy has the names of what is built of the tree: it lies apart.
        .env("CARGO_TARGET_DIR", tree.join("target"))
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .current_dir(tree)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let program = said.lines().filter(|line| line.contains("\"name\":\"pager_model\"")).find_map(|line| {
        let (_, path) = line.split_once("\"executable\":\"")?;
        Some(PathBuf::from(path.split_once('"')?.0))
    });
    let faults = || String::from_utf8_lossy(&run.stderr).into_owned();
    program.filter(|_| run.status.success()).ok_or_else(faults)
}

/// The first seed in which a program says one of these things, and the program without the bug has nothing to say.
fn first_failing(planted: &Path, clean: &Path, said: &[String]) -> Option<(u64, String)> {
    let (mut first, mut count) = (0, AT_ONCE);
    while first < SEEDS {
        let most = count.min(SEEDS - first);
        let Some(seed) = first_of(&run(planted, first, most)) else {
            first += most;
            count *= 2;
            continue;
        };
        if first_of(&run(clean, seed, 1)).is_none()
            && let Some(why) = reason(&run(planted, seed, 1), said)
        {
            return Some((seed, why));
        }
        first = seed + 1;
    }
    None
}

/// What a program says to so many seeds.
fn run(program: &Path, first: u64, count: u64) -> String {
    let run = Command::new(program)
        .arg("seeds_of")
        .env("CPM_FIRST", first.to_string())
        .env("CPM_SEEDS", count.to_string())
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("a test can be run");
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(run.status.success() || first_of(&said).is_some(), "it does not run:\n{said}");
    said
}

/// Each case stops at its first seed that fails: the least of them is the first of all.
fn first_of(said: &str) -> Option<u64> {
    said.lines().filter_map(|line| line.strip_prefix("seed ")?.split(':').next()?.parse().ok()).min()
}

/// The first of these things that was said of the only seed, shortened.
fn reason(told: &str, said: &[String]) -> Option<String> {
    let mut wrong = told.lines().filter_map(|line| line.strip_prefix("not so: "));
    let why = wrong.find(|why| said.iter().any(|said| why.contains(said)))?;
    Some(why.chars().take(100).collect::<String>().replace('|', "/"))
}
