//! After a start, or after the clock leapt: what became due meanwhile is dialled at a pace, not all at once.

use jiff::Timestamp;
use ringback_callbacks::wire_time::plus;
use ringback_scheduling::{Pace, PaceRate};
use std::time::Duration;

/// Nobody looked for this many of the longest sleeps: the machine slept, or its clock was set forward.
const LEAP: u32 = 4;

/// Holds the pace until a look leaves nothing over.
#[derive(Debug)]
pub struct CatchUp {
    /// `None`: a rate that makes no sense is no limit.
    rate: Option<PaceRate>,
    pace: Pace,
    over: bool,
    looked: Option<Timestamp>,
    leap: Duration,
}

impl CatchUp {
    pub fn new(per_second: u32, longest_sleep: Duration) -> CatchUp {
        CatchUp {
            rate: PaceRate::new(f64::from(per_second), per_second).ok(),
            pace: Pace::default(),
            over: false,
            looked: None,
            leap: longest_sleep * LEAP,
        }
    }

    /// How many may be taken up now.
    pub fn room(&mut self, now: Timestamp) -> usize {
        if self
            .looked
            .is_some_and(|looked| now > plus(looked, self.leap))
        {
            self.over = false;
        }
        self.looked = Some(now);
        let Some(rate) = self.rate.filter(|_| !self.over) else {
            return usize::MAX;
        };
        let mut ahead = self.pace;
        let mut room = 0;
        // No more tokens than the rate's own burst.
        while ahead.take(&rate, now).is_ok() {
            room += 1;
        }
        room
    }

    /// So many of `room` were taken up, and there may be `more` to look at. Says when there is room again, if
    /// that is what was short.
    pub fn took(
        &mut self,
        taken: usize,
        room: usize,
        more: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let rate = self.rate.filter(|_| !self.over)?;
        for _ in 0..taken {
            // There was room for each of them.
            let _ = self.pace.take(&rate, now);
        }
        if taken < room {
            self.over = !more;
            return None;
        }
        self.pace.clone().take(&rate, now).err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    #[test]
    fn a_backlog_goes_at_its_pace_and_then_freely() {
        let mut catch_up = CatchUp::new(2, Duration::from_secs(30));
        let mut waiting = 7;
        let mut now = second(0);
        let mut taken = Vec::new();
        for _ in 0..20 {
            let room = catch_up.room(now);
            let some = waiting.min(room);
            waiting -= some;
            taken.push((now.as_millisecond(), some));
            match catch_up.took(some, room, false, now) {
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
        assert_eq!(taken, expected);
        assert_eq!(catch_up.room(second(4)), usize::MAX);
    }

    #[test]
    fn a_leap_of_the_clock_begins_it_anew() {
        let mut catch_up = CatchUp::new(5, Duration::from_secs(30));
        let table = [
            (0, 5),            // after the start
            (60, usize::MAX),  // nothing was left over
            (180, usize::MAX), // a quiet time: four sleeps of thirty seconds
            (301, 5),          // more than that: nobody was there
        ];
        for (at, room) in table {
            assert_eq!(catch_up.room(second(at)), room, "at {at} s");
            catch_up.took(0, room, false, second(at));
        }
    }
}
