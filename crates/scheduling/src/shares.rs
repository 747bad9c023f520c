//! One limit that several keep together: how much of it each may use, so that all of them never use more.
//!
//! Each holds a part that was granted, and asks again now and then. A part grows only into what nobody else
//! holds, and shrinks only to what is in use: so the sum of all parts is never more than the limit, whoever asks
//! when and whichever answers are lost. Those who want more than there is get equal parts; what nobody wants is lent to all alike. Who can use
//! nothing for a while has no part, or what is in use and no more.

use std::cmp::Reverse;

/// What one of them may use, as far as it knows: an answer comes late, or never.
///
/// What was in use when it asked is certain to stay its own. All else may be another's before it hears of that, so
/// nothing more is taken into use from the question to the answer. Without an answer nothing else is left to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    granted: u32,
    /// What it said that it uses, while no answer has come.
    said: Option<u32>,
}

impl Holding {
    pub fn of(granted: u32) -> Holding {
        Holding {
            granted,
            said: None,
        }
    }

    /// What it may use, but for a question that is under way.
    pub fn granted(&self) -> u32 {
        self.granted
    }

    pub fn is_asking(&self) -> bool {
        self.said.is_some()
    }

    /// Whether one more may be taken into use.
    pub fn has_room(&self, used: u32) -> bool {
        self.said.is_none() && used < self.granted
    }

    /// It asks, and says that it uses so much. A question before this that is still open is not answered any more.
    pub fn ask(&mut self, used: u32) {
        self.unanswered();
        self.said = Some(used);
    }

    /// It is told. Whether that is more than it had.
    pub fn told(&mut self, granted: u32) -> bool {
        let more = granted > self.granted;
        *self = Holding::of(granted);
        more
    }

    /// No answer will come.
    pub fn unanswered(&mut self) {
        if let Some(said) = self.said.take() {
            self.granted = self.granted.min(said);
        }
    }
}

/// What one of them holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What it may use.
    pub granted: u32,
    /// What it uses and cannot give back at once.
    pub used: u32,
    /// What it would use if it could, what it uses already included.
    pub wanted: u32,
}

/// What the one at `place` in `parts` may use from now on. `parts` are in an order on which all agree.
pub fn grant(limit: u32, parts: &[Part], place: usize) -> u32 {
    let Some(mine) = parts.get(place) else {
        return 0;
    };
    let others = parts
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != place);
    let held = others.fold(0_u32, |held, (_, part)| held.saturating_add(part.granted));
    fair(limit, parts, place)
        .min(limit.saturating_sub(held))
        .max(mine.used)
}

