//! Tables for the planner's single decisions; whole days are judged in the simulator's tests.

use super::*;

const NINE: Second = 1_772_442_000;

fn rules(agents: f64, live: Option<LiveRules>) -> Rules {
    Rules {
        open: vec![(NINE, NINE + 10 * 3600)],
        staff: Steps::new(vec![(NINE, agents)]),
        live,
        talk: 240.0,
        wrap: 30.0,
        ring: RingTimes::default(),
        phone: Phone::with_shares([0.72, 0.10, 0.05, 0.13]),
        max_attempts: 4,
        min_gap: 120,
        attention: 1800,
        notice: 60,
    }
}

fn live() -> LiveRules {
    LiveRules {
        forecast: Steps::new(vec![(NINE, 100.0)]),
        handling: 285.0,
        target: 0.8,
        within: 20,
        abandon: 0.05,
    }
}

fn ask(now: Second, from: Second, to: Second) -> Ask {
    Ask {
        booked_at: now,
        window: (from, to),
        dialable: vec![(NINE, NINE + 10 * 3600)],
        asap: false,
    }
}

#[test]
fn the_reserve_falls_with_what_may_be_missed_and_with_the_size_of_the_centre() {
    // Twenty agents, calls of 285 s, a live call every 32 s: one idle agent keeps four of five calls.
    let one = reserve(0.2, 20.0, 285.0, 0.0316, 20.0);
    assert!((0.9..1.3).contains(&one), "{one}");
    let rows = [0.02, 0.05, 0.1, 0.2, 0.4, 0.9];
    let kept: Vec<f64> = rows
        .iter()
        .map(|missed| reserve(*missed, 20.0, 285.0, 0.0316, 20.0))
        .collect();
    assert!(kept.windows(2).all(|pair| pair[0] >= pair[1]), "{kept:?}");
    assert_eq!(kept[5], 0.0);
    // In a large centre somebody comes free every other second: nobody need be idle for it.
    assert_eq!(reserve(0.2, 150.0, 285.0, 0.237, 20.0), 0.0);
    assert_eq!(reserve(0.2, 0.0, 285.0, 0.1, 20.0), 0.0);
    assert_eq!(reserve(0.2, 5.0, 285.0, 0.0, 20.0), 0.0);
    // Idle in the mean: never more than the reserve, nothing without one.
    assert_eq!(idle(0.0, 20.0, 285.0, 0.0316), 0.0);
    let mean = idle(1.0, 20.0, 285.0, 0.0316);
    assert!((0.4..0.7).contains(&mean), "{mean}");
}

#[test]
fn the_budget_is_spent_and_saved_over_the_day() {
    let rules = rules(20.0, Some(live()));
    let mut calm = Live::default();
    let mut rough = Live::default();
    for call in 0..300 {
        calm.arrived(NINE + call * 36);
        rough.arrived(NINE + call * 36);
        calm.answered(3, &rules);
        rough.answered(if call % 2 == 0 { 3 } else { 60 }, &rules);
    }
    let now = NINE + 3 * 3600;
    let saved = calm.budget(now, &rules, 0.0);
    let owed = rough.budget(now, &rules, 0.0);
    assert!(saved.surplus > 50.0 && saved.allowance > 0.2, "{saved:?}");
    assert!(owed.surplus < 0.0 && owed.allowance < 0.1, "{owed:?}");
    // A centre without live calls owes nobody anything.
    let none = super::tests::rules(20.0, None);
    assert_eq!(Live::default().budget(now, &none, 0.0).allowance, 1.0);
}

#[test]
fn tries_are_placed_by_what_the_last_one_met_and_the_last_at_the_end() {
    let rules = rules(10.0, None);
    let reach = Reach::new(&rules.phone, 121);
    let (start, end) = (NINE + 3600, NINE + 7200);
    let wish = ask(NINE, start, end);
    let again = |tries, now, ended| retry(&reach, &wish, tries, now, ended, &rules);
    // A line that is busy is free sooner than somebody who went out is back.
    let busy = again(1, start + 10, Ended::Busy).expect("three left");
    let away = again(1, start + 10, Ended::NoAnswer).expect("three left");
    assert!(busy.due < away.due && busy.due > start + 10 + 120);
    // The network's fault: at once, as soon as the rules allow.
    let failed = again(1, start + 10, Ended::Failed).expect("three left");
    assert_eq!(failed.due, start + 10 + 121);
    // One left: at the very end of the window.
    let last = again(3, start + 1800, Ended::NoAnswer).expect("one left");
    assert!(last.at_end && last.told.1 == end && last.due < end);
    for (tries, now, ended) in [
        (4, start + 10, Ended::NoAnswer),
        (1, start + 10, Ended::Invalid),
        (1, start + 10, Ended::Answered),
        (1, end - 60, Ended::NoAnswer),
    ] {
        assert_eq!(again(tries, now, ended), None, "{tries} {now} {ended:?}");
    }
    // Told with notice, inside the window, and the chance grows with time and tries.
    for tries in 1..4 {
        for minute in 0..55 {
            let now = start + minute * 60;
            if let Some(next) = again(tries, now, Ended::NoAnswer) {
                assert!(next.told.0 >= now + 60 && next.told.1 <= end && next.due >= next.told.0);
            }
        }
    }
    assert!(reach.chance(Ended::NoAnswer, 3, 3600) > reach.chance(Ended::NoAnswer, 1, 3600));
    assert!(reach.chance(Ended::NoAnswer, 2, 3600) > reach.chance(Ended::NoAnswer, 2, 900));
}

