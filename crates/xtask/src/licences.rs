//! Licences of everything that is built, against the list of `policy`.

use crate::check::Outcome;
use crate::graph::Graph;
use crate::policy::LICENCES;

pub fn check(graph: &Graph) -> Outcome {
    let mut outcome = Outcome::default();
    for package in &graph.packages {
        let name = format!("{} {}", package.name, package.version);
        if !package.member && !package.from_registry {
            outcome.faults.push(format!("{name} is neither a member nor from crates.io"));
        }
        match package.licence.as_deref().map(is_acceptable) {
            None => outcome.faults.push(format!("{name} names no licence")),
            Some(Ok(true)) => {}
            Some(Ok(false)) => outcome.faults.push(format!(
                "{name}: the licence `{}` is not on the list",
                package.licence.as_deref().unwrap_or_default()
            )),
            Some(Err(why)) => outcome.faults.push(format!("{name}: {why}")),
        }
    }
    outcome.summary = format!("{} packages", graph.packages.len());
    outcome
}

/// Evaluates an SPDX expression: true when some choice of its licences is on the list. `/` is the old form of OR.
///
/// AND binds tighter than OR, WITH belongs to the licence before it. One level of values and signs per open
/// parenthesis is kept on a stack.
fn is_acceptable(expression: &str) -> Result<bool, String> {
    let malformed = || format!("cannot read the licence `{expression}`");
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let mut levels = vec![Level::default()];
    while let Some(word) = words.next() {
        let level = levels.last_mut().ok_or_else(malformed)?;
        match word {
            "(" => levels.push(Level::default()),
            ")" => {
                let value = levels.pop().and_then(|level| level.value()).ok_or_else(malformed)?;
                if !levels.last_mut().is_some_and(|level| level.take(value)) {
                    return Err(malformed());
                }
            }
            "AND" | "OR" if level.wants_licence() => return Err(malformed()),
            "AND" => level.after_and = true,
            "OR" => level.next_alternative(),
            licence => {
                let mut name = licence.to_owned();
                if words.next_if_eq(&"WITH").is_some() {
                    name = format!("{name} WITH {}", words.next().ok_or_else(malformed)?);
                }
                if !level.take(LICENCES.contains(&name.as_str())) {
                    return Err(malformed());
                }
            }
        }
    }
    match levels.as_slice() {
        [only] => only.value().ok_or_else(malformed),
        _ => Err(malformed()),
    }
}

/// An expression, or what stands between two parentheses, as far as it is read.
#[derive(Default)]
struct Level {
    /// An alternative before the last OR is acceptable.
    earlier: bool,
    /// All licences of the present alternative are acceptable.
    present: Option<bool>,
    after_and: bool,
}

impl Level {
    fn wants_licence(&self) -> bool {
        self.present.is_none() || self.after_and
    }

    /// False when no licence can stand here.
    fn take(&mut self, acceptable: bool) -> bool {
        let expected = self.wants_licence();
        self.present = Some(self.present.unwrap_or(true) && acceptable);
        self.after_and = false;
        expected
    }

    fn next_alternative(&mut self) {
        self.earlier |= self.present == Some(true);
        self.present = None;
    }

    fn value(&self) -> Option<bool> {
        if self.after_and {
            return None;
        }
        self.present.map(|present| self.earlier || present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        for (expression, acceptable) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("GPL-3.0-only OR MIT", true),
            ("MIT AND GPL-3.0-only", false),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0-only OR MIT AND LGPL-2.1", false),
            ("(GPL-3.0-only OR MIT) AND Unicode-3.0", true),
            ("(GPL-3.0-only OR LGPL-2.1) AND Unicode-3.0", false),
            ("((MIT)) OR (X AND MIT)", true),
            ("Apache-2.0 WITH LLVM-exception OR X", true),
            ("MIT WITH LLVM-exception", false),
        ] {
            assert_eq!(is_acceptable(expression), Ok(acceptable), "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_a_fault() {
        for text in [
            "",
            "MIT MIT",
            "MIT AND",
            "OR MIT",
            "(MIT",
            "MIT)",
            "()",
            "MIT OR OR MIT",
            "MIT WITH",
            "MIT (MIT)",
        ] {
            assert!(is_acceptable(text).is_err(), "{text}");
        }
    }
}
