//! The verdict at the end of a run, by count: did every sample that Prometheus scraped arrive
//! once, and was every request and every call for a token as it must be?

use azure_sim::{ImdsRefusal, SourceReport, StateReport, TargetReport, TokenRefusal};

use crate::RemoteWrite;

/// What is wrong, once Prometheus has settled; nothing when all is well. So many calls for a token
/// may have been in flight at once: one, and for an Envoy that was stopped for a while two, because
/// a lease may be over by the time at which it hears of the end of its own call.
#[must_use]
pub fn problems(sent: &RemoteWrite, state: &StateReport, at_once: u64) -> Vec<String> {
    let mut problems = losses(sent, &state.target);
    problems.extend(refusals(&state.target));
    problems.extend(token_calls(&state.imds, at_once));
    problems
}

fn losses(sent: &RemoteWrite, target: &TargetReport) -> Vec<String> {
    let mut problems = Vec::new();
    let arrived = target.samples.distinct;
    if arrived == 0 {
        problems.push(
            "no sample has arrived (Prometheus scrapes for the first time after 5 s or more)"
                .to_owned(),
        );
    }
    // All are whole numbers far below 2^53.
    for (count, what) in [(sent.scraped, "scraped"), (sent.distinct(), "sent")] {
        if count != arrived as f64 {
            problems.push(format!(
                "prometheus has {what} {count} samples, {arrived} arrived"
            ));
        }
    }
    for (count, what) in [(sent.failed, "given up"), (sent.dropped, "dropped")] {
        if count > 0.0 {
            problems.push(format!("prometheus has {what} {count} samples"));
        }
    }
    if arrived > 0 && sent.highest_scraped == 0.0 {
        problems.push("prometheus does not say up to when it has scraped".to_owned());
    }
    if sent.highest_sent < sent.highest_scraped {
        problems.push(format!(
            "prometheus has scraped up to {}, and sent up to {}",
            sent.highest_scraped, sent.highest_sent
        ));
    }
    if target.samples.conflicting > 0 {
        problems.push(format!(
            "{} samples arrived again with another value",
            target.samples.conflicting
        ));
    }
    problems
}

/// A token that is revoked, or whose role is taken, while it is used is refused once: that is how
/// the proxy learns of it. Every other refusal is the proxy's own fault.
fn refusals(target: &TargetReport) -> Vec<String> {
    let ours = |refusal: &TokenRefusal| {
        !matches!(refusal, TokenRefusal::Revoked | TokenRefusal::MissingRole)
    };
    target
        .refused
        .iter()
        .filter(|(refusal, _)| ours(refusal))
        .map(|(refusal, count)| format!("the target has refused {count} requests: {refusal:?}"))
        .collect()
}

fn token_calls(imds: &SourceReport<ImdsRefusal>, at_once: u64) -> Vec<String> {
    let mut problems: Vec<_> = imds
        .refused
        .iter()
        .map(|(rule, count)| format!("{count} calls broke a rule of IMDS: {rule:?}"))
        .collect();
    if imds.max_in_flight > at_once {
        problems.push(format!(
            "{} calls for a token were in flight at once",
            imds.max_in_flight
        ));
    }
    problems
}

#[cfg(test)]
mod tests {
    use azure_sim::{ImdsRefusal, SampleCounts};

    use super::*;

    fn sent(count: f64) -> RemoteWrite {
        RemoteWrite {
            scraped: count,
            sent: count,
            retried: 0.0,
            failed: 0.0,
            dropped: 0.0,
            pending: 0.0,
            highest_scraped: 100.0,
            highest_sent: 100.0,
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
        assert_eq!(losses(&sent(10.0), &arrived(10)), Vec::<String>::new());
    }

    #[test]
    fn a_repeated_batch_is_no_loss() {
        let sent = RemoteWrite {
            sent: 15.0,
            retried: 5.0,
            ..sent(10.0)
        };
        assert_eq!(losses(&sent, &arrived(10)), Vec::<String>::new());
    }

    #[test]
    fn a_run_without_samples_is_no_success() {
        assert!(losses(&sent(0.0), &arrived(0))[0].contains("no sample has arrived"));
    }

    #[test]
    fn a_prometheus_that_does_not_say_how_far_it_is_proves_nothing() {
        let sent = RemoteWrite {
            highest_scraped: 0.0,
            ..sent(10.0)
        };
        assert!(losses(&sent, &arrived(10))[0].contains("does not say up to when"));
    }

    #[test]
    fn every_loss_is_told() {
        let sent = RemoteWrite {
            scraped: 11.0,
            failed: 1.0,
            dropped: 2.0,
            highest_sent: 99.0,
            ..sent(10.0)
        };
        let mut target = arrived(9);
        target.samples.conflicting = 4;
        let told = losses(&sent, &target).join("; ");
        for part in [
            "scraped 11 samples, 9 arrived",
            "sent 10 samples, 9 arrived",
            "given up 1",
            "dropped 2",
            "scraped up to 100, and sent up to 99",
            "4 samples arrived again with another value",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_refusal_is_a_problem_unless_the_token_was_good_when_it_was_issued() {
        let mut target = arrived(9);
        target.refused.insert(TokenRefusal::Revoked, 1);
        target.refused.insert(TokenRefusal::MissingRole, 1);
        assert_eq!(refusals(&target), Vec::<String>::new());
        target.refused.insert(TokenRefusal::Expired, 3);
        target.refused.insert(TokenRefusal::MissingAuthorization, 4);
        let told = refusals(&target).join("; ");
        assert!(told.contains("3 requests: Expired"), "{told}");
        assert!(told.contains("4 requests: MissingAuthorization"), "{told}");
    }

    #[test]
    fn calls_for_tokens_that_break_a_rule_or_overlap_are_told() {
        let mut imds = SourceReport {
            max_in_flight: 1,
            ..SourceReport::default()
        };
        assert_eq!(token_calls(&imds, 1), Vec::<String>::new());
        imds.max_in_flight = 2;
        imds.refused.insert(ImdsRefusal::TooManyRequests, 5);
        let told = token_calls(&imds, 1).join("; ");
        assert!(
            told.contains("5 calls broke a rule of IMDS: TooManyRequests"),
            "{told}"
        );
        assert!(
            told.contains("2 calls for a token were in flight"),
            "{told}"
        );
    }
}
