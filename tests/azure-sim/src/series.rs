//! The samples that were written: each series with its timestamps and values, so that a test
//! can prove that nothing is missing and see what came twice.

use std::collections::{BTreeMap, HashMap};

use crate::remote_write::{DecodedWrite, Labels, Point};
use crate::report::{SampleCounts, SamplePoint, SeriesQuery, SeriesReport};

#[derive(Debug, Default)]
struct Series {
    /// Value by timestamp in milliseconds.
    points: BTreeMap<i64, f64>,
    stored: u64,
    /// The newest timestamp that was dropped to bound memory: what is not newer is a duplicate.
    forgotten_until: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct SeriesStore {
    series: HashMap<Labels, Series>,
    kept_per_series: usize,
    pub(crate) samples: SampleCounts,
    pub(crate) histograms: SampleCounts,
    pub(crate) highest_timestamp_ms: Option<i64>,
}

impl SeriesStore {
    pub(crate) fn new(kept_per_series: usize) -> Self {
        Self {
            series: HashMap::new(),
            kept_per_series: kept_per_series.max(1),
            samples: SampleCounts::default(),
            histograms: SampleCounts::default(),
            highest_timestamp_ms: None,
        }
    }

    pub(crate) fn store(&mut self, write: DecodedWrite) {
        for written in write.series {
            let series = self.series.entry(written.labels).or_default();
            for point in &written.samples {
                series.add(*point, &mut self.samples, self.kept_per_series);
            }
            for point in &written.histograms {
                series.add(*point, &mut self.histograms, self.kept_per_series);
            }
            let newest = series
                .points
                .last_key_value()
                .map(|(timestamp, _)| *timestamp);
            self.highest_timestamp_ms = self.highest_timestamp_ms.max(newest);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// The series that a query names, sorted by labels.
    pub(crate) fn find(&self, query: &SeriesQuery) -> Vec<SeriesReport> {
        let mut found: Vec<_> = self
            .series
            .iter()
            .filter(|(labels, _)| {
                let has = |name: &str, value: &str| {
                    labels.get(name).is_some_and(|stored| stored == value)
                };
                query.name.as_ref().is_none_or(|name| has("__name__", name))
                    && query.labels.iter().all(|(name, value)| has(name, value))
            })
            .map(|(labels, series)| series.report(labels, query.full))
            .collect();
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found
    }
}

impl Series {
    fn add(&mut self, point: Point, counts: &mut SampleCounts, kept: usize) {
        counts.received += 1;
        let stored = self.points.get(&point.timestamp_ms);
        let forgotten = self
            .forgotten_until
            .is_some_and(|until| point.timestamp_ms <= until);
        if stored.is_some() || forgotten {
            counts.duplicate += 1;
            // By bits, since a stale marker is a NaN, which equals nothing.
            if stored.is_some_and(|value| value.to_bits() != point.value.to_bits()) {
                counts.conflicting += 1;
            }
            return;
        }
        counts.distinct += 1;
        if self
            .points
            .last_key_value()
            .is_some_and(|(newest, _)| point.timestamp_ms < *newest)
        {
            counts.out_of_order += 1;
        }
        self.points.insert(point.timestamp_ms, point.value);
        self.stored += 1;
        if self.points.len() > kept {
            self.forgotten_until = self.points.pop_first().map(|(oldest, _)| oldest);
        }
    }

    fn report(&self, labels: &Labels, full: bool) -> SeriesReport {
        SeriesReport {
            labels: labels.clone(),
            count: self.stored,
            first_timestamp_ms: self.points.first_key_value().map(|(first, _)| *first),
            last_timestamp_ms: self.points.last_key_value().map(|(last, _)| *last),
            samples: full.then(|| {
                self.points
                    .iter()
                    .map(|(timestamp_ms, value)| SamplePoint {
                        timestamp_ms: *timestamp_ms,
                        value: value.to_string(),
                    })
                    .collect()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote_write::WrittenSeries;

    fn write(points: &[(i64, f64)]) -> DecodedWrite {
        DecodedWrite {
            series: vec![WrittenSeries {
                labels: Labels::from([("__name__".to_owned(), "up".to_owned())]),
                samples: points
                    .iter()
                    .map(|&(timestamp_ms, value)| Point {
                        timestamp_ms,
                        value,
                    })
                    .collect(),
                histograms: Vec::new(),
            }],
            metadata: 0,
        }
    }

    #[test]
    fn a_batch_that_arrives_twice_is_stored_once() {
        let mut store = SeriesStore::new(100);
        store.store(write(&[(1, 1.0), (2, f64::NAN)]));
        store.store(write(&[(1, 1.0), (2, f64::NAN), (3, 3.0)]));
        let counts = SampleCounts {
            received: 5,
            distinct: 3,
            duplicate: 2,
            conflicting: 0,
            out_of_order: 0,
        };
        assert_eq!(store.samples, counts);
        assert_eq!(store.highest_timestamp_ms, Some(3));
    }

    #[test]
    fn another_value_at_the_same_time_and_a_late_sample_are_noticed() {
        let mut store = SeriesStore::new(100);
        store.store(write(&[(1, 1.0), (3, 3.0), (1, 9.0), (2, 2.0)]));
        assert_eq!(store.samples.conflicting, 1);
        assert_eq!(store.samples.out_of_order, 1);
        let report = store.find(&SeriesQuery {
            full: true,
            ..SeriesQuery::default()
        });
        let values: Vec<_> = report[0]
            .samples
            .iter()
            .flatten()
            .map(|s| s.value.as_str())
            .collect();
        assert_eq!(values, ["1", "2", "3"]);
    }

    #[test]
    fn what_was_forgotten_to_save_memory_is_not_counted_as_new() {
        let mut store = SeriesStore::new(2);
        store.store(write(&[(1, 1.0), (2, 2.0), (3, 3.0)]));
        store.store(write(&[(1, 1.0)]));
        assert_eq!((store.samples.distinct, store.samples.duplicate), (3, 1));
        assert_eq!(store.find(&SeriesQuery::default())[0].count, 3);
    }
}
