//! What is sent: the resource, the share of the traces, and how metrics are sent.

use std::time::Duration;

use super::*;
use crate::settings::telemetry::{Sampler, Temporality};

#[test]
fn the_resource_has_the_name_of_the_service_first() {
    let resource = |more: &[(&str, &str)]| {
        let reading = sent(more);
        let resource = reading.outcome.unwrap().telemetry.resource;
        let pairs = resource
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"));
        (pairs.collect::<Vec<_>>().join("|"), reading.warnings)
    };
    let attributes = |list| ("OTEL_RESOURCE_ATTRIBUTES", list);
    let cases = [
        (vec![], "service.name=entra-auth-envoy"),
        (vec![("OTEL_SERVICE_NAME", "a=b, c")], "service.name=a=b, c"),
        (
            vec![attributes("team=a,service.name=b,x%3Dy=1%2C2%20%C3%A9 z")],
            "service.name=b|team=a|x=y=1,2 é z",
        ),
        (
            vec![attributes("service.name=b"), ("OTEL_SERVICE_NAME", "c")],
            "service.name=c",
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(resource(&more), (expected.to_owned(), vec![]), "{more:?}");
    }
    let (twice, warnings) = resource(&[attributes("a=1,a=2")]);
    assert_eq!(twice, "service.name=entra-auth-envoy|a=2");
    assert_eq!(
        warnings,
        ["OTEL_RESOURCE_ATTRIBUTES names a twice: the last value counts"]
    );
}

#[test]
fn replicas_are_told_apart_by_host_and_port_unless_an_attribute_does() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine {
        hostname: Some("pod-1".into()),
        ..machine(directory.path())
    };
    let instance = |more: &[(&str, &str)]| {
        let mut pairs = vec![
            ("TARGET_HOST", TARGET),
            ("IDENTITY_TYPE", "systemAssigned"),
            ENDPOINT,
        ];
        pairs.extend(more);
        let resource = read_on(&machine, &pairs)
            .outcome
            .unwrap()
            .telemetry
            .resource;
        let mut ids = resource
            .into_iter()
            .filter(|(key, _)| key == "service.instance.id");
        let id = ids.next().unwrap().1;
        assert_eq!(ids.next(), None);
        id
    };
    assert_eq!(instance(&[]), "pod-1:9464");
    assert_eq!(instance(&[("STATUS_PORT", "9000")]), "pod-1:9000");
    let own = ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine");
    assert_eq!(instance(&[own]), "mine");
}

#[test]
fn a_sampler_that_records_nothing_leaves_traces_out() {
    use Sampler::{
        AlwaysOn, ParentBasedAlwaysOff, ParentBasedAlwaysOn, ParentBasedTraceIdRatio, TraceIdRatio,
    };
    let cases = [
        ("always_on", "", Some(AlwaysOn)),
        ("Always_On", "", Some(AlwaysOn)),
        ("always_off", "", None),
        ("traceidratio", "", Some(TraceIdRatio(1.0))),
        ("traceidratio", "0.25", Some(TraceIdRatio(0.25))),
        ("traceidratio", "1e-3", Some(TraceIdRatio(0.001))),
        ("traceidratio", "0", None),
        ("traceidratio", "0.0", None),
        ("parentbased_always_on", "", Some(ParentBasedAlwaysOn)),
        ("parentbased_always_off", "", Some(ParentBasedAlwaysOff)),
        (
            "parentbased_traceidratio",
            "0.01",
            Some(ParentBasedTraceIdRatio(0.01)),
        ),
        ("parentbased_traceidratio", "0", Some(ParentBasedAlwaysOff)),
    ];
    for (name, argument, expected) in cases {
        let sampler = [
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let reading = sent(&sampler);
        assert_eq!(reading.warnings, [""; 0], "{name} {argument}");
        let traces = reading.outcome.unwrap().telemetry.traces;
        assert_eq!(traces.map(|it| it.sampler), expected, "{name} {argument}");
    }
    for argument in ["1.1", "-0.1", "1%", "NaN", "inf", "0,1"] {
        let all = errors(sent(&[
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ]));
        assert_eq!(all.len(), 1, "{all:?}");
        let expected =
            format!("OTEL_TRACES_SAMPLER_ARG is {argument:?}, which is no number from 0 to 1");
        assert!(all[0].starts_with(&expected), "{all:?}");
    }
}

#[test]
fn an_unset_sampler_traces_every_request_and_says_what_that_costs() {
    let reading = with(&[ENDPOINT]);
    assert_eq!(reading.warnings.len(), 1, "{:?}", reading.warnings);
    assert!(reading.warnings[0].contains("costs half as much CPU time again"));
    let traces = reading.outcome.unwrap().telemetry.traces.unwrap();
    assert_eq!(traces.sampler, Sampler::ParentBasedAlwaysOn);
    let none = with(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]);
    assert_eq!(none.warnings, [""; 0]);
}

#[test]
fn metrics_are_sent_before_the_drain_ends_unless_an_interval_is_set() {
    let interval = |more: &[(&str, &str)]| {
        let reading = sent(more);
        let metrics = reading.outcome.unwrap().telemetry.metrics.unwrap();
        (metrics.interval, reading.warnings)
    };
    let drain = |seconds| ("DRAIN_SECONDS", seconds);
    let every = |milliseconds| ("OTEL_METRIC_EXPORT_INTERVAL", milliseconds);
    let quiet = |milliseconds| (Duration::from_millis(milliseconds), vec![]);
    assert_eq!(interval(&[]), quiet(12_500));
    assert_eq!(interval(&[drain("600")]), quiet(60_000));
    assert_eq!(interval(&[drain("2")]), quiet(1_000));
    assert_eq!(interval(&[drain("0")]), quiet(60_000));
    assert_eq!(interval(&[every("20000")]), quiet(20_000));
    assert_eq!(interval(&[every("100")]), quiet(100));
    let (value, warnings) = interval(&[every("60000")]);
    assert_eq!(value.as_secs(), 60);
    assert!(
        warnings[0].contains("longer than DRAIN_SECONDS"),
        "{warnings:?}"
    );
    let (value, warnings) = interval(&[every("300000"), drain("3600")]);
    assert_eq!(value.as_millis(), 299_999);
    assert!(
        warnings[0].contains("longer than Envoy can wait"),
        "{warnings:?}"
    );
    for wrong in ["99", "0", "-1", "1s", "1.5"] {
        let all = errors(sent(&[every(wrong)]));
        assert_eq!(all.len(), 1, "{all:?}");
        let name = format!("OTEL_METRIC_EXPORT_INTERVAL is {wrong:?}");
        assert!(all[0].starts_with(&name), "{all:?}");
    }
}

#[test]
fn metrics_are_cumulative_and_have_the_old_names_unless_told_otherwise() {
    let metrics = |more: &[(&str, &str)]| {
        let metrics = telemetry(more).metrics.unwrap();
        (metrics.temporality, metrics.old_names)
    };
    let preferred = |value| {
        let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        metrics(&[(name, value)]).0
    };
    assert_eq!(metrics(&[]), (Temporality::Cumulative, true));
    assert_eq!(preferred("Cumulative"), Temporality::Cumulative);
    assert_eq!(preferred("delta"), Temporality::Delta);
    assert_eq!(preferred("LowMemory"), Temporality::Delta);
    assert!(!metrics(&[("OLD_METRIC_NAMES", "off")]).1);
}
