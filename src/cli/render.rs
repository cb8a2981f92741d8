//! Pages as text: with tables and colours for people, as plain lines for pipes.

use std::fmt::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::{OwoColorize, Style};
use serde_json::Value;

use super::page::{Block, Cell, Page, Tone};

/// Who reads the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A person at a terminal.
    Person,
    /// A pipe or a file: one record a line, its parts separated by tabs.
    Pipe,
}

/// A page as text, with escape sequences for colours where a person reads it.
pub(crate) fn page(page: &Page, reader: Reader) -> String {
    let mut out = String::new();
    let widest = page.blocks.iter().map(label_width).max().unwrap_or(0);
    for block in &page.blocks {
        match reader {
            Reader::Person => for_person(&mut out, block, widest),
            Reader::Pipe => for_pipe(&mut out, block),
        }
    }
    out
}

/// What prints itself as one line of JSON, safe to show on a terminal.
pub(crate) fn json(value: impl fmt::Display) -> String {
    harmless(format!("{value}\n"))
}

/// A value as JSON over several lines, for files and for reading.
pub(crate) fn pretty_json(value: &Value) -> String {
    harmless(format!("{value:#}\n"))
}

/// A stored text in one line, without anything that steers a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\u{2028}' | '\u{2029}' => line.push(' '),
            c if steers(c) => {}
            c => line.push(c),
        }
    }
    line
}

/// A stored text in its own lines, without anything that steers a terminal.
pub(crate) fn lines(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !steers(*c)).collect()
}

/// A text in its tone, for a terminal.
pub(crate) fn toned(cell: &Cell) -> String {
    let text = one_line(cell.shown());
    match style(cell.tone) {
        Some(style) if !text.is_empty() => text.style(style).to_string(),
        _ => text,
    }
}

/// Escapes what `serde_json` leaves and terminals obey. It occurs inside strings only, so the value
/// stays the same.
fn harmless(json: String) -> String {
    if !json.contains(is_late_control) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        if is_late_control(c) {
            push_all(&mut text, format_args!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
        text
    })
}

fn is_late_control(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}')
}

/// Whether a character is an instruction instead of text: a control character, or one that changes
/// the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn style(tone: Tone) -> Option<Style> {
    let style = Style::new();
    Some(match tone {
        Tone::Plain => return None,
        Tone::Strong => style.bold(),
        Tone::Faint => style.dimmed(),
        Tone::Good => style.green(),
        Tone::Active => style.cyan(),
        Tone::Attention => style.yellow(),
        Tone::Bad => style.red(),
    })
}

fn label_width(block: &Block) -> usize {
    match block {
        Block::Field(name, _) => name.len(),
        _ => 0,
    }
}

fn for_person(out: &mut String, block: &Block, widest: usize) {
    match block {
        Block::Line(cells) | Block::Ornament(cells) => push_line(out, cells, "", toned),
        Block::Record(cells) => push_line(out, cells, "  ", toned),
        Block::Field(name, value) => {
            let label = toned(&Cell::faint(format_args!("{:widest$}", capital(name))));
            push_all(out, format_args!("{label}  {}\n", toned(value)));
        }
        Block::Text(name, text) => {
            push_heading(out, name);
            for line in text.lines() {
                push_all(out, format_args!("  {}\n", one_line(line)));
            }
        }
        Block::List(name, items) => {
            push_heading(out, name);
            for (item, number) in items.iter().zip(1..) {
                let number = toned(&Cell::faint(format_args!("{number:>3}")));
                push_all(out, format_args!("{number}  {}\n", one_line(item)));
            }
        }
        Block::Table { name, head, rows } => {
            if let Some(name) = name {
                push_heading(out, name);
            }
            push_all(out, format_args!("{}\n", table(head, rows)));
        }
        Block::Verbatim(text) => push_verbatim(out, text),
    }
}

