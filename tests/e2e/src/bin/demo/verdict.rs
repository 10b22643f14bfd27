//! Judges a timed run: did every sample that Prometheus scraped arrive, with a verified token?

use azure_sim::TargetReport;
use e2e::RemoteWrite;

/// What is wrong, once Prometheus has settled; nothing when all is well.
pub(crate) fn problems(sent: &RemoteWrite, target: &TargetReport) -> Vec<String> {
    let mut problems = Vec::new();
    let arrived = target.samples.distinct;
    if arrived == 0 {
        problems.push(
            "no sample has arrived (Prometheus scrapes for the first time after 5 s or more)"
                .to_owned(),
        );
    }
    // Both are whole numbers far below 2^53.
    if sent.distinct() != arrived as f64 {
        problems.push(format!(
            "prometheus sent {} samples, {arrived} arrived",
            sent.distinct()
        ));
    }
    for (count, what) in [(sent.failed, "given up"), (sent.dropped, "dropped")] {
        if count > 0.0 {
            problems.push(format!("prometheus has {what} {count} samples"));
        }
    }
    for (reason, count) in &target.refused {
        problems.push(format!(
            "the target has refused {count} requests: {reason:?}"
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use azure_sim::{SampleCounts, TokenRefusal};

    use super::*;

    fn sent(count: f64) -> RemoteWrite {
        RemoteWrite {
            scraped: count,
            sent: count,
            retried: 0.0,
            failed: 0.0,
            dropped: 0.0,
            pending: 0.0,
        }
    }

    fn arrived(distinct: u64) -> TargetReport {
        let samples = SampleCounts {
            received: distinct,
            distinct,
            ..SampleCounts::default()
        };
        TargetReport {
            samples,
            ..TargetReport::default()
        }
    }

    #[test]
    fn all_is_well_when_every_sample_has_arrived() {
        assert_eq!(problems(&sent(10.0), &arrived(10)), Vec::<String>::new());
    }

    #[test]
    fn a_repeated_batch_is_no_loss() {
        let sent = RemoteWrite {
            sent: 15.0,
            retried: 5.0,
            ..sent(10.0)
        };
        assert_eq!(problems(&sent, &arrived(10)), Vec::<String>::new());
    }

    #[test]
    fn a_run_without_samples_is_no_success() {
        assert!(problems(&sent(0.0), &arrived(0))[0].contains("no sample has arrived"));
    }

    #[test]
    fn every_loss_and_refusal_is_told() {
        let sent = RemoteWrite {
            failed: 1.0,
            dropped: 2.0,
            ..sent(10.0)
        };
        let mut target = arrived(9);
        target.refused.insert(TokenRefusal::Expired, 3);
        let told = problems(&sent, &target).join("; ");
        for part in [
            "10 samples, 9 arrived",
            "given up 1",
            "dropped 2",
            "refused 3 requests: Expired",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
