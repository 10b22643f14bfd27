//! Medians and quartiles, and ratios of what was measured side by side.
//!
//! A machine grows faster and slower by itself, by more than what is looked for. What was measured
//! in one round saw the same machine, so ratios are made within each round, and only they are
//! compared.

use serde::Serialize;

/// Where the middle of some numbers is, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) upper_quartile: f64,
}

impl Spread {
    /// Of these numbers; none where there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            lower_quartile: quantile(&sorted, 0.25)?,
            upper_quartile: quantile(&sorted, 0.75)?,
        })
    }

    /// Of the ratios within each round.
    pub(crate) fn of_ratios(of: &[f64], to: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
        Self::of(&ratios)
    }
}

/// The value below which this share of sorted numbers lies, between two of them on the line that
/// joins them (what R calls type 7).
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * (sorted.len().checked_sub(1)? as f64);
    let below = *sorted.get(at.floor() as usize)?;
    let above = *sorted.get(at.ceil() as usize)?;
    Some(below + (above - below) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_quartiles_lie_on_or_between_the_numbers() {
        let odd = Spread::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!(
            (odd.lower_quartile, odd.median, odd.upper_quartile),
            (2.0, 3.0, 4.0)
        );
        let even = Spread::of(&[4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(
            (even.lower_quartile, even.median, even.upper_quartile),
            (1.75, 2.5, 3.25)
        );
    }

    #[test]
    fn one_number_is_its_own_median_and_none_have_none() {
        assert_eq!(Spread::of(&[7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of(&[]), None);
    }

    /// The second round's machine was three times as slow: the ratio is what it was.
    #[test]
    fn a_ratio_is_made_within_its_round() {
        let ratio = Spread::of_ratios(&[11.0, 33.0, 11.0], &[10.0, 30.0, 10.0]).unwrap();
        assert!((ratio.median - 1.1).abs() < 1e-9, "{ratio:?}");
        assert!((ratio.upper_quartile - 1.1).abs() < 1e-9, "{ratio:?}");
    }
}
