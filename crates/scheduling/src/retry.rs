//! When to try again after a try that did not reach anybody, by what kind of ending it had.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::duration::Span;

/// How a try ended, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Engaged: somebody is there, a few minutes help.
    Busy,
    /// It rang, and nobody answered.
    NoAnswer,
    /// A machine answered; a person may later.
    Machine,
    /// The far side asked for a later delivery, as a mail server does with a 4xx.
    Deferred,
    /// Our way out failed before anybody could be reached. Never the person's fault.
    RouteFault,
    /// Nobody can say what became of the try, for example after a crash.
    Unknown,
    /// The person refused.
    Declined,
    /// The address cannot be reached by anyone.
    Invalid,
}

/// What to do after one kind of ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRule {
    /// How long to wait before the next try.
    pub after: Span,
    /// How many further tries this kind of ending may cause; 0 means the first one is final.
    pub times: u32,
    /// With a limit, each further wait is twice the one before, up to this. Without, all are alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grows_to: Option<Span>,
}

impl RetryRule {
    pub const fn new(after: Span, times: u32) -> RetryRule {
        RetryRule {
            after,
            times,
            grows_to: None,
        }
    }

    /// No further try.
    pub const fn never() -> RetryRule {
        RetryRule::new(Span::ZERO, 0)
    }

    /// The wait after the n-th ending of this kind (counted from 1).
    fn wait(&self, tries_of_this_kind: u32) -> Span {
        let Some(limit) = self.grows_to else {
            return self.after;
        };
        let doublings = tries_of_this_kind.saturating_sub(1).min(20);
        self.after.scaled(1 << doublings).min(limit).max(self.after)
    }
}

/// The rules of one queue, a rule per kind of ending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryTable {
    /// After a busy line.
    pub busy: RetryRule,
    /// After nobody answered.
    pub no_answer: RetryRule,
    /// After a machine answered.
    pub machine: RetryRule,
    /// After the far side asked for a later delivery (a mail server's 4xx).
    pub deferred: RetryRule,
    /// After our own way out failed; not counted.
    pub route_fault: RetryRule,
    /// After a try of which nobody can say what became.
    pub unknown: RetryRule,
    /// After the person refused.
    pub declined: RetryRule,
    /// After an address that nobody can be reached at.
    pub invalid: RetryRule,
    /// The most tries that count against the person, whatever their endings.
    pub max_attempts: u32,
    /// Waits are drawn out by up to this part of themselves (0.1 = a tenth), so that people who
    /// were tried together are not all tried again at the same second.
    pub spread: f64,
}

impl Default for RetryTable {
    fn default() -> Self {
        RetryTable {
            busy: RetryRule::new(Span::from_mins(5), 3),
            no_answer: RetryRule::new(Span::from_mins(30), 3),
            machine: RetryRule::new(Span::from_mins(60), 2),
            deferred: RetryRule {
                after: Span::from_mins(15),
                times: 8,
                grows_to: Some(Span::from_hours(4)),
            },
            route_fault: RetryRule {
                after: Span::from_mins(1),
                times: 60,
                grows_to: Some(Span::from_mins(15)),
            },
            unknown: RetryRule::new(Span::from_mins(30), 1),
            declined: RetryRule::never(),
            invalid: RetryRule::never(),
            max_attempts: 6,
            spread: 0.1,
        }
    }
}

/// What follows a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    At(Timestamp),
    GiveUp(GiveUp),
}

/// Why no further try follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GiveUp {
    /// This kind of ending is final.
    Final,
    /// This kind of ending has used up its own number of further tries.
    KindExhausted,
    /// All tries together have reached the limit.
    AttemptsExhausted,
    /// The wait would end after the window does.
    WindowEnds,
}