#[test]
fn a_full_window_is_refused_and_another_is_not() {
    let mut desk = Desk::new(rules(1.0, None), Tuning::default());
    let window = (NINE + 3600, NINE + 4500);
    let mut taken = 0;
    for id in 0..12_u32 {
        match desk.book(NINE, id, ask(NINE, window.0, window.1)) {
            Answer::Promised(promise) => {
                assert!(window.0 <= promise.0 && promise.0 <= promise.1 && promise.1 <= window.1);
                taken += 1;
            }
            Answer::Full => break,
            Answer::Never => panic!("the queue is open then"),
        }
    }
    // One agent begins three or four calls of five minutes in a quarter of an hour.
    assert!((2..=5).contains(&taken), "{taken}");
    let later = ask(NINE, NINE + 3 * 3600, NINE + 4 * 3600);
    assert!(matches!(desk.answer(NINE, &later), Answer::Promised(_)));
    let closed = ask(NINE, NINE + 11 * 3600, NINE + 12 * 3600);
    assert_eq!(desk.answer(NINE, &closed), Answer::Never);
}

#[test]
fn a_booking_for_tomorrow_is_as_good_as_one_for_today() {
    for ahead in [0, 4 * 3600, 12 * 3600, 36 * 3600] {
        let desk: Desk<u32> = Desk::new(rules(4.0, None), Tuning::default());
        let now = NINE - ahead;
        let wish = ask(now, NINE + 5 * 3600, NINE + 6 * 3600);
        let Answer::Promised(promise) = desk.answer(now, &wish) else {
            panic!("{ahead} s ahead");
        };
        assert_eq!(promise.0, NINE + 5 * 3600);
    }
}

#[test]
fn nobody_is_dialled_before_the_promise_nor_while_live_calls_wait() {
    let mut desk = Desk::new(rules(14.0, Some(live())), Tuning::default());
    desk.staff(NINE, 14);
    let Answer::Promised(promise) = desk.book(NINE, 1_u32, ask(NINE, NINE + 3600, NINE + 7200))
    else {
        panic!("room");
    };
    let view = |idle, queue| View {
        idle,
        agents: 14,
        queue,
        oldest_live: None,
    };
    assert!(desk.dispatch(promise.0 - 1, view(4, 0)).dial.is_empty());
    // The live calls' budget is spent: they go first.
    let mut owing = desk.clone();
    for call in 0..200 {
        owing.live_arrived(NINE + call * 10);
        owing.live_answered(90);
    }
    assert!(owing.dispatch(promise.0, view(4, 2)).dial.is_empty());
    assert!(desk.dispatch(promise.0, view(0, 0)).dial.is_empty());
    assert_eq!(desk.dispatch(promise.0, view(4, 0)).dial, [1]);
    // Dialled once: not again before its result is known.
    assert!(desk.dispatch(promise.0 + 1, view(3, 0)).dial.is_empty());
}

mod forward {
    //! Moving forward in time never resurrects: what is over stays over.

    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// A desk of three agents; the tables of tries are worked out once for all cases.
    static DESK: LazyLock<Desk<u32>> =
        LazyLock::new(|| Desk::new(rules(3.0, None), Tuning::default()));

    proptest! {
        #[test]
        fn a_window_that_is_over_stays_over(
            from in 0_i64..36_000,
            length in 60_i64..20_000,
            cuts in prop::collection::vec((0_i64..40_000, 1_i64..9_000), 0..4),
            steps in prop::collection::vec(1_i64..4_000, 1..24),
        ) {
            let mut dialable: Vec<Interval> = cuts
                .iter()
                .map(|(start, long)| (NINE + start, NINE + start + long))
                .collect();
            dialable.sort_unstable();
            dialable.dedup_by(|next, last| next.0 <= last.1);
            let wish = Ask {
                booked_at: NINE,
                window: (NINE + from, NINE + from + length),
                dialable,
                asap: false,
            };
            let desk = &*DESK;
            let mut now = NINE;
            let mut first = NINE;
            let mut over = false;
            for step in steps {
                let answer = desk.answer(now, &wish);
                match wish.first(now) {
                    Some(moment) => {
                        prop_assert!(moment >= now && moment >= first, "the first moment went back");
                        first = moment;
                    }
                    None => prop_assert_eq!(answer, Answer::Never),
                }
                if let Answer::Promised((from, to)) = answer {
                    prop_assert!(!over, "promised again after it was over");
                    prop_assert!(from >= now && to >= from);
                    prop_assert!(from >= wish.window.0 && to <= wish.window.1);
                    prop_assert!(wish.may_dial(from), "the promise begins where nobody may be dialled");
                }
                over |= answer == Answer::Never;
                now += step;
            }
        }

        #[test]
        fn nothing_is_dialled_after_its_window(
            windows in prop::collection::vec((0_i64..30_000, 600_i64..9_000), 1..12),
            steps in prop::collection::vec(1_i64..2_000, 1..60),
        ) {
            let mut desk = DESK.clone();
            let mut ends = Vec::new();
            for (id, (from, length)) in windows.iter().enumerate() {
                let wish = ask(NINE, NINE + from, NINE + from + length);
                ends.push(wish.window);
                desk.book(NINE, id as u32, wish);
            }
            let mut now = NINE;
            for step in steps {
                let view = View { idle: 3, agents: 3, queue: 0, oldest_live: None };
                for id in desk.dispatch(now, view).dial {
                    let (start, end) = ends[id as usize];
                    prop_assert!(start <= now && now <= end, "{} at {}", id, now);
                    desk.result(now + 30, id, Ended::NoAnswer);
                }
                now += step;
            }
        }
    }
}
