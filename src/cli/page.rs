//! What a command has to say, before it is known who reads it.
//!
//! Texts are kept as they are stored; [`render`](super::render) cleans them.

use std::fmt;

/// What a piece of text means; the renderer gives it a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// What the eye should find first.
    Strong,
    /// What it may skip.
    Faint,
    /// Done.
    Good,
    /// Being worked on.
    Active,
    /// Wants a human.
    Attention,
    /// Cannot go on.
    Bad,
}

/// A piece of text with its tone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    /// What a person reads instead, where that is more than a program wants.
    pub(crate) for_people: Option<String>,
}

impl Cell {
    pub(crate) fn new(tone: Tone, text: impl fmt::Display) -> Self {
        Self { text: text.to_string(), tone, for_people: None }
    }

    /// The same for programs; a person reads this.
    pub(crate) fn for_people(self, text: impl fmt::Display) -> Self {
        Self { for_people: Some(text.to_string()), ..self }
    }

    /// The text for a person.
    pub(crate) fn shown(&self) -> &str {
        self.for_people.as_ref().unwrap_or(&self.text)
    }

    pub(crate) fn plain(text: impl fmt::Display) -> Self {
        Self::new(Tone::Plain, text)
    }

    pub(crate) fn strong(text: impl fmt::Display) -> Self {
        Self::new(Tone::Strong, text)
    }

    pub(crate) fn faint(text: impl fmt::Display) -> Self {
        Self::new(Tone::Faint, text)
    }
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// One sentence in pieces.
    Line(Vec<Cell>),
    /// One record of many that come one after another.
    Record(Vec<Cell>),
    /// A line for people only: a heading, a bar, a gap.
    Ornament(Vec<Cell>),
    /// A name and its value.
    Field(&'static str, Cell),
    /// A name and a value of any number of lines.
    Text(&'static str, String),
    /// Numbered texts under a name.
    List(&'static str, Vec<String>),
    /// Rows; where only one table is on the page, it needs no name.
    Table { name: Option<&'static str>, head: &'static [&'static str], rows: Vec<Vec<Cell>> },
    /// Text in a format of its own, which its writer has made harmless.
    Verbatim(String),
}

/// Everything that a command says on stdout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Page {
    pub(crate) blocks: Vec<Block>,
}

impl Page {
    pub(crate) fn line(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.blocks.push(Block::Line(cells.into_iter().collect()));
        self
    }

    pub(crate) fn record(mut self, cells: Vec<Cell>) -> Self {
        self.blocks.push(Block::Record(cells));
        self
    }

    pub(crate) fn ornament(mut self, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.blocks.push(Block::Ornament(cells.into_iter().collect()));
        self
    }

    /// An empty line between parts.
    pub(crate) fn gap(self) -> Self {
        self.ornament([])
    }

    pub(crate) fn field(mut self, name: &'static str, value: Cell) -> Self {
        self.blocks.push(Block::Field(name, value));
        self
    }

    /// A text under a name; nothing where it is empty.
    pub(crate) fn text(mut self, name: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.blocks.push(Block::Text(name, text));
        }
        self
    }

    /// Numbered texts under a name; nothing where there are none.
    pub(crate) fn list(mut self, name: &'static str, items: Vec<String>) -> Self {
        if !items.is_empty() {
            self.blocks.push(Block::List(name, items));
        }
        self
    }

    pub(crate) fn table(mut self, head: &'static [&'static str], rows: Vec<Vec<Cell>>) -> Self {
        self.blocks.push(Block::Table { name: None, head, rows });
        self
    }

    /// A table under a name; nothing where it has no rows.
    pub(crate) fn section(
        mut self,
        name: &'static str,
        head: &'static [&'static str],
        rows: Vec<Vec<Cell>>,
    ) -> Self {
        if !rows.is_empty() {
            self.blocks.push(Block::Table { name: Some(name), head, rows });
        }
        self
    }

    pub(crate) fn verbatim(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Verbatim(text.into()));
        self
    }
}
