//! The planner's own constants, in one place, each with what it is for.

/// How the planner weighs things. The figures were found on the promise bench; see `docs/decisions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Share of the planned agents that admission counts on, when the live calls' budget is neutral.
    pub use_safe: f64,
    /// The same for the expected course.
    pub use_expected: f64,
    /// Admission counts on this much more per point of allowance in hand.
    pub use_gain: f64,
    /// Late work that a new callback may add, as a share of its own.
    pub slip: f64,
    /// Seconds before its deadline at which a callback goes before the reserve, and before waiting live calls.
    pub critical: i64,
    /// Least promise after the expected moment, seconds.
    pub after_base: f64,
    /// Part of the promise after the expected moment that grows with what is ahead of it.
    pub after_spread: f64,
    pub before_base: f64,
    pub before_spread: f64,
    /// Windows up to this long are promised whole, seconds.
    pub whole: i64,
    /// Safety of the live target, share of the calls.
    pub live_margin: f64,
    /// Reserve of idle agents at most, as a share of those there.
    pub reserve_share: f64,
    /// Allowance of late live calls below which callbacks no longer go ahead of them.
    pub jump: f64,
    /// A last try waits for the end of the window while more agents than this are idle.
    pub spare_at_end: u32,
    /// Weight of requests not booked yet, in the plan that sets the reserve.
    pub phantom: f64,
    /// Part of the window within which a first dial is planned: the rest is for trying again.
    pub early: f64,
    /// Share of the agents left to short notice in the plan of an hour ahead and more.
    pub far: f64,
    /// Seconds by which promises are longer on a pressed day, after and before.
    pub pressed_after: f64,
    pub pressed_before: f64,
    /// Least of the reserve when everything would fit anyhow.
    pub relaxed_missed: f64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            use_safe: 0.96,
            use_expected: 0.97,
            use_gain: 0.15,
            slip: 0.25,
            critical: 120,
            after_base: 150.0,
            after_spread: 1.3,
            before_base: 0.0,
            before_spread: 0.7,
            whole: 420,
            live_margin: 0.004,
            reserve_share: 0.25,
            jump: 0.06,
            spare_at_end: 2,
            phantom: 1.0,
            early: 0.8,
            far: 0.04,
            pressed_after: 300.0,
            pressed_before: 300.0,
            relaxed_missed: 0.03,
        }
    }
}

impl Tuning {
    /// For experiments.
    pub fn set(&mut self, name: &str, value: f64) {
        match name {
            "use_safe" => self.use_safe = value,
            "use_expected" => self.use_expected = value,
            "use_gain" => self.use_gain = value,
            "slip" => self.slip = value,
            "critical" => self.critical = value as i64,
            "after_base" => self.after_base = value,
            "after_spread" => self.after_spread = value,
            "before_base" => self.before_base = value,
            "before_spread" => self.before_spread = value,
            "whole" => self.whole = value as i64,
            "live_margin" => self.live_margin = value,
            "reserve_share" => self.reserve_share = value,
            "jump" => self.jump = value,
            "spare_at_end" => self.spare_at_end = value as u32,
            "phantom" => self.phantom = value,
            "early" => self.early = value,
            "far" => self.far = value,
            "pressed_after" => self.pressed_after = value,
            "pressed_before" => self.pressed_before = value,
            "relaxed_missed" => self.relaxed_missed = value,
            other => panic!("no such figure: {other}"),
        }
    }
}
