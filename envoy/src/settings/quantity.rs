//! `MEMORY_LIMIT`: an amount of memory in bytes or as a Kubernetes quantity, so that the value of
//! `resources.limits.memory` can be copied or handed down by the downward API.

use entra_auth_settings_input::{Problem, quoted};

/// Below this there is no room for bodies beside Envoy itself, which needs about 60 MB with the Wasm
/// engine in it.
pub const LEAST: u64 = 128 << 20;

/// Reads an amount of memory in bytes.
pub fn memory(value: &str) -> Result<u64, Problem> {
    let bytes = bytes(value).ok_or_else(|| {
        Problem::new(
            format!("is {}, which is no amount of memory", quoted(value)),
            "Write bytes or a quantity, as 268435456, 256Mi or 1.5G.",
        )
    })?;
    if bytes < LEAST {
        return Err(Problem::new(
            format!("is {}, which is too little for Envoy", quoted(value)),
            format!("Give it {}Mi or more.", LEAST >> 20),
        ));
    }
    Ok(bytes)
}

/// Kubernetes' `resource.Quantity`, without the exponent and sub-unit forms that nobody uses for
/// memory.
fn bytes(value: &str) -> Option<u64> {
    let digits_end = value
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(value.len());
    let (amount, unit) = value.split_at(digits_end);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    if let Ok(whole) = amount.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    if amount.starts_with('.') || amount.ends_with('.') {
        return None;
    }
    // Exact to the byte for every amount that fits a machine: below 2^53.
    let bytes = amount.parse::<f64>().ok()? * factor as f64;
    (bytes < 9e15).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_kubernetes_quantities_are_read() {
        let cases = [
            ("268435456", 268_435_456),
            ("256Mi", 268_435_456),
            ("1G", 1_000_000_000),
            ("1.5Gi", 1_610_612_736),
            ("500M", 500_000_000),
            ("1000000k", 1_000_000_000),
            ("1Ti", 1 << 40),
        ];
        for (value, bytes) in cases {
            assert_eq!(memory(value), Ok(bytes), "{value}");
        }
    }

    #[test]
    fn what_is_no_amount_is_a_mistake() {
        let overflow = "99999999999999999Ti";
        let values = [
            "lots", "256MB", "256 Mi", "-1", "Mi", ".", "1.", ".5Gi", "1.2.3Gi", "1e9", overflow,
        ];
        for value in values {
            let problem = memory(value).unwrap_err();
            assert!(problem.wrong.contains("no amount of memory"), "{value}");
        }
    }

    #[test]
    fn too_little_memory_for_envoy_is_a_mistake() {
        for value in ["0", "64Mi", "256"] {
            let problem = memory(value).unwrap_err();
            assert!(problem.wrong.contains("too little"), "{value}");
            assert_eq!(problem.fix, "Give it 128Mi or more.");
        }
        assert!(memory("128Mi").is_ok());
    }
}
