//! Finds requirement marks in a Rust file and tells whether each stands in code or in a test.

use crate::lexer::{Kind, Token, lex};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub id: String,
    pub line: usize,
    pub in_test: bool,
    /// The test that it stands in never runs.
    pub in_ignored: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub marks: Vec<Mark>,
    /// Lines where `req:` and an id stand in the middle of a comment: meant as a mark, and not one.
    pub misplaced: Vec<usize>,
    /// Names, or `path` attributes, of modules that are declared for tests and kept in a file of their own.
    pub test_modules: Vec<String>,
    /// The same for all modules in files of their own, those for tests among them.
    pub modules: Vec<String>,
    /// Lines that are not inside a test.
    pub code_lines: usize,
}

/// What attributes say about the item that follows them.
#[derive(Default)]
struct Pending {
    test: bool,
    ignored: bool,
    path: Option<String>,
    /// Marks above the item.
    marks: Vec<usize>,
}

struct Frame {
    brace: bool,
    line: usize,
    test: bool,
    ignored: bool,
    pending: Pending,
}

impl Frame {
    fn new(brace: bool, line: usize, test: bool, ignored: bool) -> Frame {
        Frame { brace, line, test, ignored, pending: Pending::default() }
    }
}

pub fn scan(source: &str) -> Scan {
    let tokens = lex(source);
    let mut scan = Scan::default();
    let mut frames = vec![Frame::new(true, 1, false, false)];
    let mut test_lines = 0;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let outer = frames.len() == 1;
        let Some(top) = frames.last_mut() else { break };
        match &token.kind {
            Kind::Comment(text) => {
                let trailing = at >= 2 && tokens.get(at - 2).is_some_and(|t| t.line == token.line);
                read_comment(text, token.line, trailing, top, &mut scan);
            }
            Kind::Punct('#') => {
                if let Some((attribute, inner, after)) = attribute(&tokens, at) {
                    at = after;
                    apply(attribute, inner, top, &mut scan);
                }
            }
            Kind::Punct(open @ ('{' | '(' | '[')) => {
                let (test, ignored) = (top.test || top.pending.test, top.ignored || top.pending.ignored);
                let brace = *open == '{';
                if brace {
                    settle(top, &mut scan);
                }
                frames.push(Frame::new(brace, token.line, test, ignored));
            }
            Kind::Punct('}' | ')' | ']') if !outer => {
                let Some(closed) = frames.pop() else { break };
                if let Some(parent) = frames.last_mut().filter(|_| closed.brace) {
                    if closed.test && !parent.test {
                        test_lines += token.line + 1 - closed.line;
                    }
                    parent.pending = Pending::default();
                }
            }
            Kind::Punct(';') if top.brace => {
                if let Some(module) = declared_module(&tokens, at, top.pending.path.take()) {
                    if top.pending.test || top.test {
                        scan.test_modules.push(module.clone());
                    }
                    scan.modules.push(module);
                }
                settle(top, &mut scan);
                top.pending = Pending::default();
            }
            _ => {}
        }
    }
    let whole_file = frames.first().is_some_and(|file| file.test);
    let lines = source.lines().count();
    scan.code_lines = if whole_file { 0 } else { lines.saturating_sub(test_lines) };
    scan
}

/// The marks above an item take over what the item's attributes say.
fn settle(frame: &mut Frame, scan: &mut Scan) {
    for index in frame.pending.marks.drain(..) {
        if let Some(mark) = scan.marks.get_mut(index) {
            mark.in_test |= frame.pending.test;
            mark.in_ignored |= frame.pending.ignored;
        }
    }
}

/// A trailing comment belongs to its own line, any other to the item below it.
fn read_comment(text: &str, line: usize, trailing: bool, frame: &mut Frame, scan: &mut Scan) {
    let Some(ids) = text.strip_prefix("req:") else {
        if has_misplaced_mark(text) {
            scan.misplaced.push(line);
        }
        return;
    };
    for id in ids.split(',') {
        if !trailing {
            frame.pending.marks.push(scan.marks.len());
        }
        scan.marks.push(Mark {
            id: id.trim().to_owned(),
            line,
            in_test: frame.test || frame.pending.test,
            in_ignored: frame.ignored || frame.pending.ignored,
        });
    }
}

