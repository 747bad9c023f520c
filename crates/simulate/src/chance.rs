//! Chance from a seed: streams of random numbers, each named by what it belongs to.
//!
//! Every customer has streams of their own, so that one request more or less shifts nobody else's luck.

/// A stream of random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of one thing: the same seed, topic and number always give the same numbers.
    pub fn of(seed: u64, topic: &str, number: u64) -> Chance {
        let mut state = mixed(seed ^ 0x5EED);
        for byte in topic.bytes() {
            state = mixed(state ^ u64::from(byte));
        }
        Chance(mixed(state ^ number))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        // The upper 53 bits: as many as an `f64` holds.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that has this chance.
    pub fn happens(&mut self, chance: f64) -> bool {
        self.unit() < chance
    }

    /// A waiting time of this mean without memory.
    pub fn waiting(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// Around 0, with a standard deviation of 1.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A length with this mean; `spread` is the standard deviation as a share of it. Skewed to the long side, as the
    /// lengths of calls are.
    pub fn length(&mut self, mean: f64, spread: f64) -> f64 {
        if mean <= 0.0 || spread <= 0.0 {
            return mean.max(0.0);
        }
        let variance = (1.0 + spread * spread).ln();
        (mean.ln() - variance / 2.0 + variance.sqrt() * self.normal()).exp()
    }

    /// The place of one of the weights, each as likely as its share of them; the last if all are nought.
    pub fn pick(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut left = self.unit() * total;
        for (place, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return place;
            }
        }
        weights.len().saturating_sub(1)
    }

    /// A whole number from `low` to `high`, both included.
    pub fn whole(&mut self, low: i64, high: i64) -> i64 {
        low + (self.unit() * (high - low + 1).max(1) as f64) as i64
    }
}

fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(draw: impl Fn(&mut Chance) -> f64) -> f64 {
        let mut chance = Chance::of(1, "test", 0);
        (0..20_000).map(|_| draw(&mut chance)).sum::<f64>() / 20_000.0
    }

    #[test]
    fn streams_have_the_shape_they_are_asked_for() {
        assert!((mean(Chance::unit) - 0.5).abs() < 0.01);
        assert!((mean(|chance| chance.waiting(300.0)) - 300.0).abs() < 8.0);
        assert!((mean(|chance| chance.length(240.0, 0.7)) - 240.0).abs() < 5.0);
        assert!((mean(|chance| chance.pick(&[1.0, 0.0, 3.0]) as f64) - 1.5).abs() < 0.03);
        assert!((mean(|chance| chance.whole(3, 5) as f64) - 4.0).abs() < 0.03);
        assert!(mean(Chance::normal).abs() < 0.03);
        assert_eq!(Chance::of(1, "x", 0).length(240.0, 0.0), 240.0);
    }

    #[test]
    fn a_stream_belongs_to_its_name() {
        let first = |seed, topic, number| Chance::of(seed, topic, number).next();
        let known = first(7, "phone", 3);
        assert_eq!(known, first(7, "phone", 3));
        for other in [
            first(8, "phone", 3),
            first(7, "talk", 3),
            first(7, "phone", 4),
        ] {
            assert_ne!(known, other);
        }
    }
}
