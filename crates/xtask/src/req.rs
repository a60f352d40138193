//! Requirement tracing: docs/requirements.tsv against the marks in code and tests, and docs/coverage.tsv.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::{marks, tree};

const TABLE: &str = "docs/requirements.tsv";
const SNAPSHOT: &str = "docs/coverage.tsv";
const EXCLUDED: &str = "docs/excluded.tsv";
const SNAPSHOT_HEAD: &str = "id\tcode\tproved\n";

pub enum Mode {
    Compare,
    Bless,
    Open(String),
    Sections(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    role: String,
    area: String,
    level: String,
}

impl Requirement {
    fn is_mandatory(&self) -> bool {
        matches!(self.level.as_str(), "SHALL" | "SHALL-NOT")
    }
}

type Table = BTreeMap<String, Requirement>;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Cover {
    code: bool,
    proved: bool,
}

#[derive(Debug, Default)]
struct Tracing {
    cover: BTreeMap<String, Cover>,
    faults: Vec<String>,
}

/// A file's name and its marks.
type FileMarks = (String, marks::Scan);

pub fn run(mode: Mode) -> Result<bool, String> {
    let root = tree::root();
    let table = read_table(&tree::read(&root, TABLE)?)?;
    let mut tracing = trace(&table, &scan_tree(&root)?);
    let excluded = read_excluded(&tree::read(&root, EXCLUDED)?, &table, &mut tracing);
    match mode {
        Mode::Open(wanted) => return print_open(&table, &tracing, &wanted),
        Mode::Sections(wanted) => return print_sections(&table, &tracing, &excluded, &wanted),
        Mode::Compare | Mode::Bless => {}
    }
    print!("{}", summary(&table, &tracing));

    let snapshot = render(&tracing.cover);
    if matches!(mode, Mode::Bless) {
        std::fs::write(root.join(SNAPSHOT), &snapshot).map_err(|e| format!("{SNAPSHOT}: {e}"))?;
    } else {
        let stored = tree::read(&root, SNAPSHOT).unwrap_or_default();
        let changes = differences(&stored, &snapshot);
        if !changes.is_empty() {
            let lines = changes.join("\n       ");
            tracing.faults.push(format!(
                "{SNAPSHOT} is out of date: run `cargo xtask req --bless` and commit it\n       {lines}"
            ));
        }
    }
    for fault in &tracing.faults {
        println!("FAIL   {fault}");
    }
    let verdict = if tracing.faults.is_empty() { "ok" } else { "FAILED" };
    println!("req: {verdict}, {} faults", tracing.faults.len());
    Ok(tracing.faults.is_empty())
}

fn read_table(text: &str) -> Result<Table, String> {
    let mut table = Table::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let mut columns = line.split('\t');
        let (Some(id), Some(role), Some(area), Some(level)) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            return Err(format!("{TABLE}:{}: expected id, role, area, level", number + 1));
        };
        let row = Requirement { role: role.into(), area: area.into(), level: level.into() };
        if table.insert(id.to_owned(), row).is_some() {
            return Err(format!("{TABLE}:{}: {id} stands there twice", number + 1));
        }
    }
    Ok(table)
}

/// The requirements that will not be met, each with its reason. What is proved is not excluded.
fn read_excluded(text: &str, table: &Table, tracing: &mut Tracing) -> BTreeSet<String> {
    let mut excluded = BTreeSet::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let place = format!("{EXCLUDED}:{}", number + 1);
        let (id, reason) = line.split_once('\t').unwrap_or((line, ""));
        if reason.trim().is_empty() {
            tracing.faults.push(format!("{place}: expected an id and a reason"));
        } else if !table.contains_key(id) {
            tracing.faults.push(format!("{place}: no requirement has the id `{id}`"));
        } else if tracing.cover.get(id).is_some_and(|cover| cover.proved) {
            tracing.faults.push(format!("{place}: {id} is proved by a test"));
        } else if !excluded.insert(id.to_owned()) {
            tracing.faults.push(format!("{place}: {id} stands there twice"));
        }
    }
    excluded
}

