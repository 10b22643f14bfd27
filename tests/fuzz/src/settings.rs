//! Values of the launcher's environment variables that are read without a look at the machine.

use entra_auth_envoy::settings::{audience, choices, headers, quantity, target_host};
use entra_auth_settings_input::choices::{AssertionAlgorithm, on_or_off};
use entra_auth_settings_input::{Authority, Problem};

use crate::{MARKER, hides_the_marker};

/// A value.
pub(crate) fn settings(value: &[u8]) {
    let Ok(value) = str::from_utf8(value) else {
        return;
    };
    if let Ok((endpoint, rest)) = told(target_host::parse(value)) {
        let authority = endpoint.authority();
        let plain = |c: char| c.is_ascii_graphic();
        assert!(authority.chars().all(plain), "{authority}");
        let parsed = told(Authority::parse(&authority)).expect("what is sent is an authority");
        assert_eq!(parsed.host, endpoint.host);
        assert!(parsed.port.is_none_or(|port| port == endpoint.port));
        assert!(rest.is_none_or(|rest| !rest.is_empty()));
    }
    if let Ok(audience) = told(audience::parse(value)) {
        let again = audience::parse(&audience.scope()).expect("a scope is an audience");
        assert_eq!(again, audience);
    }
    match headers::parse(value) {
        Ok(overrides) => {
            let shown = format!("{overrides:?}").to_ascii_lowercase();
            assert!(!shown.contains(r#""authorization""#), "{shown}");
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let _ = told::<()>(Err(problem));
            }
        }
    }
    let _ = told(quantity::memory(value));
    let _ = told(choices::LogLevel::parse(value));
    let _ = told(choices::AccessLog::parse(value));
    let _ = told(choices::auth_errors_retryable(value));
    let _ = told(on_or_off(value));
    let _ = told(AssertionAlgorithm::parse(value));
    if let Ok(port) = told(choices::port(value)) {
        assert_ne!(port, 0);
    }
    if let Ok(percent) = told(choices::percent(value)) {
        assert!((1..=99).contains(&percent.get()));
    }
    // What stands before an @ may be a password.
    for value in [
        format!("{MARKER}@{value}"),
        format!("https://u:{MARKER}@{value}"),
    ] {
        if let Err(problem) = target_host::parse(&value) {
            hides_the_marker(&format!("{problem:?}"));
        }
    }
}

/// A problem is one line that says what is wrong and what to do.
fn told<T>(parsed: Result<T, Problem>) -> Result<T, Problem> {
    parsed.inspect_err(|problem| {
        for part in [&problem.wrong, &problem.fix] {
            assert!(
                !part.is_empty() && !part.contains(char::is_control),
                "{problem:?}"
            );
        }
    })
}