fn for_pipe(out: &mut String, block: &Block) {
    let clean = |cell: &Cell| one_line(&cell.text);
    match block {
        Block::Line(cells) => push_line(out, cells, "", clean),
        Block::Record(cells) => push_line(out, cells, "\t", clean),
        Block::Ornament(_) => {}
        Block::Field(name, value) => {
            push_all(out, format_args!("{}\t{}\n", key(name), clean(value)));
        }
        Block::Text(name, text) => {
            for line in text.lines() {
                push_all(out, format_args!("{}\t{}\n", key(name), one_line(line)));
            }
        }
        Block::List(name, items) => {
            for (item, number) in items.iter().zip(1..) {
                push_all(out, format_args!("{}\t{number}\t{}\n", key(name), one_line(item)));
            }
        }
        Block::Table { name, rows, .. } => {
            for row in rows {
                let name = name.iter().map(|name| key(name));
                let parts: Vec<String> = name.chain(row.iter().map(clean)).collect();
                push_all(out, format_args!("{}\n", parts.join("\t")));
            }
        }
        Block::Verbatim(text) => push_verbatim(out, text),
    }
}

/// A heading, set apart from what is above it.
fn push_heading(out: &mut String, name: &str) {
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
    push_all(out, format_args!("{}\n", toned(&Cell::strong(capital(name)))));
}

fn push_line(out: &mut String, cells: &[Cell], between: &str, show: impl Fn(&Cell) -> String) {
    let parts: Vec<String> = cells.iter().map(show).collect();
    push_all(out, format_args!("{}\n", parts.join(between)));
}

fn push_verbatim(out: &mut String, text: &str) {
    out.push_str(text);
    if !text.ends_with('\n') {
        out.push('\n');
    }
}

fn push_all(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = out.write_fmt(text);
}

fn table(head: &[&str], rows: &[Vec<Cell>]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED.with_rounded_corners())
        .set_content_arrangement(ContentArrangement::Dynamic)
        // Whether colours are wanted is decided once, where the page is written.
        .enforce_styling()
        .set_header(head.iter().map(|title| {
            comfy_table::Cell::new(title).add_attribute(comfy_table::Attribute::Bold)
        }));
    for row in rows {
        table.add_row(row.iter().map(table_cell));
    }
    table
}

fn table_cell(cell: &Cell) -> comfy_table::Cell {
    let shown = comfy_table::Cell::new(one_line(cell.shown()));
    match cell.tone {
        Tone::Plain => shown,
        Tone::Strong => shown.add_attribute(comfy_table::Attribute::Bold),
        Tone::Faint => shown.add_attribute(comfy_table::Attribute::Dim),
        Tone::Good => shown.fg(comfy_table::Color::DarkGreen),
        Tone::Active => shown.fg(comfy_table::Color::DarkCyan),
        Tone::Attention => shown.fg(comfy_table::Color::DarkYellow),
        Tone::Bad => shown.fg(comfy_table::Color::DarkRed),
    }
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A name as programs read it.
fn key(name: &str) -> String {
    name.replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_steers_a_terminal_loses_its_power() {
        let hostile = "a\u{1b}]0;title\u{7}b\u{9b}31mc\u{202e}d\r\ne\tf";
        assert_eq!(one_line(hostile), "a]0;titleb31mcd e f");
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(lines("a\u{1b}[31m\r\n\tb\u{202e}c\n"), "a[31m\n\tbc\n");
    }

    #[test]
    fn json_keeps_every_character_and_shows_none_that_steers() {
        let value = Value::from("\u{1b}[2J\u{7f}\u{9b}31m ü \u{1f600}");
        let line = json(&value);
        assert!(!line.trim_end().chars().any(char::is_control), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn a_pipe_gets_one_record_a_line() {
        let shown = Page::default()
            .gap()
            .field("found by", Cell::new(Tone::Good, "a\tb"))
            .text("description", "one\ntwo")
            .table(&["ID"], vec![vec![Cell::strong(1), Cell::plain("x\ny")]])
            .section("waits for", &["ID"], vec![vec![Cell::plain(2)]])
            .record(vec![Cell::plain(7).for_people("#7"), Cell::plain("a\tb")]);
        let expected = "found_by\ta b\ndescription\tone\ndescription\ttwo\n1\tx y\nwaits_for\t2\n\
                        7\ta b\n";
        assert_eq!(page(&shown, Reader::Pipe), expected);
    }

    #[test]
    fn a_person_gets_borders_and_colours() {
        let shown = Page::default().table(&["ID"], vec![vec![Cell::new(Tone::Good, 1)]]);
        let text = page(&shown, Reader::Person);
        assert!(text.contains('╭') && text.contains("\u{1b}["), "{text}");
        let shown = Page::default().record(vec![Cell::plain(7).for_people("#7"), Cell::plain("a")]);
        assert_eq!(page(&shown, Reader::Person), "#7  a\n");
    }
}
