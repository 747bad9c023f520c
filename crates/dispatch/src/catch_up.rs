//! After a start, or after the clock leapt: what became due meanwhile is dialled at a pace, not all at once.

use jiff::Timestamp;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::wire_time::plus;
use ringback_scheduling::{Pace, PaceRate};
use std::collections::BTreeSet;
use std::time::Duration;

/// Nobody looked for this many of the longest sleeps: the machine slept, its clock was set forward, or the store could
/// not be asked.
const LEAP: u32 = 4;

/// A callback that was taken up.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    id: InteractionId,
    /// When its promise begins: not before that could it be dialled.
    not_before: Timestamp,
}

impl Taken {
    pub fn of(callback: &Callback) -> Taken {
        Taken {
            id: callback.interaction.id,
            not_before: callback.promise.from,
        }
    }
}

/// Holds the pace until what was waiting at the start has been taken up. What comes due later uses none of it: a server
/// that starts in the busiest hour is not held to the pace for as long as that hour lasts.
#[derive(Debug)]
pub struct CatchUp {
    /// `None`: a rate that makes no sense is no limit.
    rate: Option<PaceRate>,
    pace: Pace,
    /// What came due before this moment is the backlog; `None`: it is done.
    backlog_until: Option<Timestamp>,
    /// Those of the backlog that were taken up, at the pace and so never very many. Each counts once: what comes back
    /// because nobody wanted it or no route had room is not held up again, and a backlog has an end.
    counted: BTreeSet<InteractionId>,
    looked: Option<Timestamp>,
    leap: Duration,
}

impl CatchUp {
    pub fn new(per_second: u32, longest_sleep: Duration) -> CatchUp {
        CatchUp {
            rate: PaceRate::new(f64::from(per_second), per_second).ok(),
            pace: Pace::default(),
            backlog_until: None,
            counted: BTreeSet::new(),
            looked: None,
            leap: longest_sleep * LEAP,
        }
    }

    /// How many may be taken up now.
    pub fn room(&mut self, now: Timestamp) -> usize {
        let absent = self
            .looked
            .is_none_or(|looked| now > plus(looked, self.leap));
        let set_back = self.looked.is_some_and(|looked| now < looked);
        self.looked = Some(now);
        if absent {
            self.backlog_until = Some(now);
            self.counted.clear();
        }
        let (Some(rate), Some(until)) = (self.rate, self.backlog_until) else {
            return usize::MAX;
        };
        if set_back {
            // It must neither make a backlog of what comes due from now on, nor be waited for until it shows again what
            // it has shown before.
            self.backlog_until = Some(until.min(now));
            self.pace = Pace::emptied(&rate, now);
        }
        let mut ahead = self.pace;
        let mut room = 0;
        // No more tokens than the rate's own burst.
        while ahead.take(&rate, now).is_ok() {
            room += 1;
        }
        room
    }

