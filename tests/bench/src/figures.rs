//! Figures of several rounds: their median, how far they spread, and how they compare round by round.

use std::fmt;

/// One figure in every round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    /// One figure for each round, in the order of the rounds.
    pub(crate) fn new(rounds: impl IntoIterator<Item = f64>) -> Self {
        Self(rounds.into_iter().collect())
    }

    /// The middle one; of an even number the mean of the two in the middle; 0 of none.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        }
    }

    /// Each round's figure over the anchor's of the same round, which the machine's moods have touched alike.
    pub(crate) fn over(&self, anchor: &Self) -> Self {
        Self(self.0.iter().zip(&anchor.0).map(|(figure, anchor)| figure / anchor).collect())
    }

    /// The largest one.
    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// `median (min–max)`; of one round only itself.
    pub(crate) fn shown(&self, decimals: usize) -> String {
        let median = Digits(self.median(), decimals);
        if self.0.len() < 2 {
            return median.to_string();
        }
        format!("{median} ({}–{})", Digits(self.min(), decimals), Digits(self.max(), decimals))
    }
}

/// A number with so many decimals, its thousands apart.
pub(crate) struct Digits(pub(crate) f64, pub(crate) usize);

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.*}", self.1, self.0);
        let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) && whole.as_bytes()[place - 1] != b'-' {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        fraction.map_or(Ok(()), |fraction| write!(f, ".{fraction}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Figures::new([]).median(), 0.0);
        assert_eq!(Figures::new([3.0]).median(), 3.0);
        assert_eq!(Figures::new([9.0, 1.0]).median(), 5.0);
        assert_eq!(Figures::new([9.0, 1.0, 2.0]).median(), 2.0);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let ratio = Figures::new([1.0, 4.0]).over(&Figures::new([2.0, 2.0]));
        assert_eq!(ratio, Figures::new([0.5, 2.0]));
    }

    #[test]
    fn figures_are_shown_with_their_spread() {
        assert_eq!(Figures::new([1234567.0]).shown(0), "1,234,567");
        assert_eq!(Figures::new([999.5, 1000.0, 12.25]).shown(1), "999.5 (12.2–1,000.0)");
        assert_eq!(Digits(-123456.0, 0).to_string(), "-123,456");
    }
}
