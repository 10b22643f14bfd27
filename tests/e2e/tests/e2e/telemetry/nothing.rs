//! Nothing is rendered for telemetry that is not wanted.

use azure_sim::Options;
use e2e::ProxyBuilder;
use e2e::azure::Azure;

/// The name of the tracer; resource detectors of the metrics have longer ones that begin so.
const TRACER: &str = "\"envoy.tracers.opentelemetry\"";

/// The bootstrap with these settings.
#[track_caller]
fn rendered(settings: &ProxyBuilder) -> String {
    let output = settings.command("render").output().expect("a launcher");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).expect("JSON")
}

#[test]
fn without_an_endpoint_or_with_the_sdk_disabled_the_bootstrap_has_nothing_of_it() {
    let azure = Azure::start(Options::default());
    let plain = azure.proxy();
    let endpoint = |settings: ProxyBuilder| {
        settings.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    };
    let without = rendered(&plain);
    assert!(!without.contains("opentelemetry") && !without.contains("telemetry.sock"));
    let disabled = endpoint(plain.clone()).set("OTEL_SDK_DISABLED", "true");
    assert_eq!(rendered(&disabled), without);

    let with = rendered(&endpoint(plain.clone()));
    for part in ["stat_sinks.open_telemetry", TRACER, "telemetry.sock"] {
        assert!(with.contains(part), "{part}");
    }
    // No sampling is no tracing configuration at all, because that has its price.
    for (name, value, more) in [
        ("OTEL_TRACES_EXPORTER", "none", None),
        ("OTEL_TRACES_SAMPLER", "always_off", None),
        (
            "OTEL_TRACES_SAMPLER",
            "traceidratio",
            Some(("OTEL_TRACES_SAMPLER_ARG", "0")),
        ),
    ] {
        let mut settings = endpoint(plain.clone()).set(name, value);
        if let Some((name, value)) = more {
            settings = settings.set(name, value);
        }
        let untraced = rendered(&settings);
        assert!(!untraced.contains(TRACER), "{name}={value}");
        assert!(!untraced.contains("spawn_upstream_span"), "{name}={value}");
        assert!(
            untraced.contains("stat_sinks.open_telemetry"),
            "{name}={value}"
        );
    }
}
