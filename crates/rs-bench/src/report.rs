use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::{Goal, bench::Against};

/// What a bench came to.
#[derive(Debug)]
pub struct Report {
    name: &'static str,
    rows: Vec<Row>,
}

/// What a case came to on a number of threads.
#[derive(Debug)]
pub struct Row {
    pub(crate) case: &'static str,
    pub(crate) threads: usize,
    /// What ours takes on one thread.
    pub(crate) alone_ns: Option<f64>,
    pub(crate) ours: Figure,
    pub(crate) peers: Vec<(&'static str, Figure)>,
    pub(crate) goals: Vec<Goal>,
}

/// What a call of one operation takes.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub(crate) cpu_ns: f64,
    pub(crate) wall_ns: f64,
    pub(crate) allocations: f64,
    /// Whether the threads ran at the same time while it was measured.
    pub(crate) side_by_side: bool,
}

impl Row {
    /// Our time against that of the fastest peer.
    #[must_use]
    pub fn ratio_to_best_peer(&self) -> Option<f64> {
        let best = self.peers.iter().map(|(_, peer)| peer.cpu_ns);
        best.min_by(f64::total_cmp)
            .map(|best| self.ours.cpu_ns / best)
    }

    fn peer(&self, name: &str) -> Option<Figure> {
        let peer = self.peers.iter().find(|(peer, _)| *peer == name);
        peer.map(|(_, figure)| *figure)
    }

    /// Each goal for this number of threads, what it came to, and whether that is enough.
    fn goals(&self) -> Vec<(String, &'static str)> {
        let verdict = |met, peer: Option<Figure>| {
            let measured = peer.is_none_or(|peer| peer.side_by_side) && self.ours.side_by_side;
            match (measured, met) {
                (false, _) => "NOT MEASURED, the machine is busy",
                (true, true) => "met",
                (true, false) => "MISSED",
            }
        };
        self.goals
            .iter()
            .filter(|goal| goal.threads.is_none_or(|threads| threads == self.threads))
            .filter_map(|goal| match goal.against {
                Against::Nanosecond => {
                    let said = format!("at most {} ns", goal.limit);
                    Some((said, verdict(self.ours.cpu_ns <= goal.limit, None)))
                }
                Against::OneThread => {
                    let times = self.alone_ns? * self.threads as f64 / self.ours.cpu_ns;
                    let said = format!(
                        "at least {} times what one thread does, here {times:.2}",
                        goal.limit
                    );
                    Some((said, verdict(times >= goal.limit, None)))
                }
                Against::Peer(name) => {
                    let peer = self.peer(name)?;
                    let ratio = self.ours.cpu_ns / peer.cpu_ns;
                    let said = format!("at most {} × {name}, here {ratio:.2}", goal.limit);
                    Some((said, verdict(ratio <= goal.limit, Some(peer))))
                }
            })
            .collect()
    }
}

impl Report {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            rows: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// A row as a JSON object.
    #[must_use]
    pub fn json(&self, row: &Row) -> String {
        let peers: Map<String, Value> = row
            .peers
            .iter()
            .map(|(name, peer)| ((*name).to_owned(), json!(round(peer.cpu_ns))))
            .collect();
        json!({
            "bench": self.name,
            "case": row.case,
            "threads": row.threads,
            "ours_ns": round(row.ours.cpu_ns),
            "peers": peers,
            "ratio_to_best_peer": row.ratio_to_best_peer().map(round),
            "allocs_per_call": row.ours.allocations,
            "side_by_side": row.ours.side_by_side && row.peers.iter().all(|(_, peer)| peer.side_by_side),
        })
        .to_string()
    }

    /// Everything as a table: what each takes, and how many times ours that is.
    #[must_use]
    pub fn table(&self) -> String {
        let mut page = format!(
            "{}: nanoseconds a call, by the thread's own time; × is times ours\n",
            self.name
        );
        for row in &self.rows {
            let threads = if row.threads == 1 {
                "thread"
            } else {
                "threads"
            };
            // Writing to a string cannot fail.
            let _ = writeln!(page, "\n{} · {} {threads}", row.case, row.threads);
            let _ = writeln!(
                page,
                "  {:<34} {:>9} {:>7}   {:>9} {:>7}",
                "", "ns", "×", "wall ns", "allocs"
            );
            let ours = std::iter::once(("ours", row.ours));
            for (name, figure) in ours.chain(row.peers.iter().copied()) {
                let Figure {
                    cpu_ns,
                    wall_ns,
                    allocations,
                    side_by_side,
                } = figure;
                let note = if side_by_side {
                    ""
                } else {
                    "   not side by side"
                };
                let times = cpu_ns / row.ours.cpu_ns;
                let _ = writeln!(
                    page,
                    "  {name:<34} {cpu_ns:>9.1} {times:>7.2}   {wall_ns:>9.1} {allocations:>7}{note}",
                );
            }
            for (goal, verdict) in row.goals() {
                let _ = writeln!(page, "  goal: {goal}: {verdict}");
            }
        }
        page
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