/// The marks of every Rust file under crates/ and tests/.
fn scan_tree(root: &Path) -> Result<Vec<FileMarks>, String> {
    let mut files = Vec::new();
    for name in tree::files(root)? {
        if name.ends_with(".rs") && (name.starts_with("crates/") || name.starts_with("tests/")) {
            let scan = marks::scan(&tree::read(root, &name)?);
            files.push((name, scan));
        }
    }
    mark_test_files(&mut files);
    Ok(files)
}

/// In a file that holds tests alone every mark is in a test.
fn mark_test_files(files: &mut [FileMarks]) {
    let declared: BTreeSet<String> = files
        .iter()
        .flat_map(|(name, scan)| {
            scan.test_modules.iter().flat_map(|module| marks::module_files(name, module))
        })
        .collect();
    for (name, scan) in files {
        if tree::is_test_file(name) || declared.contains(name) {
            scan.marks.iter_mut().for_each(|mark| mark.in_test = true);
        }
    }
}

fn trace(table: &Table, files: &[FileMarks]) -> Tracing {
    let mut tracing = Tracing::default();
    let mut first_code: BTreeMap<&str, String> = BTreeMap::new();
    for (name, scan) in files {
        for line in &scan.misplaced {
            tracing
                .faults
                .push(format!("{name}:{line}: a mark must be a comment of its own that begins with `req:`"));
        }
        for mark in &scan.marks {
            let place = format!("{name}:{}", mark.line);
            if !table.contains_key(&mark.id) {
                tracing.faults.push(format!("{place}: no requirement has the id `{}`", mark.id));
                continue;
            }
            if mark.in_ignored {
                tracing.faults.push(format!("{place}: {} is marked in an ignored test", mark.id));
                continue;
            }
            let cover = tracing.cover.entry(mark.id.clone()).or_default();
            if mark.in_test {
                cover.proved = true;
            } else {
                cover.code = true;
                first_code.entry(&mark.id).or_insert(place);
            }
        }
    }
    for (id, place) in first_code {
        let proved = tracing.cover.get(id).is_some_and(|cover| cover.proved);
        if let Some(row) = table.get(id).filter(|row| row.is_mandatory() && !proved) {
            tracing
                .faults
                .push(format!("{place}: {id} ({}) is marked in code and proved by no test", row.level));
        }
    }
    tracing
}

fn render(cover: &BTreeMap<String, Cover>) -> String {
    let mut text = SNAPSHOT_HEAD.to_owned();
    for (id, cover) in cover {
        let word = |yes| if yes { "yes" } else { "no" };
        let _ = writeln!(text, "{id}\t{}\t{}", word(cover.code), word(cover.proved));
    }
    text
}

/// Lines that are in one text alone, as `- old` and `+ new`; at most twenty.
fn differences(old: &str, new: &str) -> Vec<String> {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) = (old.lines().collect(), new.lines().collect());
    let mut changes: Vec<(&str, char)> = before.difference(&after).map(|line| (*line, '-')).collect();
    changes.extend(after.difference(&before).map(|line| (*line, '+')));
    changes.sort_unstable_by_key(|(line, sign)| (*line, *sign == '+'));
    let mut lines: Vec<String> = changes.iter().map(|(line, sign)| format!("{sign} {line}")).collect();
    if lines.is_empty() && old != new {
        lines.push("the order of its lines differs".to_owned());
    }
    if lines.len() > 20 {
        let more = lines.split_off(20).len();
        lines.push(format!("... and {more} more"));
    }
    lines
}

#[derive(Default, Clone, Copy)]
struct Count {
    total: usize,
    code: usize,
    proved: usize,
}

