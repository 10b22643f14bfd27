//! The endpoint of a collector, in the forms that the OTLP exporter's specification allows.

use entra_auth_settings_input::{Authority, Endpoint, Host, Problem, Scheme, quoted};

use super::exporter::Protocol;
use super::signal::Signal;

/// The port of OTLP/gRPC (<https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-default-port>).
pub(super) const GRPC_PORT: u16 = 4317;

/// The port of OTLP/HTTP.
pub(super) const HTTP_PORT: u16 = 4318;

/// A value that has been read, before the protocol decides what it means.
#[derive(Debug, Clone)]
pub(super) struct Url {
    /// The scheme, if one was written.
    pub(super) scheme: Option<Scheme>,
    host: Host,
    port: Option<u16>,
    /// What follows the authority: empty, or beginning with a slash.
    path: String,
}

impl Url {
    /// Reads `host[:port]` or a URL. User information and queries are refused and not shown: they may be
    /// secret, and the specification sends neither.
    pub(super) fn parse(value: &str) -> Result<Self, Problem> {
        const CREDENTIALS: &str =
            "Remove it, and give credentials in OTEL_EXPORTER_OTLP_HEADERS, as authorization=….";
        if value.contains('@') {
            return Err(Problem::new("holds user information (an @)", CREDENTIALS));
        }
        if value.contains(['?', '#']) {
            return Err(Problem::new(
                "has a query or a fragment, which an export does not have",
                CREDENTIALS,
            ));
        }
        let (scheme, rest) = match value.split_once("://") {
            None => (None, value),
            Some((scheme, rest)) => (Some(known_scheme(scheme, value)?), rest),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::which(
                value,
                "has characters in its path that no URL has",
                "Percent-encode them: a space is %20.",
            ));
        }
        let Authority { host, port, .. } = Authority::parse(authority)?;
        Ok(Self {
            scheme,
            host,
            port,
            path: path.to_owned(),
        })
    }

    /// The server. Without a scheme and a port it has the default port of OTLP/gRPC, because OTLP/HTTP
    /// needs a scheme.
    fn server(self, scheme: Scheme) -> Endpoint {
        let default = match self.scheme {
            Some(scheme) => scheme.default_port(),
            None => GRPC_PORT,
        };
        Endpoint {
            scheme,
            host: self.host,
            port: self.port.unwrap_or(default),
        }
    }

    /// The endpoint of OTLP/gRPC. `without_scheme` is the scheme of a value that has none.
    pub(super) fn grpc(self, without_scheme: Scheme) -> Result<Endpoint, Problem> {
        if !matches!(self.path.as_str(), "" | "/") {
            return Err(Problem::new(
                format!(
                    "has the path {}, but the protocol is grpc, which has none",
                    quoted(&self.path)
                ),
                "Remove the path, or set the protocol to http/protobuf.",
            ));
        }
        let scheme = self.scheme.unwrap_or(without_scheme);
        Ok(self.server(scheme))
    }

    /// The endpoint of OTLP/HTTP, and the path there. The variable of one signal is used as it is, and
    /// the general one is a base, to which `v1/<signal>` is appended
    /// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp>).
    pub(super) fn http(
        self,
        signal: Signal,
        is_general: bool,
    ) -> Result<(Endpoint, String), Problem> {
        let Some(scheme) = self.scheme else {
            return Err(Problem::new(
                format!(
                    "has no scheme, which {} needs",
                    Protocol::HttpProtobuf.as_str()
                ),
                "Write it with http:// or https://, or set the protocol to grpc.",
            ));
        };
        let mut path = self.path.clone();
        if !is_general && path.is_empty() {
            path.push('/');
        }
        if is_general {
            if !path.ends_with('/') {
                path.push('/');
            }
            path.push_str("v1/");
            path.push_str(signal.as_str());
        }
        Ok((self.server(scheme), path))
    }
}

fn known_scheme(scheme: &str, value: &str) -> Result<Scheme, Problem> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(Problem::which(
            value,
            "has an unknown scheme",
            "Use http:// or https://.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(value: &str, is_general: bool) -> Result<String, Problem> {
        let (endpoint, path) = Url::parse(value)?.http(Signal::Traces, is_general)?;
        Ok(format!("{} {path}", endpoint.url()))
    }

    #[test]
    fn the_general_endpoint_of_http_is_a_base_and_that_of_a_signal_is_used_as_it_is() {
        let cases = [
            // The examples of the specification.
            (
                "http://collector:4318",
                "http://collector:4318 /v1/traces",
                "http://collector:4318 /",
            ),
            (
                "https://collector.example/v1/traces",
                "https://collector.example /v1/traces/v1/traces",
                "https://collector.example /v1/traces",
            ),
            (
                "http://collector:4318/mycollector/",
                "http://collector:4318 /mycollector/v1/traces",
                "http://collector:4318 /mycollector/",
            ),
            (
                "http://collector:4318/a%20b",
                "http://collector:4318 /a%20b/v1/traces",
                "http://collector:4318 /a%20b",
            ),
            (
                "HTTPS://Collector.Example/",
                "https://collector.example /v1/traces",
                "https://collector.example /",
            ),
            (
                "http://[::1]:4318",
                "http://[::1]:4318 /v1/traces",
                "http://[::1]:4318 /",
            ),
        ];
        for (value, general, own) in cases {
            assert_eq!(http(value, true).unwrap(), general, "{value}");
            assert_eq!(http(value, false).unwrap(), own, "{value}");
        }
    }

    #[test]
    fn grpc_takes_a_url_and_a_target_without_a_scheme() {
        let cases = [
            ("collector:4317", Scheme::Http, "http://collector:4317"),
            ("collector:4317", Scheme::Https, "https://collector:4317"),
            ("collector", Scheme::Http, "http://collector:4317"),
            ("[2001:db8::1]", Scheme::Http, "http://[2001:db8::1]:4317"),
            (
                "http://collector:4317/",
                Scheme::Https,
                "http://collector:4317",
            ),
            (
                "https://collector.example",
                Scheme::Http,
                "https://collector.example",
            ),
        ];
        for (value, without_scheme, expected) in cases {
            let endpoint = Url::parse(value).unwrap().grpc(without_scheme).unwrap();
            assert_eq!(endpoint.url(), expected, "{value}");
        }
        let problem = Url::parse("http://collector/v1/traces").unwrap();
        let problem = problem.grpc(Scheme::Http).unwrap_err();
        assert!(
            problem.wrong.contains("the path \"/v1/traces\""),
            "{problem}"
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        let cases = [
            ("collector:4318", "has no scheme"),
            ("unix:///run/otel.sock", "has an unknown scheme"),
            ("http://", "names no host"),
            ("http:///v1/traces", "names no host"),
            ("http://collector:port", "whose port is not 1 to 65535"),
            ("http://collector/a b", "characters in its path"),
            ("http://collector /a", "holds white space"),
            ("<YOUR-OTEL-GRPC-ENDPOINT>", "is no host name"),
        ];
        for (value, reason) in cases {
            let problem = http(value, true).unwrap_err();
            assert!(problem.wrong.contains(reason), "{value}: {problem}");
            assert!(!problem.fix.is_empty(), "{value}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_refused_and_not_shown() {
        for value in [
            "http://user:s3cret@collector:4318",
            "https://user:a/s3cret@collector",
            "https://collector/v1/traces?key=s3cret",
            "https://collector/#s3cret",
        ] {
            let problem = http(value, true).unwrap_err();
            assert!(
                problem.fix.contains("OTEL_EXPORTER_OTLP_HEADERS"),
                "{value}"
            );
            assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
        }
    }
}
