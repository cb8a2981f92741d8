//! The dependency graph as a picture that stands alone: each feature in the column behind the last
//! one that it waits for.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{colours, missing, push, title};
use crate::{FeatureId, Graph};

/// Sizes, in pixels.
const BOX_WIDTH: usize = 220;
const BOX_HEIGHT: usize = 34;
const COLUMN: usize = 300;
const ROW: usize = 48;
const MARGIN: usize = 20;
/// What fits into a box.
const LABEL_CHARS: usize = 30;
/// How often each column is put in order by its neighbours; more changes little.
const SWEEPS: usize = 4;

/// Where each feature is drawn.
struct Places {
    columns: Vec<Vec<FeatureId>>,
    of: BTreeMap<FeatureId, (usize, usize)>,
}

pub(super) fn svg(graph: &Graph) -> String {
    let places = Places::of(graph);
    let rows = places.columns.iter().map(Vec::len).max().unwrap_or(0);
    let width = 2 * MARGIN + places.columns.len().saturating_sub(1) * COLUMN + BOX_WIDTH;
    let height = 2 * MARGIN + rows.saturating_sub(1) * ROW + BOX_HEIGHT;
    let mut out = String::new();
    push(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n"
        ),
    );
    out.push_str(
        "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#888888\"/></marker></defs>\n",
    );
    for (source, target) in &graph.edges {
        places.arrow(&mut out, *source, *target, "");
    }
    for (feature, missing) in &graph.dangling {
        places.arrow(&mut out, *missing, *feature, " stroke-dasharray=\"4\"");
    }
    for node in &graph.nodes {
        places.node(&mut out, node.id, node.status.as_str(), &title(node));
    }
    for id in missing(graph) {
        places.node(&mut out, id, "missing", &format!("#{id} does not exist"));
    }
    out.push_str("</svg>\n");
    out
}

impl Places {
    fn of(graph: &Graph) -> Self {
        let waits = || {
            let lost = graph.dangling.iter().map(|(feature, missing)| (*missing, *feature));
            graph.edges.iter().copied().chain(lost)
        };
        let ids = graph.nodes.iter().map(|node| node.id).chain(missing(graph));
        let mut sources: BTreeMap<FeatureId, Vec<FeatureId>> =
            ids.map(|id| (id, Vec::new())).collect();
        let mut targets = sources.clone();
        for (source, target) in waits() {
            sources.entry(target).or_default().push(source);
            targets.entry(source).or_default().push(target);
        }
        let mut columns: Vec<Vec<FeatureId>> = Vec::new();
        for (id, column) in columns_of(&sources, &targets) {
            columns.resize_with(columns.len().max(column + 1), Vec::new);
            if let Some(members) = columns.get_mut(column) {
                members.push(id);
            }
        }
        let mut places = Self { columns, of: BTreeMap::new() };
        places.note();
        for _ in 0..SWEEPS {
            places.sort_by(&sources);
            places.sort_by(&targets);
        }
        places.sort_by(&sources);
        places
    }

    fn note(&mut self) {
        for (column, members) in self.columns.iter().enumerate() {
            self.of.extend(members.iter().enumerate().map(|(row, id)| (*id, (column, row))));
        }
    }

    /// Puts each feature at the height at which its neighbours are, in the middle, so that fewer arrows
    /// cross.
    fn sort_by(&mut self, neighbours: &BTreeMap<FeatureId, Vec<FeatureId>>) {
        for column in 0..self.columns.len() {
            let Some(mut members) = self.columns.get_mut(column).map(std::mem::take) else {
                continue;
            };
            members.sort_by_cached_key(|id| {
                let near = neighbours.get(id).into_iter().flatten();
                let rows: Vec<usize> =
                    near.filter_map(|near| self.of.get(near)).map(|(_, row)| *row).collect();
                let own = self.of.get(id).map_or(0, |(_, row)| *row);
                // In thousandths, since rows in between have to differ.
                let sum: usize = rows.iter().map(|row| row * 1_000).sum();
                sum.checked_div(rows.len()).unwrap_or(own * 1_000)
            });
            for (row, id) in members.iter().enumerate() {
                self.of.insert(*id, (column, row));
            }
            if let Some(place) = self.columns.get_mut(column) {
                *place = members;
            }
        }
    }

    /// The upper left corner.
    fn corner(&self, id: FeatureId) -> (usize, usize) {
        let (column, row) = self.of.get(&id).copied().unwrap_or_default();
        (MARGIN + column * COLUMN, MARGIN + row * ROW)
    }

