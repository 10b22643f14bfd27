//! The clouds and, for each service of theirs that clients reach through this proxy, the audience
//! of its tokens. This table is the one place that knows them.

use super::mistake::{Problem, quoted};

/// A separate Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// azure.com
    Public,
    /// Azure Government, azure.us
    UsGovernment,
    /// Azure operated by 21Vianet, azure.cn
    China,
}

impl Cloud {
    /// Reads `AZURE_CLOUD`: our names, and those of `az cloud list` and of the Azure SDKs.
    pub fn parse(value: &str) -> Result<Self, Problem> {
        match value.to_ascii_lowercase().as_str() {
            "public" | "azurecloud" | "azurepubliccloud" | "azurepublic" => Ok(Self::Public),
            "usgovernment" | "azureusgovernment" | "azureusgovernmentcloud" | "azuregovernment" => {
                Ok(Self::UsGovernment)
            }
            "china" | "azurechinacloud" | "azurechina" => Ok(Self::China),
            _ => Err(Problem::new(
                format!("is {}, which is unknown", quoted(value)),
                "Use public, usgovernment or china.",
            )),
        }
    }

    /// The name that `AZURE_CLOUD` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::UsGovernment => "usgovernment",
            Self::China => "china",
        }
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
    fn a_cloud_is_known_by_its_own_name_and_by_azures() {
        for cloud in [Cloud::Public, Cloud::UsGovernment, Cloud::China] {
            assert_eq!(Cloud::parse(cloud.name()), Ok(cloud));
        }
        assert_eq!(Cloud::parse("AzureUSGovernment"), Ok(Cloud::UsGovernment));
        assert_eq!(Cloud::parse("AzureChinaCloud"), Ok(Cloud::China));
        assert!(
            Cloud::parse("germany")
                .unwrap_err()
                .wrong
                .contains("unknown")
        );
    }
}
