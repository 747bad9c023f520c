//! The planner's own constants, in one place, each with what it is for.

/// How the planner weighs things. The figures were found on the promise bench; see `docs/decisions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Share of the agents that admission counts on, before the reserve for live calls.
    pub use_safe: f64,
    /// What it counts on more on a day that is not overloaded.
    pub use_calm: f64,
    /// The same for the expected course, which estimates are made from.
    pub use_expected: f64,
    /// Late work that a new callback may add, as a share of its own.
    pub slip: f64,
    /// Part of the overload that is left to short notice in the plan of an hour ahead and more.
    pub far: f64,
    /// The least of that, as a share of the agents.
    pub far_least: f64,
    /// The most of that, as a share of the agents.
    pub far_most: f64,
    /// Part of the window within which a first dial is planned: the rest is for trying again.
    pub early: f64,
    /// What the day is taken to ask for before anything of it was seen, as a share of what the agents can do.
    pub unseen: f64,
    /// Windows up to this long are promised whole, seconds.
    pub whole: i64,
    /// Least promise after the expected moment, seconds.
    pub after_base: f64,
    /// Part of the promise after the expected moment that grows with what is ahead of it.
    pub after_spread: f64,
    /// Least promise before the expected moment, seconds.
    pub before_base: f64,
    /// Part of the promise before the expected moment that grows with what is ahead of it.
    pub before_spread: f64,
    /// What a promise is longer, in the time that passes between two agents coming free.
    pub alone: f64,
    /// Seconds by which promises end later on a pressed day.
    pub pressed_after: f64,
    /// Seconds by which promises begin earlier on a pressed day.
    pub pressed_before: f64,
    /// What is left of the least promise on a quiet day.
    pub quiet: f64,
    /// Seconds before its deadline at which a callback may take an agent of the reserve.
    pub critical: i64,
    /// Surplus, in calls, below which the live calls are owed something.
    pub debt: f64,
    /// What is then left of `critical`.
    pub indebted: f64,
    /// Surplus of late live calls, in calls, below which callbacks no longer go ahead of them.
    pub jump: f64,
    /// The same for callbacks whose window would pass without a dial.
    pub jump_broken: f64,
    /// Seconds before its deadline at which a callback goes before waiting live calls.
    pub jump_at: i64,
    /// How much later callbacks go ahead of live calls on an overloaded day, as a share.
    pub calm: f64,
    /// A last try waits for the end of the window while more agents than this are idle.
    pub spare_at_end: u32,
    /// Safety of the live target, share of the calls.
    pub live_margin: f64,
    /// Reserve of idle agents at most, as a share of those there.
    pub reserve_share: f64,
    /// Pressure from which nothing is left idle beyond what the live target wants.
    pub ease: f64,
    /// Share of the live calls that may wait too long while nothing is pressed.
    pub relaxed_missed: f64,
    /// Weight of requests not booked yet, in the plan that sets the reserve.
    pub phantom: f64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            use_safe: 0.98,
            use_calm: 0.03,
            use_expected: 0.97,
            slip: 0.2,
            far: 0.7,
            far_least: 0.0,
            far_most: 0.16,
            early: 0.92,
            unseen: 0.9,
            whole: 420,
            after_base: 180.0,
            alone: 0.6,
            after_spread: 1.3,
            before_base: 37.5,
            before_spread: 1.0,
            pressed_after: 150.0,
            pressed_before: 30.0,
            quiet: 0.5,
            critical: 225,
            jump: 10.0,
            debt: -5.0,
            indebted: 0.3,
            jump_broken: 0.0,
            jump_at: 120,
            calm: 0.8,
            spare_at_end: 4,
            live_margin: 0.009,
            reserve_share: 0.13,
            ease: 0.93,
            relaxed_missed: 0.05,
            phantom: 0.4,
        }
    }
}