impl GiveUp {
    /// A sentence for the record.
    pub const fn sentence(self) -> &'static str {
        match self {
            GiveUp::Final => "this ending is final",
            GiveUp::KindExhausted => "tried as often as this ending allows",
            GiveUp::AttemptsExhausted => "tried as often as allowed in all",
            GiveUp::WindowEnds => "the next try would come after the window has ended",
        }
    }
}

impl RetryTable {
    pub const fn rule(&self, kind: Kind) -> &RetryRule {
        match kind {
            Kind::Busy => &self.busy,
            Kind::NoAnswer => &self.no_answer,
            Kind::Machine => &self.machine,
            Kind::Deferred => &self.deferred,
            Kind::RouteFault => &self.route_fault,
            Kind::Unknown => &self.unknown,
            Kind::Declined => &self.declined,
            Kind::Invalid => &self.invalid,
        }
    }

    /// Whether a try that ended this way counts against the person's tries. Faults of our own way
    /// out never do.
    pub const fn counts(&self, kind: Kind) -> bool {
        match kind {
            Kind::RouteFault => false,
            Kind::Busy
            | Kind::NoAnswer
            | Kind::Machine
            | Kind::Deferred
            | Kind::Unknown
            | Kind::Declined
            | Kind::Invalid => true,
        }
    }

    /// What follows a try that ended as `kind`.
    ///
    /// `tries_of_this_kind` and `total_counted` include the try that has just ended (the latter
    /// only if its kind counts). `window_end` is the first moment at which no try may begin any
    /// more. `jitter` is a random number in `0.0..1.0`. Opening hours and other guards are not
    /// known here: they may put the next try later still.
    pub fn next_try(
        &self,
        kind: Kind,
        tries_of_this_kind: u32,
        total_counted: u32,
        now: Timestamp,
        window_end: Option<Timestamp>,
        jitter: f64,
    ) -> Retry {
        let rule = self.rule(kind);
        if rule.times == 0 {
            return Retry::GiveUp(GiveUp::Final);
        }
        if tries_of_this_kind > rule.times {
            return Retry::GiveUp(GiveUp::KindExhausted);
        }
        if total_counted >= self.max_attempts {
            return Retry::GiveUp(GiveUp::AttemptsExhausted);
        }
        let wait = rule.wait(tries_of_this_kind);
        // A time beyond the calendar can only come from a clock that is wrong, and waiting for it
        // would be waiting for ever.
        let Ok(earliest) = now.checked_add(wait.as_signed()) else {
            return Retry::GiveUp(GiveUp::WindowEnds);
        };
        let spread_out = earliest
            .checked_add(self.drawn_out(wait, jitter))
            .unwrap_or(earliest);
        let Some(end) = window_end else {
            return Retry::At(spread_out);
        };
        if earliest >= end {
            return Retry::GiveUp(GiveUp::WindowEnds);
        }
        // A try that fits must not be lost to the spreading alone.
        if spread_out >= end {
            return Retry::At(earliest);
        }
        Retry::At(spread_out)
    }

    /// Checks what serde cannot: numbers that would make a table meaningless.
    pub fn check(&self) -> Result<(), RetryTableError> {
        if !(self.spread.is_finite() && (0.0..=1.0).contains(&self.spread)) {
            return Err(RetryTableError {
                field: "spread",
                message: "must be a number from 0 to 1",
            });
        }
        if self.max_attempts == 0 || self.max_attempts > MOST_ATTEMPTS {
            return Err(RetryTableError {
                field: "max_attempts",
                message: "must be from 1 to 100",
            });
        }
        let rules = [
            ("busy", &self.busy),
            ("no_answer", &self.no_answer),
            ("machine", &self.machine),
            ("deferred", &self.deferred),
            ("route_fault", &self.route_fault),
            ("unknown", &self.unknown),
            ("declined", &self.declined),
            ("invalid", &self.invalid),
        ];
        for (field, rule) in rules {
            if rule.times > MOST_TIMES {
                return Err(RetryTableError {
                    field,
                    message: "times must be at most 1000",
                });
            }
            // Without a wait, a fault that lasts would be hammered as fast as packets go.
            if rule.times > 0 && rule.after < SHORTEST_WAIT {
                return Err(RetryTableError {
                    field,
                    message: "after must be at least 1s",
                });
            }
            if rule.grows_to.is_some_and(|limit| limit < rule.after) {
                return Err(RetryTableError {
                    field,
                    message: "grows_to must not be shorter than after",
                });
            }
        }
        Ok(())
    }

