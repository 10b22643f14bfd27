//! Selects the cloud, and has the token audience of each Azure service that clients reach through this
//! proxy.

use entra_auth_settings_input::{ConfigError, Host, Place, Problem};
use entra_token_core::cloud::Cloud;

/// The cloud that a variable or a field of the file implies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudHint {
    /// The variable or the field.
    pub place: Place,
    /// The cloud.
    pub cloud: Cloud,
}

/// The one cloud that all hints agree on; none without a hint.
///
/// # Errors
/// When two hints name different clouds.
pub fn agreed(hints: &[CloudHint]) -> Result<Option<CloudHint>, ConfigError> {
    let Some(first) = hints.first() else {
        return Ok(None);
    };
    match hints.iter().find(|other| other.cloud != first.cloud) {
        None => Ok(Some(first.clone())),
        Some(other) => Err(Problem::new(
            format!(
                "means {}, but {} means {}",
                first.cloud, other.place, other.cloud
            ),
            "Correct one of the two: a token of one cloud is worth nothing in another.",
        )
        .of(first.place.clone())),
    }
}

/// A service by the hosts it answers on.
struct Service {
    cloud: Cloud,
    /// The host itself, or what it ends with after a dot.
    host: &'static str,
    audience: &'static str,
}

const fn service(cloud: Cloud, host: &'static str, audience: &'static str) -> Service {
    Service {
        cloud,
        host,
        audience,
    }
}

const SERVICES: [Service; 15] = {
    use Cloud::{China, Public, UsGovernment};
    const INGESTION: &str = "https://monitor.azure.com";
    const INGESTION_US: &str = "https://monitor.azure.us";
    const INGESTION_CN: &str = "https://monitor.azure.cn";
    [
        // Azure Monitor ingestion: Prometheus remote_write and data collection endpoints.
        service(Public, "ingest.monitor.azure.com", INGESTION),
        service(UsGovernment, "ingest.monitor.azure.us", INGESTION_US),
        service(China, "ingest.monitor.azure.cn", INGESTION_CN),
        // Prometheus query.
        service(
            Public,
            "prometheus.monitor.azure.com",
            "https://prometheus.monitor.azure.com",
        ),
        service(
            UsGovernment,
            "prometheus.monitor.azure.us",
            "https://prometheus.monitor.azure.us",
        ),
        service(
            China,
            "prometheus.monitor.azure.cn",
            "https://prometheus.monitor.azure.cn",
        ),
        // Application Insights ingestion and live metrics.
        service(Public, "in.applicationinsights.azure.com", INGESTION),
        service(Public, "dc.services.visualstudio.com", INGESTION),
        service(Public, "livediagnostics.monitor.azure.com", INGESTION),
        service(
            UsGovernment,
            "in.applicationinsights.azure.us",
            INGESTION_US,
        ),
        service(UsGovernment, "dc.applicationinsights.us", INGESTION_US),
        service(China, "in.applicationinsights.azure.cn", INGESTION_CN),
        service(China, "dc.applicationinsights.azure.cn", INGESTION_CN),
        // Application Insights query.
        service(
            Public,
            "api.applicationinsights.io",
            "https://api.applicationinsights.io",
        ),
        service(
            Public,
            "api.applicationinsights.azure.com",
            "https://api.applicationinsights.io",
        ),
    ]
};

/// The audience of the service that answers on a host (in lower case), and the service's cloud.
#[must_use]
pub fn audience_of_host(host: &str) -> Option<(&'static str, Cloud)> {
    SERVICES
        .iter()
        .find(|service| {
            host.strip_suffix(service.host)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
        .map(|service| (service.audience, service.cloud))
}

/// The cloud of the service that an endpoint is.
#[must_use]
pub fn cloud_of_host(host: &Host) -> Option<Cloud> {
    match host {
        Host::Name(name) => audience_of_host(name).map(|(_, cloud)| cloud),
        Host::Ip(_) => None,
    }
}

/// The cloud that an audience of these services belongs to.
#[must_use]
pub fn cloud_of_audience(resource: &str) -> Option<Cloud> {
    let resource = resource.trim_end_matches('/');
    SERVICES
        .iter()
        .find(|service| service.audience.eq_ignore_ascii_case(resource))
        .map(|service| service.cloud)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_each_cloud_has_its_services_audience() {
        let cases = [
            (
                "amw-x.eastus-1.metrics.ingest.monitor.azure.com",
                "https://monitor.azure.com",
            ),
            (
                "x.usgovvirginia-1.metrics.ingest.monitor.azure.us",
                "https://monitor.azure.us",
            ),
            (
                "x.chinanorth3-1.metrics.ingest.monitor.azure.cn",
                "https://monitor.azure.cn",
            ),
            (
                "x.eastus.prometheus.monitor.azure.com",
                "https://prometheus.monitor.azure.com",
            ),
            (
                "x.usgovarizona.prometheus.monitor.azure.us",
                "https://prometheus.monitor.azure.us",
            ),
            (
                "x.chinanorth3.prometheus.monitor.azure.cn",
                "https://prometheus.monitor.azure.cn",
            ),
            (
                "eastus-8.in.applicationinsights.azure.com",
                "https://monitor.azure.com",
            ),
            ("dc.services.visualstudio.com", "https://monitor.azure.com"),
            (
                "api.applicationinsights.io",
                "https://api.applicationinsights.io",
            ),
        ];
        for (host, audience) in cases {
            assert_eq!(
                audience_of_host(host).map(|(audience, _)| audience),
                Some(audience)
            );
        }
    }

    #[test]
    fn a_host_that_only_resembles_a_service_has_no_audience() {
        let others = [
            "example.com",
            "localhost",
            "evilingest.monitor.azure.com",
            "ingest.monitor.azure.com.example.com",
            "management.azure.com",
        ];
        for host in others {
            assert_eq!(audience_of_host(host), None, "{host}");
        }
    }

    #[test]
    fn variables_that_mean_different_clouds_are_a_mistake() {
        let hint = |variable: &'static str, cloud| CloudHint {
            place: variable.into(),
            cloud,
        };
        let public = hint("AZURE_CLOUD", Cloud::Public);
        assert_eq!(agreed(&[]), Ok(None));
        assert_eq!(
            agreed(&[public.clone(), hint("TARGET_HOST", Cloud::Public)]),
            Ok(Some(public.clone()))
        );
        let error = agreed(&[public, hint("AUDIENCE", Cloud::China)]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("AZURE_CLOUD means public, but AUDIENCE means china."),
            "{error}"
        );
    }

    #[test]
    fn an_audience_of_one_cloud_is_known_as_its() {
        let cases = [
            ("https://monitor.azure.com", Some(Cloud::Public)),
            ("https://Monitor.azure.us/", Some(Cloud::UsGovernment)),
            ("https://prometheus.monitor.azure.cn", Some(Cloud::China)),
            ("https://api.applicationinsights.io", Some(Cloud::Public)),
            ("api://x", None),
        ];
        for (audience, cloud) in cases {
            assert_eq!(cloud_of_audience(audience), cloud, "{audience}");
        }
    }
}
