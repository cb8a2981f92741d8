//! The figures of several runs as a table.

use std::fmt::Write as _;
use std::time::Duration;

use peer_part::Cycle;

/// Rows of the same number of cells, the first of which is the head.
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(head: Vec<String>) -> Self {
        Self(vec![head])
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.0.push(row);
    }

    /// In columns, or as Markdown.
    pub(crate) fn text(&self, markdown: bool) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (at, row) in self.0.iter().enumerate() {
            if markdown {
                writeln!(text, "| {} |", row.join(" | ")).unwrap();
                if at == 0 {
                    writeln!(text, "|{}", " --- |".repeat(columns)).unwrap();
                }
            } else {
                for (cell, width) in row.iter().zip(&widths) {
                    write!(text, "{cell:<width$}   ").unwrap();
                }
                text.truncate(text.trim_end().len());
                text.push('\n');
            }
        }
        text
    }
}

/// What one run has shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    cycles_a_second: f64,
    /// Of the process that was served least, against that which was served most.
    fairness: f64,
    /// How long the cycles took, the shortest first.
    cycles: Vec<Duration>,
}

impl Shown {
    /// A quarter of the time goes by before anything counts: the log has its length then, and everybody has
    /// come in. Who is still waiting when the time is up counts with what they waited.
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    pub(crate) fn by(processes: &[Vec<Cycle>], time: Duration) -> Self {
        let warm = time / 4;
        let counted = |process: &Vec<Cycle>| {
            process.iter().filter(|cycle| cycle.ended > warm && cycle.ended <= time).count()
        };
        let served: Vec<usize> = processes.iter().map(counted).collect();
        let all = processes.iter().flatten().filter(|cycle| cycle.ended > warm);
        // Before the time is up where nothing was left to do.
        let end = all.clone().map(|cycle| cycle.ended).max().unwrap_or(time).min(time);
        let mut cycles: Vec<Duration> = all.map(|cycle| cycle.took).collect();
        cycles.sort_unstable();
        let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
        Self {
            cycles_a_second: served.iter().sum::<usize>() as f64
                / end.saturating_sub(warm).as_secs_f64(),
            fairness: *least as f64 / (*most).max(1) as f64,
            cycles,
        }
    }

    fn percentile(&self, percent: usize) -> Duration {
        let cycle = self.cycles.get(self.cycles.len() * percent / 100).or(self.cycles.last());
        cycle.copied().unwrap_or_default()
    }
}

/// The runs of one row and column, one a round.
#[derive(Default)]
pub(crate) struct Runs(pub(crate) Vec<Shown>);

impl Runs {
    /// The run whose rate is the median one.
    fn median(&self) -> &Shown {
        let mut runs: Vec<&Shown> = self.0.iter().collect();
        runs.sort_by(|a, b| a.cycles_a_second.total_cmp(&b.cycles_a_second));
        runs.swap_remove(runs.len() / 2)
    }

    /// Cycles a second, the ratio, and median, 99 % and longest of a cycle in milliseconds. The longest is
    /// that of all rounds.
    pub(crate) fn of_one_process(&self, raw: &Self) -> String {
        let run = self.median();
        let (rate, raw) = (run.cycles_a_second, raw.median().cycles_a_second);
        let [median, most] = [50, 99].map(|percent| milliseconds(run.percentile(percent)));
        let longest = milliseconds(self.longest());
        format!("{} · {:.2}x · {median} / {most} / {longest}", thousands(rate), rate / raw)
    }

    /// Cycles a second, least against most served, and the longest of a cycle in milliseconds, the last two
    /// the worst of all rounds.
    pub(crate) fn of_several_processes(&self) -> String {
        let fairness = self.0.iter().map(|run| run.fairness).fold(1.0, f64::min);
        let rate = thousands(self.median().cycles_a_second);
        format!("{rate} · {fairness:.2} · {}", milliseconds(self.longest()))
    }

    fn longest(&self) -> Duration {
        self.0.iter().map(|run| run.percentile(100)).max().unwrap_or_default()
    }
}

/// With two digits that mean something.
fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1_000.0;
    match milliseconds {
        ..1.0 => format!("{milliseconds:.2}"),
        ..10.0 => format!("{milliseconds:.1}"),
        _ => thousands(milliseconds),
    }
}

fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
