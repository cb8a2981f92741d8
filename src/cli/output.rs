//! The only place that writes to stdout and stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::exit::{Exit, Failed};
use super::page::{Cell, Page, Tone};
use super::render::{self, Reader};

/// The version of the form in which JSON is printed.
const SCHEMA_VERSION: u32 = 1;

/// What a command answers.
#[derive(Debug)]
pub(crate) struct Answer {
    data: Data,
    page: Page,
}

#[derive(Debug)]
enum Data {
    Value(Value),
    /// It is JSON already.
    Text(String),
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A list for programs whose items are made one at a time, while it is written.
#[derive(Debug)]
pub(crate) struct OneByOne<I>(pub(crate) I);

impl<I: Clone + Iterator<Item: Serialize>> Serialize for OneByOne<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

impl Answer {
    /// The same answer for programs and for people.
    pub(crate) fn new(data: Value, page: Page) -> Self {
        Self { data: Data::Value(data), page }
    }

    /// The answer in the form in which it will be printed, for lists that are long: nothing is made of the other.
    pub(crate) fn for_output<D: Serialize>(
        output: Output,
        data: impl FnOnce() -> D,
        page: impl FnOnce() -> Page,
    ) -> Result<Self, Failed> {
        if !output.json {
            return Ok(Self::new(Value::Null, page()));
        }
        let text = serde_json::to_string(&data());
        let text = text.map_err(|error| Failed::new("system", format_args!("no JSON: {error}")))?;
        Ok(Self { data: Data::Text(text), page: Page::default() })
    }
}

/// Something that the user should know beside the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// Good to know.
    Hint(String),
    /// Something is not as it should be.
    Warning(String),
}

/// Where text goes, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints an answer; gives how the program ends.
    pub(crate) fn answer(self, answer: &Answer) -> Exit {
        let text = if self.json {
            let data = &answer.data;
            render::json(format_args!(r#"{{"schema_version":{SCHEMA_VERSION},"data":{data}}}"#))
        } else {
            render::page(&answer.page, reader())
        };
        written(to_stdout(&text), Exit::Success)
    }

    /// Prints one of many answers that come one after another: a line of JSON without an envelope, or
    /// what its page says.
    pub(crate) fn item(self, item: &Answer) -> io::Result<()> {
        let text =
            if self.json { render::json(&item.data) } else { render::page(&item.page, reader()) };
        to_stdout(&text)
    }

    /// Prints why there is no answer; gives how the program ends.
    pub(crate) fn failure(self, failed: &Failed) -> Exit {
        if self.json {
            let envelope = json!({"schema_version": SCHEMA_VERSION, "error": failed.to_json()});
            return written(to_stdout(&render::json(&envelope)), failed.exit());
        }
        to_stderr(Tone::Bad, "error", failed.message());
        if let Some(hint) = failed.advice() {
            to_stderr(Tone::Active, "hint", &hint);
        }
        failed.exit()
    }

    /// The means to ask, where people sit at both ends and none of them is a program.
    pub(crate) fn dialogue(self) -> Option<Dialogue> {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let people = !self.json && stdin.is_terminal() && stdout.is_terminal();
        people.then_some(Dialogue { stdin, reader: Reader::Person })
    }
}

/// A conversation with a person at a terminal.
#[derive(Debug)]
pub(crate) struct Dialogue {
    stdin: io::Stdin,
    reader: Reader,
}

impl Dialogue {
    /// Shows a page before a question.
    pub(crate) fn show(&mut self, page: &Page) -> Result<(), Failed> {
        to_stdout(&render::page(page, self.reader)).map_err(|error| unasked(&error))
    }

    /// Asks for one line; `None` at the end of the input.
    pub(crate) fn ask(&mut self, question: &Cell) -> Result<Option<String>, Failed> {
        let question = format!("{} ", render::toned(question));
        let mut line = String::new();
        let asked = to_stdout(&question).and_then(|()| self.stdin.read_line(&mut line));
        if asked.map_err(|error| unasked(&error))? == 0 {
            // What comes next must not follow the question.
            to_stdout("\n").map_err(|error| unasked(&error))?;
            return Ok(None);
        }
        let line = line.strip_suffix('\n').unwrap_or(&line);
        Ok(Some(line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }
}

fn unasked(error: &io::Error) -> Failed {
    Failed::new("system", format_args!("asking failed: {error}"))
}

/// Prints a note beside the answer.
pub(crate) fn note(note: &Note) {
    match note {
        Note::Hint(text) => to_stderr(Tone::Active, "note", text),
        Note::Warning(text) => to_stderr(Tone::Attention, "warning", text),
    }
}

/// Whoever forces colours does not want other columns, so the terminal alone decides.
fn reader() -> Reader {
    if io::stdout().is_terminal() { Reader::Person } else { Reader::Pipe }
}

fn to_stdout(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn to_stderr(tone: Tone, label: &str, text: &str) {
    let label = render::toned(&Cell::new(tone, format_args!("{label}:")));
    let line = format!("{label} {}\n", render::one_line(text));
    // There is nobody left to tell.
    let _ = anstream::stderr().lock().write_all(line.as_bytes());
}

/// A reader that has seen enough, such as `head`, is no failure.
fn written(result: io::Result<()>, exit: Exit) -> Exit {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            to_stderr(Tone::Bad, "error", &format!("writing to stdout failed: {error}"));
            Exit::Failure
        }
        _ => exit,
    }
}
