//! Who is far worse than the others: a pure comparison.

use crate::config::{SlowOutliers, SuccessRate};

/// What one endpoint did since it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Record {
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    /// In seconds, if it is known.
    pub(crate) latency: Option<f32>,
}

/// Why an endpoint is to be ejected: what was seen, and the limit that it passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outlier {
    pub(crate) place: usize,
    pub(crate) seen: f64,
    pub(crate) limit: f64,
}

impl Record {
    const fn calls(&self) -> u64 {
        self.succeeded as u64 + self.failed as u64
    }

    fn success_rate(&self) -> f64 {
        f64::from(self.succeeded) / self.calls().max(1) as f64
    }
}

/// Those whose success rate is below the mean of all by too many standard deviations, the worst first.
pub(crate) fn by_success(records: &[Record], rule: &SuccessRate) -> Vec<Outlier> {
    let judged: Vec<(usize, f64)> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| record.calls() >= u64::from(rule.least_calls()))
        .map(|(place, record)| (place, record.success_rate()))
        .collect();
    if judged.len() < rule.least_endpoints() as usize {
        return Vec::new();
    }
    let count = judged.len() as f64;
    let mean = judged.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = judged
        .iter()
        .map(|(_, rate)| (rate - mean).powi(2))
        .sum::<f64>()
        / count;
    let limit = mean - rule.deviations() * variance.sqrt();
    let mut outliers: Vec<Outlier> = judged
        .into_iter()
        // Rounding alone must not tell equals apart.
        .filter(|(_, rate)| *rate < limit - 1e-9)
        .map(|(place, seen)| Outlier { place, seen, limit })
        .collect();
    outliers.sort_by(|one, other| one.seen.total_cmp(&other.seen));
    outliers
}

/// Those that take many times as long as the median, the worst first.
pub(crate) fn by_latency(records: &[Record], rule: &SlowOutliers) -> Vec<Outlier> {
    let mut judged: Vec<(usize, f64)> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| record.calls() >= u64::from(rule.least_calls()))
        .filter_map(|(place, record)| Some((place, f64::from(record.latency?))))
        .collect();
    if judged.len() < rule.least_endpoints() as usize {
        return Vec::new();
    }
    judged.sort_by(|one, other| one.1.total_cmp(&other.1));
    let Some((_, median)) = judged.get(judged.len() / 2).copied() else {
        return Vec::new();
    };
    let limit = median * rule.times();
    judged
        .into_iter()
        .rev()
        .filter(|(_, latency)| *latency > limit)
        .map(|(place, seen)| Outlier { place, seen, limit })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(succeeded: u32, failed: u32) -> Record {
        Record {
            succeeded,
            failed,
            latency: None,
        }
    }

    #[test]
    fn one_that_fails_more_than_the_others_stands_out() {
        let mut records = vec![record(990, 10); 9];
        records.push(record(500, 500));
        let found = by_success(&records, &SuccessRate::default());
        assert_eq!(
            found.iter().map(|found| found.place).collect::<Vec<_>>(),
            [9]
        );
    }

    #[test]
    fn when_all_fail_alike_nobody_does() {
        let records = vec![record(500, 500); 10];
        assert_eq!(by_success(&records, &SuccessRate::default()), []);
    }

    #[test]
    fn few_calls_and_few_endpoints_say_nothing() {
        let mut few_calls = vec![record(99, 0); 9];
        few_calls.push(record(0, 99));
        assert_eq!(by_success(&few_calls, &SuccessRate::default()), []);
        let few = [
            record(1000, 0),
            record(1000, 0),
            record(1000, 0),
            record(0, 1000),
        ];
        assert_eq!(by_success(&few, &SuccessRate::default()), []);
    }

    #[test]
    fn the_slowest_comes_first() {
        let took = |latency: f32| Record {
            latency: Some(latency),
            ..record(100, 0)
        };
        let mut records: Vec<Record> = (0..8).map(|_| took(0.02)).collect();
        records.extend([took(0.2), took(0.5), took(0.09)]);
        let found = by_latency(&records, &SlowOutliers::default());
        assert_eq!(
            found.iter().map(|found| found.place).collect::<Vec<_>>(),
            [9, 8]
        );
    }
}