    fn drawn_out(&self, wait: Span, jitter: f64) -> jiff::SignedDuration {
        let share = |x: f64| {
            if x.is_finite() {
                x.clamp(0.0, 1.0)
            } else {
                0.0
            }
        };
        let millis = f64::from(wait.as_secs()) * 1000.0 * share(self.spread) * share(jitter);
        // Below 366 days in milliseconds, so the number fits; the cast of a float saturates.
        jiff::SignedDuration::from_millis(millis as i64)
    }
}

/// Which number of a table makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct RetryTableError {
    pub field: &'static str,
    pub message: &'static str,
}

const MOST_ATTEMPTS: u32 = 100;
const MOST_TIMES: u32 = 1000;
const SHORTEST_WAIT: Span = Span::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Kind; 8] = [
        Kind::Busy,
        Kind::NoAnswer,
        Kind::Machine,
        Kind::Deferred,
        Kind::RouteFault,
        Kind::Unknown,
        Kind::Declined,
        Kind::Invalid,
    ];

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_table() {
        let now = at("2026-03-09T14:00:00Z");
        let in_minutes = |m: i64| Retry::At(now + jiff::SignedDuration::from_mins(m));
        let give_up = Retry::GiveUp;
        // kind, tries of the kind, tries in all, what follows
        let cases = [
            (Kind::Busy, 1, 1, in_minutes(5)),
            (Kind::Busy, 3, 3, in_minutes(5)),
            (Kind::Busy, 4, 4, give_up(GiveUp::KindExhausted)),
            (Kind::NoAnswer, 1, 1, in_minutes(30)),
            (Kind::NoAnswer, 3, 5, in_minutes(30)),
            (Kind::NoAnswer, 3, 6, give_up(GiveUp::AttemptsExhausted)),
            (Kind::NoAnswer, 4, 4, give_up(GiveUp::KindExhausted)),
            (Kind::Machine, 2, 2, in_minutes(60)),
            (Kind::Machine, 3, 3, give_up(GiveUp::KindExhausted)),
            (Kind::Deferred, 1, 1, in_minutes(15)),
            (Kind::Deferred, 4, 4, in_minutes(120)),
            (Kind::Deferred, 5, 5, in_minutes(240)),
            (Kind::RouteFault, 1, 0, in_minutes(1)),
            (Kind::RouteFault, 2, 0, in_minutes(2)),
            (Kind::RouteFault, 5, 0, in_minutes(15)),
            (Kind::RouteFault, 60, 0, in_minutes(15)),
            (Kind::RouteFault, 61, 0, give_up(GiveUp::KindExhausted)),
            (Kind::Unknown, 1, 1, in_minutes(30)),
            (Kind::Unknown, 2, 2, give_up(GiveUp::KindExhausted)),
            (Kind::Declined, 1, 1, give_up(GiveUp::Final)),
            (Kind::Invalid, 1, 1, give_up(GiveUp::Final)),
        ];
        for (kind, of_kind, in_all, expected) in cases {
            let table = RetryTable::default();
            assert_eq!(
                table.next_try(kind, of_kind, in_all, now, None, 0.0),
                expected,
                "{kind:?} {of_kind} {in_all}"
            );
        }
    }

    #[test]
    fn the_window_is_kept() {
        let table = RetryTable::default();
        let now = at("2026-03-09T14:00:00Z");
        let follow =
            |end: &str, jitter| table.next_try(Kind::Busy, 1, 1, now, Some(at(end)), jitter);
        assert_eq!(
            follow("2026-03-09T14:05:00Z", 0.0),
            Retry::GiveUp(GiveUp::WindowEnds)
        );
        assert_eq!(
            follow("2026-03-09T14:05:01Z", 0.0),
            Retry::At(at("2026-03-09T14:05:00Z"))
        );
        // Spread to 14:05:27 it would be too late; unspread it fits.
        assert_eq!(
            follow("2026-03-09T14:05:10Z", 0.9),
            Retry::At(at("2026-03-09T14:05:00Z"))
        );
        assert_eq!(
            follow("2026-03-09T15:00:00Z", 0.9),
            Retry::At(at("2026-03-09T14:05:27Z"))
        );
    }

    #[test]
    fn only_route_faults_do_not_count() {
        let table = RetryTable::default();
        for kind in KINDS {
            assert_eq!(table.counts(kind), kind != Kind::RouteFault, "{kind:?}");
        }
    }

    #[test]
    fn a_table_is_read_field_by_field() {
        let table: RetryTable =
            serde_json::from_str(r#"{"busy":{"after":"90s","times":2},"max_attempts":3}"#).unwrap();
        assert_eq!(table.busy, RetryRule::new(Span::from_secs(90), 2));
        assert_eq!(table.no_answer, RetryTable::default().no_answer);
        assert_eq!(table.check(), Ok(()));
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<RetryTable>(&json).unwrap(), table);

        assert!(serde_json::from_str::<RetryTable>(r#"{"bussy":{}}"#).is_err());
        assert!(
            serde_json::from_str::<RetryTable>(r#"{"busy":{"after":"5m","times":1,"x":1}}"#)
                .is_err()
        );
    }

    #[test]
    fn senseless_numbers_are_named() {
        type Spoil = fn(&mut RetryTable);
        let cases: [(&str, Spoil); 6] = [
            ("spread", |t| t.spread = f64::NAN),
            ("spread", |t| t.spread = 1.1),
            ("max_attempts", |t| t.max_attempts = 0),
            ("route_fault", |t| t.route_fault.after = Span::ZERO),
            ("machine", |t| t.machine.times = 1001),
            ("deferred", |t| {
                t.deferred.grows_to = Some(Span::from_secs(1))
            }),
        ];
        for (field, spoil) in cases {
            let mut table = RetryTable::default();
            spoil(&mut table);
            assert_eq!(table.check().unwrap_err().field, field);
        }
        assert_eq!(RetryTable::default().check(), Ok(()));
    }

    proptest! {
        #[test]
        fn a_try_is_never_early_never_late_and_never_one_too_many(
            kind in 0..KINDS.len(), of_kind in 1..100u32, in_all in 0..20u32,
            now in -1_000_000_000i64..4_000_000_000, window in proptest::option::of(-100i64..1_000_000),
            jitter in proptest::num::f64::ANY,
        ) {
            let table = RetryTable::default();
            let kind = KINDS[kind];
            let now = Timestamp::from_second(now).unwrap();
            let end = window.map(|s| now + jiff::SignedDuration::from_secs(s));
            match table.next_try(kind, of_kind, in_all, now, end, jitter) {
                Retry::At(when) => {
                    prop_assert!(when >= now + table.rule(kind).after.as_signed());
                    prop_assert!(end.is_none_or(|end| when < end));
                    prop_assert!(of_kind <= table.rule(kind).times);
                    prop_assert!(in_all < table.max_attempts);
                }
                Retry::GiveUp(_) => {}
            }
        }

        #[test]
        fn the_ends_of_the_calendar_do_not_panic(kind in 0..KINDS.len()) {
            for now in [Timestamp::MIN, Timestamp::MAX] {
                let _ = RetryTable::default().next_try(KINDS[kind], 1, 0, now, Some(now), 1.0);
            }
        }
    }
}