/// What would be its part if everybody could be given theirs at once.
fn fair(limit: u32, parts: &[Part], place: usize) -> u32 {
    let mut given = vec![0_u32; parts.len()];
    let mut left = limit;
    // Who wants least is served first: what they leave is for those who want more.
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|index| (parts[*index].wanted.max(parts[*index].used), *index));
    for (served, index) in order.iter().enumerate() {
        let part = &parts[*index];
        let waiting = u32::try_from(parts.len() - served).unwrap_or(u32::MAX);
        // Rounded up, so that a limit smaller than their number still goes to somebody.
        given[*index] = part.wanted.max(part.used).min(left.div_ceil(waiting));
        left -= given[*index];
    }
    let all = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let lent = left / all;
    let odd = (left % all) as usize;
    // What cannot be divided stays with those who have more already: of a single place nobody would ever have the use
    // who does not come first, if it went back to the first whenever nobody uses it.
    let before = |other: usize| (Reverse(parts[other].granted), other);
    let ahead = (0..parts.len())
        .filter(|other| before(*other) < before(place))
        .count();
    given[place]
        .saturating_add(lent)
        .saturating_add(u32::from(ahead < odd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(granted: u32, used: u32, wanted: u32) -> Part {
        Part {
            granted,
            used,
            wanted,
        }
    }

    #[test]
    fn parts_of_a_limit() {
        type Case = (&'static str, u32, &'static [(u32, u32, u32)], usize, u32);
        let table: &[Case] = &[
            ("alone, all of it", 10, &[(0, 0, 0)], 0, 10),
            (
                "two who want nothing, half each",
                10,
                &[(0, 0, 0), (0, 0, 0)],
                1,
                5,
            ),
            (
                "the odd one is for the first",
                5,
                &[(0, 0, 0), (0, 0, 0)],
                0,
                3,
            ),
            (
                "the odd one is not for the second",
                5,
                &[(0, 0, 0), (0, 0, 0)],
                1,
                2,
            ),
            (
                "the odd one stays where it is",
                5,
                &[(2, 0, 0), (3, 0, 0)],
                1,
                3,
            ),
            (
                "and does not go to the first",
                5,
                &[(2, 0, 0), (3, 0, 0)],
                0,
                2,
            ),
            (
                "one place, used a moment ago by the second",
                1,
                &[(0, 0, 0), (1, 0, 0)],
                1,
                1,
            ),
            (
                "one place, wanted by the first now",
                1,
                &[(0, 0, 1), (1, 0, 0)],
                1,
                0,
            ),
            ("only what nobody holds", 10, &[(8, 0, 0), (0, 0, 9)], 1, 2),
            (
                "given back when another wants it",
                10,
                &[(8, 2, 2), (2, 2, 10)],
                0,
                2,
            ),
            (
                "and taken by the one who wants it",
                10,
                &[(2, 2, 2), (2, 2, 10)],
                1,
                8,
            ),
            (
                "not given back while in use",
                10,
                &[(9, 9, 9), (1, 1, 9)],
                0,
                9,
            ),
            (
                "both want all: half each",
                10,
                &[(0, 0, 50), (0, 0, 50)],
                1,
                5,
            ),
            (
                "one place for two: the first",
                1,
                &[(0, 0, 5), (0, 0, 5)],
                0,
                1,
            ),
            (
                "one place for two: not the second",
                1,
                &[(1, 0, 5), (0, 0, 5)],
                1,
                0,
            ),
            (
                "one place, and only the second wants it",
                1,
                &[(0, 0, 0), (0, 0, 1)],
                1,
                1,
            ),
            (
                "a limit that was lowered under what is in use",
                2,
                &[(4, 4, 4), (0, 0, 1)],
                1,
                0,
            ),
            ("nobody of that name", 10, &[], 0, 0),
        ];
        for (what, limit, parts, place, expected) in table {
            let parts: Vec<Part> = parts.iter().map(|(g, u, w)| part(*g, *u, *w)).collect();
            assert_eq!(grant(*limit, &parts, *place), *expected, "{what}");
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Takes so many more into use, or as many as it may.
        Begin(u32),
        /// So many are not in use any more.
        End(u32),
        /// Asks, and wants so many more than it uses. The question arrives or does not.
        Ask { more: u32, arrives: bool },
        /// Hears the answer to its last question, or hears that there will be none.
        Hear { arrives: bool },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (0_u32..40).prop_map(Step::Begin),
            2 => (0_u32..40).prop_map(Step::End),
            3 => (0_u32..40, prop::bool::weighted(0.8))
                .prop_map(|(more, arrives)| Step::Ask { more, arrives }),
            3 => prop::bool::weighted(0.8).prop_map(|arrives| Step::Hear { arrives }),
        ]
    }

    /// One of them as it sees itself.
    #[derive(Clone, Copy, Debug, Default)]
    struct One {
        holding: Holding,
        used: u32,
        /// On its way to it.
        answer: Option<u32>,
    }

    impl One {
        /// What it uses in the end if it takes all that it may without another word.
        fn may_use(&self) -> u32 {
            let (holding, mut used) = (self.holding, self.used);
            while holding.has_room(used) {
                used += 1;
            }
            used
        }

        fn hear(&mut self, arrives: bool) {
            match self.answer.take().filter(|_| arrives) {
                Some(granted) => drop(self.holding.told(granted)),
                None => self.holding.unanswered(),
            }
        }
    }

    proptest! {
        /// Whoever asks in whatever order, wanting whatever, and whatever gets lost on the way: what they use never adds
        /// up to more than the limit, and once all have asked and heard three times without a change, nothing that is wanted
        /// lies idle.
        #[test]
        fn together_never_more_than_the_limit(
            limit in 0_u32..40,
            steps in prop::collection::vec((0_usize..4, step()), 1..100),
        ) {
            let mut parts = [Part::default(); 4];
            let mut all = [One::default(); 4];
            for (who, step) in steps {
                let one = &mut all[who];
                match step {
                    Step::Begin(calls) => one.used = one.may_use().min(one.used + calls),
                    Step::End(calls) => one.used -= calls.min(one.used),
                    Step::Ask { more, arrives } => {
                        one.holding.ask(one.used);
                        one.answer = None;
                        if arrives {
                            parts[who].used = one.used;
                            parts[who].wanted = one.used + more;
                            parts[who].granted = grant(limit, &parts, who);
                            one.answer = Some(parts[who].granted);
                        }
                    }
                    Step::Hear { arrives } => one.hear(arrives),
                }
                let sum: u32 = all.iter().map(One::may_use).sum();
                prop_assert!(sum <= limit, "{all:?}");
                let sum: u32 = parts.iter().map(|part| part.granted).sum();
                prop_assert!(sum <= limit, "{parts:?}");
            }
            for _ in 0..3 {
                for (who, one) in all.iter_mut().enumerate() {
                    one.holding.ask(one.used);
                    parts[who].used = one.used;
                    parts[who].wanted = parts[who].wanted.max(one.used);
                    parts[who].granted = grant(limit, &parts, who);
                    one.answer = Some(parts[who].granted);
                    one.hear(true);
                }
            }
            let sum: u32 = all.iter().map(One::may_use).sum();
            let short = parts.iter().any(|part| part.granted < part.wanted);
            prop_assert!(!short || sum == limit, "{parts:?} of {limit}");
        }
    }
}
