//! `AUDIENCE`: the audience of the token. If it is unset, it follows from the target host and the table of
//! clouds, never from anything a client sends.

use entra_auth_settings_input::{Host, Problem};
use entra_token_core::Audience;

use super::clouds;

/// Reads the variable, a resource or its `/.default` scope.
pub fn parse(value: &str) -> Result<Audience, Problem> {
    value
        .parse()
        .map_err(|why: String| Problem::of_value(value, &why))
}

/// The audience of the target.
pub fn of_target(host: &Host) -> Result<Audience, Problem> {
    let found = match host {
        Host::Name(name) => clouds::audience_of_host(name),
        Host::Ip(_) => None,
    };
    let Some((audience, _)) = found else {
        return Err(Problem::new(
            format!("is not set, and TARGET_HOST ({host}) is no host whose audience is known"),
            "Set it to the target's audience, as https://monitor.azure.com.",
        ));
    };
    parse(audience)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Host {
        Host::Name(host.into())
    }

    #[test]
    fn the_default_scope_of_a_resource_means_the_resource() {
        let cases = [
            (
                "https://monitor.azure.com/.default",
                "https://monitor.azure.com",
            ),
            ("https://monitor.azure.com", "https://monitor.azure.com"),
            ("https://x//.default", "https://x/"),
            ("https://x/", "https://x/"),
            ("api://0000/.default", "api://0000"),
        ];
        for (value, audience) in cases {
            assert_eq!(parse(value).unwrap().resource(), audience);
        }
    }

    #[test]
    fn an_empty_or_spaced_audience_is_a_mistake() {
        for value in ["/.default", "https://x y", "https://x\n", "https://ü"] {
            let problem = parse(value).unwrap_err();
            assert!(
                problem.wrong.starts_with(&format!("{value:?} ")),
                "{problem:?}"
            );
        }
    }

    #[test]
    fn the_audience_comes_from_the_target_host() {
        let audience = of_target(&name("x.eastus-1.metrics.ingest.monitor.azure.com")).unwrap();
        assert_eq!(audience.resource(), "https://monitor.azure.com");
    }

    #[test]
    fn a_target_without_a_known_audience_asks_for_the_variable() {
        for host in [name("localhost"), Host::Ip([10, 0, 0, 1].into())] {
            let problem = of_target(&host).unwrap_err();
            assert!(problem.wrong.starts_with("is not set"));
            assert!(problem.fix.starts_with("Set it"));
        }
    }
}