fn summary(table: &Table, tracing: &Tracing) -> String {
    let mut all = Count::default();
    let mut by_role: BTreeMap<&str, Count> = BTreeMap::new();
    let mut by_area: BTreeMap<&str, Count> = BTreeMap::new();
    for (id, row) in table {
        let cover = tracing.cover.get(id).copied().unwrap_or_default();
        for count in [&mut all, by_role.entry(&row.role).or_default(), by_area.entry(&row.area).or_default()]
        {
            count.total += 1;
            count.code += usize::from(cover.code);
            count.proved += usize::from(cover.proved);
        }
    }
    let mut text = String::new();
    for (title, counts) in [("role", by_role), ("area", by_area)] {
        let _ = writeln!(text, "{title:<24}{:>8}{:>14}{:>9}", "of", "implemented", "proved");
        for (name, count) in counts {
            line(&mut text, name, count);
        }
        text.push('\n');
    }
    line(&mut text, "all requirements", all);
    text
}

fn line(text: &mut String, name: &str, count: Count) {
    let _ = writeln!(text, "  {name:<22}{:>8}{:>14}{:>9}", count.total, count.code, count.proved);
}

fn print_open(table: &Table, tracing: &Tracing, wanted: &str) -> Result<bool, String> {
    let is_wanted =
        |id: &str, row: &Requirement| row.role == wanted || row.area == wanted || section(id) == wanted;
    let rows: Vec<_> = table.iter().filter(|(id, row)| is_wanted(id, row)).collect();
    if rows.is_empty() {
        return Err(format!("no requirement has the role, area or section `{wanted}`"));
    }
    for (id, row) in rows {
        let state = match tracing.cover.get(id).copied().unwrap_or_default() {
            Cover { code: true, proved: true } => continue,
            Cover { code: true, proved: false } => "not proved",
            Cover { code: false, proved: true } => "proved, no code mark",
            Cover { code: false, proved: false } => "not implemented",
        };
        println!("{id}\t{}\t{}\t{}\t{state}", row.role, row.area, row.level);
    }
    Ok(true)
}

/// The section of an id: what stands before its first hyphen.
fn section(id: &str) -> &str {
    id.split('-').next().unwrap_or_default()
}

fn print_sections(
    table: &Table,
    tracing: &Tracing,
    excluded: &BTreeSet<String>,
    wanted: &[String],
) -> Result<bool, String> {
    println!("{:<12}{:>6}{:>8}{:>10}{:>6}  open", "section", "of", "proved", "excluded", "open");
    let mut sums = [0; 4];
    for name in wanted {
        let rows: Vec<&String> = table
            .iter()
            .filter(|(id, row)| section(id) == name && row.is_mandatory())
            .map(|(id, _)| id)
            .collect();
        if rows.is_empty() && !table.keys().any(|id| section(id) == name) {
            return Err(format!("no requirement is of section `{name}`"));
        }
        let is_proved = |id: &str| tracing.cover.get(id).is_some_and(|cover| cover.code && cover.proved);
        let proved = rows.iter().filter(|id| is_proved(id)).count();
        let left_out = rows.iter().filter(|id| excluded.contains(**id)).count();
        let open: Vec<&str> = rows
            .iter()
            .filter(|id| !is_proved(id) && !excluded.contains(**id))
            .map(|id| id.split_once('-').map_or("", |(_, rest)| rest))
            .collect();
        for (sum, count) in sums.iter_mut().zip([rows.len(), proved, left_out, open.len()]) {
            *sum += count;
        }
        let counts = format!("{:>6}{proved:>8}{left_out:>10}{:>6}", rows.len(), open.len());
        println!("{name:<12}{counts}  {}", open.join(" "));
    }
    let [all, proved, left_out, open] = sums;
    println!("{:<12}{all:>6}{proved:>8}{left_out:>10}{open:>6}", "all");
    Ok(open == 0)
}

#[cfg(test)]
mod tests;
