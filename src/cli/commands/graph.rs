//! `graph`.

mod svg;

use std::collections::BTreeSet;
use std::fmt::Write;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::Page;
use crate::cli::render;
use crate::cli::session::Session;
use crate::cli::view::ids_json;
use crate::{FeatureId, GetGraph, Graph, GraphEntry, Status};

/// Options of `graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// What to print. Default: mermaid, and json with --json.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For Graphviz.
    Dot,
    /// For Mermaid, which many viewers of Markdown draw.
    Mermaid,
    /// A picture that any browser shows.
    Svg,
    /// Nodes, edges, circles, and dependencies that do not exist.
    Json,
}

impl Task for GraphArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let graph = session.open()?.call(GetGraph)?;
        let text = match self.format {
            None | Some(Format::Mermaid) => mermaid(&graph),
            Some(Format::Dot) => dot(&graph),
            Some(Format::Svg) => svg::svg(&graph),
            Some(Format::Json) => render::pretty_json(&json(&graph)),
        };
        let data = match self.format {
            Some(Format::Dot) => json!({"format": "dot", "text": text}),
            Some(Format::Mermaid) => json!({"format": "mermaid", "text": text}),
            Some(Format::Svg) => json!({"format": "svg", "text": text}),
            None | Some(Format::Json) => json(&graph),
        };
        Ok(Answer::new(data, Page::default().verbatim(text)))
    }
}

/// What the tools show, and what is wrong with it.
fn json(graph: &Graph) -> Value {
    let lost = |(feature, missing): &(FeatureId, FeatureId)| json!({"id": feature.get(), "missing": missing.get()});
    let cycles: Value = graph.cycles.iter().map(|ids| ids_json(ids)).collect();
    let dangling: Value = graph.dangling.iter().map(lost).collect();
    let mut shown = graph.to_json();
    if let Some(object) = shown.as_object_mut() {
        object.extend([("cycles".to_owned(), cycles), ("dangling".to_owned(), dangling)]);
    }
    shown
}

/// Fill and border of each state, the same in all formats.
const COLOURS: [(&str, &str, &str); 6] = [
    ("done", "#d3f0d3", "#2f7d32"),
    ("needs_human_input", "#fff1c2", "#b07800"),
    ("blocked", "#f8d7d7", "#b23b3b"),
    ("in_progress", "#cfe8f7", "#1f6f9f"),
    ("pending", "#f4f4f4", "#666666"),
    ("missing", "#ffffff", "#b23b3b"),
];

fn dot(graph: &Graph) -> String {
    let mut out = String::from("digraph features {\n  rankdir=LR;\n");
    out.push_str("  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n");
    for node in &graph.nodes {
        let (class, fill, border) = colours(node.status.as_str());
        let label = dot_text(&title(node));
        push(
            &mut out,
            format_args!(
                "  \"{}\" [label=\"{label}\", class=\"{class}\", fillcolor=\"{fill}\", color=\"{border}\"];\n",
                node.id,
            ),
        );
    }
    for id in missing(graph) {
        let (class, fill, border) = colours("missing");
        push(
            &mut out,
            format_args!(
                "  \"{id}\" [label=\"#{id} does not exist\", class=\"{class}\", \
             fillcolor=\"{fill}\", color=\"{border}\", style=\"dashed\"];\n",
            ),
        );
    }
    for (source, target) in &graph.edges {
        push(&mut out, format_args!("  \"{source}\" -> \"{target}\";\n"));
    }
    for (feature, missing) in &graph.dangling {
        push(&mut out, format_args!("  \"{missing}\" -> \"{feature}\" [style=dashed];\n"));
    }
    out.push_str("}\n");
    out
}

fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    for node in &graph.nodes {
        let label = mermaid_text(&title(node));
        let (name, class) = (mermaid_name(node.id), node.status);
        push(&mut out, format_args!("  {name}[\"{label}\"]:::{class}\n"));
    }
    for id in missing(graph) {
        let label = mermaid_text(&format!("#{id} does not exist"));
        push(&mut out, format_args!("  {}[\"{label}\"]:::missing\n", mermaid_name(id)));
    }
    for (source, target) in &graph.edges {
        let (source, target) = (mermaid_name(*source), mermaid_name(*target));
        push(&mut out, format_args!("  {source} --> {target}\n"));
    }
    for (feature, missing) in &graph.dangling {
        let (source, target) = (mermaid_name(*missing), mermaid_name(*feature));
        push(&mut out, format_args!("  {source} -.-> {target}\n"));
    }
    for (class, fill, border) in COLOURS {
        let dashes = if class == "missing" { ",stroke-dasharray:4" } else { "" };
        push(
            &mut out,
            format_args!("  classDef {class} fill:{fill},stroke:{border},color:#1a1a1a{dashes}\n"),
        );
    }
    out
}

fn colours(class: &str) -> (&str, &'static str, &'static str) {
    let found = COLOURS.iter().find(|(name, ..)| *name == class);
    found.map_or((class, "#ffffff", "#666666"), |(_, fill, border)| (class, fill, border))
}

fn missing(graph: &Graph) -> BTreeSet<FeatureId> {
    graph.dangling.iter().map(|(_, missing)| *missing).collect()
}

fn title(node: &GraphEntry) -> String {
    let mark = if node.status == Status::Done { " ✓" } else { "" };
    render::one_line(&format!("#{} {}{mark}", node.id, node.name))
}

/// A name that Mermaid takes for one, be the id negative.
fn mermaid_name(id: FeatureId) -> String {
    format!("f{id}").replace('-', "_")
}

/// Text between double quotes in Graphviz, which knows backslash sequences there.
fn dot_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Text between double quotes in Mermaid: whatever could end it, or be Markdown or HTML, by number.
fn mermaid_text(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_alphanumeric() || " .,:-_/()'?!✓".contains(c) {
            out.push(c);
        } else {
            push(&mut out, format_args!("#{};", u32::from(c)));
        }
        out
    })
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn graph(name: &str) -> Graph {
        let node = |id: i64, name: &str, dependencies: &[i64]| GraphEntry {
            id: id.into(),
            name: name.to_owned(),
            category: "c".to_owned(),
            status: Status::Blocked,
            priority: id,
            dependencies: dependencies.iter().map(|&id| id.into()).collect(),
        };
        Graph {
            nodes: vec![node(-1, name, &[]), node(2, "two", &[-1, 9])],
            edges: vec![((-1).into(), 2.into())],
            cycles: Vec::new(),
            dangling: vec![(2.into(), 9.into())],
        }
    }

    #[test]
    fn a_name_cannot_leave_its_label() {
        let hostile = graph("a\"]; x -->\n`b` \\ <script> \u{1b}[2J");
        let dot = dot(&hostile);
        assert!(dot.contains(r##"label="#-1 a\"]; x --> `b` \\ <script> [2J","##), "{dot}");
        let mermaid = mermaid(&hostile);
        let line = mermaid.lines().find(|line| line.contains("f_1[")).unwrap();
        assert_eq!(line.matches('"').count(), 2, "{line}");
        assert!(!line.contains(['<', '`', '\u{1b}']), "{line}");
    }

    #[test]
    fn what_does_not_exist_is_drawn_as_missing() {
        let (dot, mermaid) = (dot(&graph("one")), mermaid(&graph("one")));
        assert!(dot.contains(r#""9" -> "2" [style=dashed]"#), "{dot}");
        assert!(mermaid.contains("f9 -.-> f2") && mermaid.contains(":::missing"), "{mermaid}");
    }
}