/// Every requirement id begins with a letter or digit and has a hyphen; placeholders do not look like that.
fn has_misplaced_mark(text: &str) -> bool {
    text.match_indices("req:").any(|(at, found)| {
        let starts_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let next = text[at + found.len()..].split_whitespace().next().unwrap_or_default();
        starts_word && next.contains('-') && next.starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// The tokens between the brackets of an attribute, whether it is an inner one, and the place after it.
fn attribute(tokens: &[Token], mut at: usize) -> Option<(&[Token], bool, usize)> {
    let is = |at: usize, c: char| tokens.get(at).is_some_and(|t| t.kind == Kind::Punct(c));
    let inner = is(at, '!');
    at += usize::from(inner);
    if !is(at, '[') {
        return None;
    }
    let start = at + 1;
    let mut depth = 0_usize;
    while at < tokens.len() {
        if is(at, '[') {
            depth += 1;
        } else if is(at, ']') {
            depth -= 1;
            if depth == 0 {
                return Some((tokens.get(start..at)?, inner, at + 1));
            }
        }
        at += 1;
    }
    None
}

fn apply(attribute: &[Token], inner: bool, frame: &mut Frame, scan: &mut Scan) {
    let words: Vec<&str> = attribute
        .iter()
        .filter_map(|t| match &t.kind {
            Kind::Word(word) => Some(word.as_str()),
            _ => None,
        })
        .collect();
    // `cfg(any(test, ...))` and `cfg(not(test))` are also compiled outside of tests.
    let only_for_tests = match words.as_slice() {
        ["cfg", "test"] => true,
        ["cfg", "all", rest @ ..] => {
            rest.contains(&"test") && !rest.contains(&"not") && !rest.contains(&"any")
        }
        _ => false,
    };
    // #[test], #[tokio::test], #[tokio::test(flavor = "...")]
    let name = attribute.iter().take_while(|t| matches!(t.kind, Kind::Word(_) | Kind::Punct(':')));
    let is_test = name.last().is_some_and(|t| t.kind == Kind::Word("test".to_owned()));
    let test = only_for_tests || is_test;
    // `cfg(any())` is never compiled. (A feature that does not exist is a warning of the compiler.)
    let left_out = words.as_slice() == ["cfg", "any"];
    let ignored = left_out
        || words.first() == Some(&"ignore")
        || words.first() == Some(&"cfg_attr") && words.contains(&"ignore");
    if inner {
        frame.ignored |= ignored;
        if test {
            frame.test = true;
            frame.pending.test = true;
            settle(frame, scan);
            frame.pending = Pending::default();
        }
        return;
    }
    frame.pending.test |= test;
    frame.pending.ignored |= ignored;
    if words.as_slice() == ["path"] {
        frame.pending.path = attribute.iter().find_map(|t| match &t.kind {
            Kind::Text(path) => Some(path.clone()),
            _ => None,
        });
    }
}

/// The module declared by `mod name;` whose semicolon stands just before `at`.
fn declared_module(tokens: &[Token], at: usize, path: Option<String>) -> Option<String> {
    let mut before = tokens.get(..at)?.iter().rev().skip(1).filter(|t| !matches!(t.kind, Kind::Comment(_)));
    let (Kind::Word(name), Kind::Word(keyword)) = (&before.next()?.kind, &before.next()?.kind) else {
        return None;
    };
    (keyword == "mod").then(|| path.unwrap_or_else(|| name.clone()))
}

/// Where the module declared in `file` may be kept.
pub fn module_files(file: &str, module: &str) -> Vec<String> {
    let (folder, base) = file.rsplit_once('/').unwrap_or(("", file));
    if module.ends_with(".rs") {
        return vec![format!("{folder}/{module}")];
    }
    let home = match base {
        _ if is_root(file) => folder.to_owned(),
        "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", base.trim_end_matches(".rs")),
    };
    vec![format!("{home}/{module}.rs"), format!("{home}/{module}/mod.rs")]
}

/// Whether cargo compiles a file by itself: `src/lib.rs`, `src/bin/x.rs`, `tests/x.rs`, ...
pub fn is_root(file: &str) -> bool {
    let parts: Vec<&str> = file.rsplit('/').collect();
    match parts.as_slice() {
        ["lib.rs" | "main.rs", "src", ..] | [_, "bin", "src", ..] | ["main.rs", _, "bin", "src", ..] => true,
        ["build.rs", _, "crates"] => true,
        [_, "tests" | "examples" | "benches", member, ..] => *member != "src" && !parts.contains(&"src"),
        ["main.rs", _, "tests" | "examples" | "benches", ..] => !parts.contains(&"src"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
