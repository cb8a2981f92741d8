//! The source tree as tokens: what stands where, which paths are named, where functions end.
//!
//! This knows as much of Rust as the rules need, and expects code that rustfmt has seen.

use std::path::Path;
use std::{fs, io};

/// Folders that hold Rust files of ours.
const FOLDERS: &[&str] = &["src", "tests", "benches", "examples", "fuzz/fuzz_targets", "fuzz/src"];

#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    pub(crate) design: Option<String>,
}

pub(crate) struct File {
    /// From the package's root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
    /// `["command", "feature"]` for `src/command/feature.rs`; empty outside the library's modules.
    pub(crate) module: Vec<String>,
}

#[derive(Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

/// One path, `use` trees taken apart: `use a::{b, c::d};` is `a::b` and `a::c::d`.
pub(crate) struct PathUse<'a> {
    pub(crate) segments: Vec<&'a str>,
    pub(crate) line: usize,
    pub(crate) in_use: bool,
}

pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Tree {
    pub(crate) fn read() -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut tree = Self::default();
        for folder in FOLDERS.iter().filter(|folder| root.join(folder).is_dir()) {
            tree.read_folder(root, folder)?;
        }
        let design = root.join("DESIGN.md");
        if design.is_file() {
            tree.design = Some(read_text(&design)?);
        }
        Ok(tree)
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> io::Result<()> {
        for entry in fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.read_folder(root, &path)?;
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                self.files.push(File::new(&path, &read_text(&entry.path())?));
            }
        }
        Ok(())
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The files of the library's modules, without lib.rs itself.
    pub(crate) fn crate_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| !file.module.is_empty())
    }
}

#[expect(clippy::disallowed_methods, reason = "source files and DESIGN.md are no databases")]
fn read_text(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let module = match path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) {
            None | Some("lib" | "main") => Vec::new(),
            Some(path) if path.starts_with("bin/") => Vec::new(),
            Some(path) => path.split('/').map(str::to_owned).collect(),
        };
        Self { path: path.to_owned(), text: text.to_owned(), module }
    }

    /// The top-level module that the file belongs to.
    pub(crate) fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    pub(crate) fn complaint(&self, line: usize, what: &str, instead: &str) -> String {
        format!("{}:{line}: {what}. Instead: {instead}.", self.path)
    }

    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let mut lexer = Lexer { rest: &self.text, line: 1 };
        std::iter::from_fn(|| lexer.next_token()).collect()
    }

    /// The tokens of `src/` that are compiled outside tests, too.
    pub(crate) fn shipped(&self) -> Vec<Token<'_>> {
        let name = self.module.last().map_or("", String::as_str);
        if !self.path.starts_with("src/")
            || name == "tests"
            || name.ends_with("_tests")
            || self.path.contains("/tests/")
        {
            return Vec::new();
        }
        without_test_items(&self.tokens())
    }

    /// The variants of an enum of this file, with their lines.
    pub(crate) fn variants_of(&self, name: &str) -> Vec<(usize, &str)> {
        let tokens = self.tokens();
        let Some(start) =
            (0..tokens.len()).find(|at| starts_with(&tokens, *at, &["enum", name, "{"]))
        else {
            return Vec::new();
        };
        let mut variants = Vec::new();
        let mut at = start + 3;
        while at < matching(&tokens, start + 2) {
            at = after_attributes(&tokens, at);
            let Some(variant) = tokens.get(at) else { break };
            variants.push((variant.line, variant.text));
            // What it holds, if anything, and the comma.
            at += 1;
            if matches!(text(&tokens, at), "{" | "(") {
                at = matching(&tokens, at) + 1;
            }
            at += usize::from(text(&tokens, at) == ",");
        }
        variants
    }

    /// The text of each function of that name that is compiled outside tests, with its first line.
    pub(crate) fn bodies_of(&self, name: &str) -> Vec<(usize, &str)> {
        if !self.text.contains(&format!("fn {name}(")) {
            return Vec::new();
        }
        let all = functions(&self.shipped()).into_iter().filter(|function| function.name == name);
        all.map(|function| {
            let (start, end) = (self.offset(function.first), self.offset(function.last + 1));
            (function.first, self.text.get(start..end).unwrap_or_default())
        })
        .collect()
    }

    /// What follows each call of a function before the tests of the file, with the call's line.
    pub(crate) fn calls_of(&self, path: &str) -> Vec<(usize, &str)> {
        let shipped = self.text.split("#[cfg(test)]").next().unwrap_or_default();
        let call = format!("{path}(");
        let calls = shipped.match_indices(&call).map(|(at, call)| {
            let line = shipped.get(..at).unwrap_or_default().matches('\n').count() + 1;
            (line, shipped.get(at + call.len()..).unwrap_or_default())
        });
        calls.collect()
    }

    /// Where a line begins, counted from 1.
    fn offset(&self, line: usize) -> usize {
        self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum()
    }

    /// The names of the functions under `#[test]`.
    pub(crate) fn test_names(&self) -> Vec<&str> {
        let tokens = self.tokens();
        let starts = (0..tokens.len()).filter(|&at| starts_with(&tokens, at, &["#", "[", "test"]));
        starts
            .filter_map(|start| {
                let at = after_attributes(&tokens, start);
                (text(&tokens, at) == "fn").then(|| text(&tokens, at + 1))
            })
            .collect()
    }
}