    fn arrow(&self, out: &mut String, source: FeatureId, target: FeatureId, style: &str) {
        let ((left, top), (right, bottom)) = (self.corner(source), self.corner(target));
        let (x1, y1) = (left + BOX_WIDTH, top + BOX_HEIGHT / 2);
        let (x2, y2) = (right, bottom + BOX_HEIGHT / 2);
        let bend = (COLUMN - BOX_WIDTH) / 2;
        push(
            out,
            format_args!(
                "<path d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\" fill=\"none\" stroke=\"#888888\" \
                 marker-end=\"url(#tip)\"{style}/>\n",
                x1 + bend,
                x2.saturating_sub(bend),
            ),
        );
    }

    fn node(&self, out: &mut String, id: FeatureId, class: &str, label: &str) {
        let (x, y) = self.corner(id);
        let (class, fill, border) = colours(class);
        let dashes = if class == "missing" { " stroke-dasharray=\"4\"" } else { "" };
        let state = class.replace('_', " ");
        push(
            out,
            format_args!(
                "<g class=\"{class}\"><title>{}: {state}</title><rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" \
                 height=\"{BOX_HEIGHT}\" rx=\"6\" fill=\"{fill}\" stroke=\"{border}\"{dashes}/>\
                 <text x=\"{}\" y=\"{}\" fill=\"#1a1a1a\">{}</text></g>\n",
                Text(label),
                x + 10,
                y + BOX_HEIGHT / 2 + 5,
                Text(&shortened(label)),
            ),
        );
    }
}

/// The column of each: one behind the last that it waits for. Those of a circle, and those behind it,
/// come where the rest of what they wait for puts them.
fn columns_of(
    sources: &BTreeMap<FeatureId, Vec<FeatureId>>,
    targets: &BTreeMap<FeatureId, Vec<FeatureId>>,
) -> BTreeMap<FeatureId, usize> {
    let mut open: BTreeMap<FeatureId, usize> =
        sources.iter().map(|(id, sources)| (*id, sources.len())).collect();
    let mut columns: BTreeMap<FeatureId, usize> = sources.keys().map(|id| (*id, 0)).collect();
    let mut next: Vec<FeatureId> =
        open.iter().filter(|(_, open)| **open == 0).map(|(id, _)| *id).collect();
    while let Some(id) = next.pop() {
        let behind = columns.get(&id).copied().unwrap_or(0) + 1;
        for target in targets.get(&id).into_iter().flatten() {
            let column = columns.entry(*target).or_default();
            *column = behind.max(*column);
            let open = open.entry(*target).or_default();
            *open = open.saturating_sub(1);
            if *open == 0 {
                next.push(*target);
            }
        }
    }
    columns
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL_CHARS {
        return label.to_owned();
    }
    label.chars().take(LABEL_CHARS - 1).chain(['…']).collect()
}

/// Text in XML.
struct Text<'t>(&'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                // XML has no place for these, not even by number.
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::graph;
    use super::*;
    use crate::GraphEntry;

    fn columns(edges: &[(i64, i64)]) -> BTreeMap<i64, usize> {
        let mut graph = graph("one");
        let node = graph.nodes.remove(0);
        graph.nodes = (1..=3).map(|id| GraphEntry { id: id.into(), ..node.clone() }).collect();
        graph.edges = edges.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        graph.dangling = Vec::new();
        Places::of(&graph).of.into_iter().map(|(id, (column, _))| (id.get(), column)).collect()
    }

    #[test]
    fn a_feature_stands_behind_the_last_that_it_waits_for() {
        let columns = columns(&[(1, 2), (2, 3), (1, 3)]);
        assert_eq!((columns[&1], columns[&2], columns[&3]), (0, 1, 2));
    }

    #[test]
    fn circles_are_drawn_too() {
        let columns = columns(&[(1, 2), (2, 1), (3, 1)]);
        assert!(columns[&1] > columns[&3], "{columns:?}");
    }

    #[test]
    fn a_name_cannot_leave_its_text() {
        let drawn = svg(&graph("</text><script>&\u{1b}\"]]>"));
        assert!(drawn.contains("&lt;/text&gt;&lt;script&gt;&amp;"), "{drawn}");
        assert!(!drawn.contains("<script") && !drawn.contains('\u{1b}'), "{drawn}");
        assert_eq!(drawn.matches("<text").count(), drawn.matches("</text>").count());
    }

    #[test]
    fn what_does_not_exist_is_drawn_with_dashes() {
        let drawn = svg(&graph("one"));
        assert!(
            drawn.contains("#9 does not exist") && drawn.contains("stroke-dasharray"),
            "{drawn}"
        );
    }
}