    /// These were taken up where there was `room`, and there may be `more` to look at. Says when there is room again,
    /// if that is what was short.
    pub fn took(
        &mut self,
        taken: &[Taken],
        room: usize,
        more: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let (rate, until) = (self.rate?, self.backlog_until?);
        for one in taken {
            if one.not_before < until && self.counted.insert(one.id) {
                // There was room for each of them.
                let _ = self.pace.take(&rate, now);
            }
        }
        if taken.len() < room {
            if !more {
                self.backlog_until = None;
                self.counted.clear();
            }
            return None;
        }
        self.pace.clone().take(&rate, now).err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use uuid::Uuid;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    fn taken(id: u128, not_before: i64) -> Taken {
        Taken {
            id: InteractionId(Uuid::from_u128(id)),
            not_before: second(not_before),
        }
    }

    /// So many that came due before anybody looked.
    fn backlog(count: u128) -> Vec<Taken> {
        (0..count).map(|id| taken(id, -60)).collect()
    }

    #[test]
    fn a_backlog_goes_at_its_pace_and_then_freely() {
        let mut catch_up = CatchUp::new(2, Duration::from_secs(30));
        let mut waiting = backlog(7);
        let mut now = second(0);
        let mut steps = Vec::new();
        for _ in 0..20 {
            let room = catch_up.room(now);
            let some = waiting.split_off(waiting.len() - waiting.len().min(room));
            steps.push((now.as_millisecond(), some.len()));
            match catch_up.took(&some, room, false, now) {
                Some(again) => now = again,
                None => break,
            }
        }
        // Two at once, then one each half second, until a look finds less than there is room for.
        let expected = [
            (0, 2),
            (500, 1),
            (1000, 1),
            (1500, 1),
            (2000, 1),
            (2500, 1),
            (3000, 0),
        ];
        assert_eq!(steps, expected);
        assert_eq!(catch_up.room(second(4)), usize::MAX);
    }

    /// More comes due than the pace allows, and is served in its turn: old and new in any order.
    #[test]
    fn what_comes_due_after_the_start_is_not_held_to_the_pace() {
        // What waits at the start (`true`: since before it), what comes due in each second, and in which second the
        // pace ends: two of the old ones in each, whatever stands between them.
        let table: &[(&str, &[bool], u128, i64)] = &[
            ("nothing waits", &[], 9, 0),
            ("only old ones", &[true, true, true, true, true], 9, 2),
            ("as many as the pace allows", &[true, true], 9, 1),
            ("new ones in front", &[false, false, false, true], 9, 0),
            (
                "new ones between",
                &[true, false, true, false, true, false, true, false],
                9,
                2,
            ),
            ("old ones behind", &[true, false, false, true, true], 0, 1),
        ];
        for (what, at_start, each_second, ends) in table {
            let mut catch_up = CatchUp::new(2, Duration::from_secs(30));
            let first = at_start.iter().enumerate();
            let mut line: VecDeque<Taken> = first
                .map(|(id, old)| taken(id as u128, if *old { -60 } else { 0 }))
                .collect();
            let mut ended = None;
            for n in 0..10 {
                let now = second(n);
                line.extend((0..*each_second).map(|id| taken(1000 * (n as u128 + 1) + id, n)));
                loop {
                    let room = catch_up.room(now);
                    if room == usize::MAX {
                        ended = ended.or(Some(n));
                    }
                    let some: Vec<Taken> = line.drain(..line.len().min(room)).collect();
                    let paced = catch_up.took(&some, room, false, now);
                    if paced.is_some() || some.len() < room {
                        break;
                    }
                }
                if line.is_empty() && ended.is_none() && catch_up.room(now) == usize::MAX {
                    ended = Some(n);
                }
            }
            assert_eq!(ended, Some(*ends), "{what}");
            assert!(line.is_empty(), "{what}: left over");
        }
    }

    #[test]
    fn one_that_comes_back_does_not_hold_up_the_others_again() {
        let mut catch_up = CatchUp::new(2, Duration::from_secs(30));
        let (one, two) = (taken(1, -60), taken(2, -60));
        assert_eq!(catch_up.room(second(0)), 2);
        // No route had room for them, twice; the third of the backlog finds the pace as two have left it.
        for now in 0..2 {
            catch_up.took(&[one, two], 2, false, second(now));
        }
        assert_eq!(catch_up.room(second(1)), 2);
        catch_up.took(&[taken(3, -60)], 1, false, second(1));
        assert_eq!(catch_up.room(second(1)), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_backlog() {
        let mut catch_up = CatchUp::new(2, Duration::from_secs(30));
        assert_eq!(catch_up.room(second(3600)), 2);
        catch_up.took(&backlog(2), 2, false, second(3600));
        assert_eq!(catch_up.room(second(10)), 0);
        // What comes due at the hour that is shown now is new, although the start was at a later one.
        assert_eq!(catch_up.room(second(12)), 2);
        catch_up.took(&[taken(8, 11), taken(9, 12)], 2, false, second(12));
        assert_eq!(catch_up.room(second(12)), 2);
    }

    #[test]
    fn a_leap_of_the_clock_begins_it_anew() {
        let mut catch_up = CatchUp::new(5, Duration::from_secs(30));
        let table = [
            (0, 5),            // after the start
            (60, usize::MAX),  // nothing was left over
            (180, usize::MAX), // a quiet time: four sleeps of thirty seconds
            (301, 5),          // more than that: nobody was there
            (302, usize::MAX), // and it ends like the first
        ];
        for (at, room) in table {
            assert_eq!(catch_up.room(second(at)), room, "at {at} s");
            catch_up.took(&[], room, false, second(at));
        }
    }
}