/// The functions with a body, nested ones too.
pub(crate) fn functions<'a>(tokens: &[Token<'a>]) -> Vec<Function<'a>> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let name = text(tokens, at + 1);
        if token.text != "fn" || !is_word(name) {
            continue;
        }
        let body = body_or_semicolon(tokens, at);
        if text(tokens, body) == "{" {
            let last = tokens.get(matching(tokens, body)).map_or(token.line, |token| token.line);
            found.push(Function { name, first: token.line, last });
        }
    }
    found
}

pub(crate) fn paths<'a>(tokens: &[Token<'a>]) -> Vec<PathUse<'a>> {
    let mut found = Vec::new();
    let mut segments: Vec<&str> = Vec::new();
    // How many segments the group that we are in shares; 0 in a pair of braces of another kind.
    let mut groups: Vec<usize> = Vec::new();
    let mut in_use = false;
    let mut before = "";
    for (at, token) in tokens.iter().enumerate() {
        let shared = groups.last().copied().unwrap_or(0);
        match token.text {
            "{" => groups.push(if before == "::" { segments.len() } else { 0 }),
            "}" => drop(groups.pop()),
            "::" if !is_word(before) => segments.truncate(shared),
            word if is_word(word) && word != "as" => {
                if before != "::" {
                    segments.truncate(shared);
                    in_use = shared > 0 || before == "use" || before == "crate";
                }
                segments.push(word);
                let next = text(tokens, at + 2);
                if text(tokens, at + 1) != "::" || !(is_word(next) || next == "{") {
                    let named = segments.strip_suffix(&["self"]).unwrap_or(&segments).to_vec();
                    found.push(PathUse { segments: named, line: token.line, in_use });
                }
            }
            _ => {}
        }
        before = token.text;
    }
    found
}

fn without_test_items<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const FILE: &[&[&str]] = &[
        &["#", "!", "[", "cfg", "(", "test", ")"],
        &["#", "!", "[", "cfg", "(", "all", "(", "test"],
    ];
    const ITEM: &[&[&str]] =
        &[&["#", "[", "cfg", "(", "test", ")"], &["#", "[", "cfg", "(", "all", "(", "test"]];
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if FILE.iter().any(|attribute| starts_with(tokens, at, attribute)) {
            return Vec::new();
        }
        if ITEM.iter().any(|attribute| starts_with(tokens, at, attribute)) {
            let end = body_or_semicolon(tokens, after_attributes(tokens, at));
            at = matching(tokens, end) + 1;
        } else {
            kept.push(*token);
            at += 1;
        }
    }
    kept
}

/// The text of a token, empty past the end.
pub(crate) fn text<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}

pub(crate) fn starts_with(tokens: &[Token<'_>], at: usize, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(offset, word)| text(tokens, at + offset) == *word)
}

pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn after_attributes(tokens: &[Token<'_>], mut at: usize) -> usize {
    while starts_with(tokens, at, &["#", "["]) {
        at = matching(tokens, at + 1) + 1;
    }
    at
}

/// Where the body of an item begins, or the semicolon that it has instead.
fn body_or_semicolon(tokens: &[Token<'_>], from: usize) -> usize {
    let mut at = from;
    while at < tokens.len() && !matches!(text(tokens, at), "{" | ";") {
        at = if matches!(text(tokens, at), "(" | "[") { matching(tokens, at) } else { at } + 1;
    }
    at
}

/// The bracket that closes the one at `open`; `open` itself where no bracket stands.
fn matching(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

/// Cuts a text into words, `::`, `!=` and single characters; comments and literals are left out.
struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn next_token(&mut self) -> Option<Token<'a>> {
        loop {
            let first = self.rest.chars().next()?;
            if first.is_whitespace() {
                self.take(first.len_utf8());
            } else if let Some(length) = comment(self.rest).or_else(|| literal(self.rest)) {
                self.take(length);
            } else {
                let other = |c: char| !(c.is_alphanumeric() || c == '_');
                let length = match self.rest.find(other).unwrap_or(self.rest.len()) {
                    0 if self.rest.starts_with("::") || self.rest.starts_with("!=") => 2,
                    0 => first.len_utf8(),
                    word => word,
                };
                let line = self.line;
                return Some(Token { text: self.take(length), line });
            }
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

/// The length of the comment that a text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.strip_prefix("/*")?;
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// The length of the string or character literal that a text begins with.
fn literal(text: &str) -> Option<usize> {
    if let Some(body) = text.strip_prefix('\'') {
        // A lifetime has no closing quote behind its first character.
        let mut chars = body.char_indices();
        let (_, first) = chars.next()?;
        if first == '\\' {
            return Some(quoted(text, '\''));
        }
        let (at, second) = chars.next()?;
        return (second == '\'').then_some(1 + at + 1);
    }
    let body = text.strip_prefix(['b', 'c']).unwrap_or(text);
    let prefix = text.len() - body.len();
    if body.starts_with('"') {
        return Some(prefix + quoted(body, '"'));
    }
    let raw = body.strip_prefix('r')?;
    let opened = raw.trim_start_matches('#').strip_prefix('"')?;
    let hashes = raw.len() - opened.len() - 1;
    let closing = format!("\"{}", "#".repeat(hashes));
    let end = opened.find(&closing).map_or(opened.len(), |at| at + closing.len());
    Some(text.len() - opened.len() + end)
}

/// The length of a text in quotes, the quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
