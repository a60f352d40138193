//! Just enough of Rust's lexical structure to tell comments, strings and code apart.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An identifier, keyword or number.
    Word(String),
    Punct(char),
    /// The content of a string literal, escapes as written.
    Text(String),
    /// A comment without its `//`, `///`, `//!` or `/*`, trimmed.
    Comment(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    pub kind: Kind,
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek(0).filter(|c| keep(*c)) {
            taken.push(c);
            self.next();
        }
        taken
    }

    fn line_comment(&mut self) -> String {
        self.take_while(|c| c != '\n').trim_start_matches('/').trim_start_matches('!').trim().to_owned()
    }

    /// Block comments nest.
    fn block_comment(&mut self) -> String {
        let mut text = String::new();
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (Some(c), _) => {
                    text.push(c);
                    self.next();
                    continue;
                }
                (None, _) => break,
            }
            self.next();
            self.next();
            if depth == 0 {
                break;
            }
        }
        text.trim_start_matches(['*', '!']).trim().to_owned()
    }

    /// From the opening quote on.
    fn quoted(&mut self, quote: char) -> String {
        self.next();
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == quote {
                break;
            }
            text.push(c);
            if c == '\\' {
                text.extend(self.next());
            }
        }
        text
    }

    /// From the first `#` or the opening quote on; `None` when no raw string begins here.
    fn raw_string(&mut self) -> Option<String> {
        let mut hashes = 0;
        while self.peek(hashes) == Some('#') {
            hashes += 1;
        }
        if self.peek(hashes) != Some('"') {
            return None;
        }
        for _ in 0..=hashes {
            self.next();
        }
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == '"' && (0..hashes).all(|i| self.peek(i) == Some('#')) {
                for _ in 0..hashes {
                    self.next();
                }
                break;
            }
            text.push(c);
        }
        Some(text)
    }
}

pub fn lex(source: &str) -> Vec<Token> {
    let mut reader = Reader { chars: source.chars().collect(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    while let Some(c) = reader.peek(0) {
        let line = reader.line;
        let kind = match (c, reader.peek(1)) {
            ('/', Some('/')) => Kind::Comment(reader.line_comment()),
            ('/', Some('*')) => Kind::Comment(reader.block_comment()),
            ('"', _) => Kind::Text(reader.quoted('"')),
            ('\'', Some('\\')) => Kind::Text(reader.quoted('\'')),
            ('\'', Some(_)) if reader.peek(2) == Some('\'') => Kind::Text(reader.quoted('\'')),
            ('\'', _) => {
                // A lifetime or a loop label.
                reader.next();
                Kind::Punct('\'')
            }
            _ if c.is_alphanumeric() || c == '_' => word_or_prefixed(&mut reader),
            _ => {
                reader.next();
                if c.is_whitespace() {
                    continue;
                }
                Kind::Punct(c)
            }
        };
        tokens.push(Token { line, kind });
    }
    tokens
}

/// A word, or the string that it is the prefix of (`b"..."`, `r#"..."#`, `cr"..."`).
fn word_or_prefixed(reader: &mut Reader) -> Kind {
    let word = reader.take_while(|c| c.is_alphanumeric() || c == '_');
    match word.as_str() {
        "r" | "br" | "cr" => {
            if let Some(text) = reader.raw_string() {
                return Kind::Text(text);
            }
            if word == "r" && reader.peek(0) == Some('#') {
                // A raw identifier: r#type.
                reader.next();
                return Kind::Word(reader.take_while(|c| c.is_alphanumeric() || c == '_'));
            }
        }
        "b" | "c" if reader.peek(0) == Some('"') => return Kind::Text(reader.quoted('"')),
        "b" if reader.peek(0) == Some('\'') => return Kind::Text(reader.quoted('\'')),
        _ => {}
    }
    Kind::Word(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<Kind> {
        lex(source).into_iter().map(|t| t.kind).collect()
    }
    fn word(s: &str) -> Kind {
        Kind::Word(s.into())
    }
    fn text(s: &str) -> Kind {
        Kind::Text(s.into())
    }
    fn comment(s: &str) -> Kind {
        Kind::Comment(s.into())
    }

    #[test]
    fn comments_lose_their_signs() {
        assert_eq!(
            kinds("// a\n/// b\n//! c\n/* d /* e */ f */ //"),
            [comment("a"), comment("b"), comment("c"), comment("d  e  f"), comment("")]
        );
    }

    #[test]
    fn a_comment_inside_a_string_is_no_comment() {
        assert_eq!(kinds(r#""// a" x "\"// b""#), [text("// a"), word("x"), text("\\\"// b")]);
        assert_eq!(
            kinds(r###"r#"// a " "# r"\" br##"x"#"##"###),
            [text("// a \" "), text("\\"), text("x\"#")]
        );
        assert_eq!(kinds("b\"//\" c\"//\" b'\"' // y"), [text("//"), text("//"), text("\""), comment("y")]);
    }

    #[test]
    fn characters_and_lifetimes_are_told_apart() {
        assert_eq!(kinds(r"'\'' '{' '\u{7b}' '\\'"), [text("\\'"), text("{"), text("\\u{7b}"), text("\\\\")]);
        assert_eq!(kinds("'a 'static"), [Kind::Punct('\''), word("a"), Kind::Punct('\''), word("static")]);
        assert_eq!(
            kinds("<'a>'{'"),
            [Kind::Punct('<'), Kind::Punct('\''), word("a"), Kind::Punct('>'), text("{")]
        );
    }

    #[test]
    fn raw_identifiers_are_words() {
        assert_eq!(kinds("r#mod r rx"), [word("mod"), word("r"), word("rx")]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let tokens = lex("\"a\nb\" /* c\n\n*/ d");
        assert_eq!(tokens.iter().map(|t| t.line).collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn nothing_unfinished_hangs_or_panics() {
        for source in ["\"a", "'", "r#\"a", "/* a", "b'", "'\\", "r##", "//", "\"\\"] {
            lex(source);
        }
    }
}
