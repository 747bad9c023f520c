//! The simulator itself: the same seed gives the same day, more agents keep more, every request ends once, and no
//! agent is ever in two calls.

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use ringback_scheduling::Zone;
use ringback_scheduling::plan::Tuning;
use ringback_simulate::generate::{GenerateError, generate};
use ringback_simulate::habits::Habits;
use ringback_simulate::planned::PlannedServer;
use ringback_simulate::scenario::{Happening, Kind, Phone, Request};
use ringback_simulate::whatif::{Change, Outlook, Staff};
use ringback_simulate::world::Decision;
use ringback_simulate::{Answer, Day, Header, Outcome, Scenario, Server, View, Windows, measure};
use support::{OPENS, day, header, planned, recipe};

#[test]
fn the_same_seed_gives_the_same_day() {
    let (one, same, other) = (day(4, 6, 0.9, 7), day(4, 6, 0.9, 7), day(4, 6, 0.9, 8));
    assert_eq!(one.happenings, same.happenings);
    assert_ne!(one.happenings, other.happenings);
    let (lived, again) = (planned(&one), planned(&same));
    assert!(lived.decisions.len() > 50, "{}", lived.decisions.len());
    assert_eq!(lived.decisions, again.decisions);
    assert_eq!(measure(&one, &lived), measure(&same, &again));
    assert_ne!(lived.decisions, planned(&other).decisions);
}

#[test]
fn one_request_more_shifts_nobody_elses_luck() {
    let (few, many) = (day(4, 6, 0.7, 3), day(4, 6, 1.0, 3));
    assert!(many.bookings.len() > few.bookings.len());
    let by_id: HashMap<_, _> = many
        .bookings
        .iter()
        .map(|b| (b.request.id.clone(), b))
        .collect();
    for booking in &few.bookings {
        let other = by_id[&booking.request.id];
        assert_eq!(booking.request.at, other.request.at);
        assert_eq!(booking.truth.states, other.truth.states);
        assert_eq!(booking.truth.talk, other.truth.talk);
    }
}

#[test]
fn the_truth_about_windows_is_what_a_server_works_out_by_itself() {
    // A day on which the clocks are put back, and customers who live half an hour beside the hour.
    let new_york = Zone::parse("America/New_York").unwrap();
    let midnight = 1_793_505_600;
    let header = Header {
        date: jiff::civil::date(2026, 11, 1),
        tz: new_york.clone(),
        t1: midnight + 29 * 3600,
        open: vec![
            (midnight, midnight + 9 * 3600),
            (midnight + 10 * 3600, midnight + 25 * 3600),
        ],
        agents_plan: vec![(midnight, 4), (midnight + 8 * 3600, 8)],
        inbound_forecast: vec![(midnight, 20.0)],
        ..header(8, 10)
    };
    let mut recipe = recipe(header, 0.9);
    recipe.zones = vec![(new_york, 0.7), (Zone::parse("Asia/Kolkata").unwrap(), 0.3)];
    let scenario = generate(&recipe, 5).unwrap();
    assert!(scenario.bookings.len() > 100);
    let mut windows = Windows::new(&scenario.header).unwrap();
    let zones: HashSet<String> = scenario
        .bookings
        .iter()
        .map(|booking| booking.request.tz.to_string())
        .collect();
    assert_eq!(zones.len(), 2);
    for booking in &scenario.bookings {
        let resolved = windows.of(&booking.request).unwrap();
        let truth = &booking.truth;
        assert_eq!((resolved.start, resolved.end), (truth.start, truth.end));
        assert_eq!(resolved.dialable, truth.dialable);
        assert!(booking.request.at <= truth.start.max(booking.request.at));
        // The phone is known from the booking to long after the window, without gaps.
        let states = &truth.states;
        assert!(states[0].0 <= booking.request.at && states[states.len() - 1].1 > truth.end);
        assert!(
            states.windows(2).all(|pair| pair[0].1 == pair[1].0),
            "{states:?}"
        );
    }
    assert_eq!(planned(&scenario).violations, []);
}

#[test]
fn phones_are_answered_as_often_as_the_habits_say() {
    let header = header(40, 12);
    let habits = Habits::usual(&header);
    let scenario = day(40, 12, 1.2, 1);
    let (mut answer, mut all) = (0, 0);
    for booking in &scenario.bookings {
        let truth = &booking.truth;
        // In the middle of the windows of those who asked for one.
        if booking.request.local_start.is_none() || truth.states[0].2 == Phone::Invalid {
            continue;
        }
        let middle = (truth.start + truth.end) / 2;
        let state = truth.states.iter().find(|s| s.0 <= middle && middle < s.1);
        all += 1;
        answer += usize::from(state.is_some_and(|state| state.2 == Phone::Answer));
    }
    assert!(all > 500, "{all}");
    let share = answer as f64 / all as f64;
    let expected = habits.phone.shares[0];
    // Phones take time to change, so short windows still show some of what was before them.
    assert!(
        (expected - 0.12..expected + 0.05).contains(&share),
        "{share}"
    );
}

#[test]
fn recipes_of_which_no_day_can_be_made_are_refused_with_the_field() {
    type Bend = fn(&mut Header) -> f64;
    let table: [(&str, Bend, &str); 4] = [
        (
            "closed",
            |h| {
                h.open.clear();
                0.9
            },
            "open: ",
        ),
        (
            "nobody",
            |h| {
                h.agents_plan = vec![(OPENS, 0)];
                0.9
            },
            "agents_plan: ",
        ),
        ("not a number", |_| f64::NAN, "load: "),
        (
            "live calls alone",
            |h| {
                h.inbound_forecast[0].1 = 1000.0;
                0.9
            },
            "load: the live calls alone",
        ),
    ];
    for (case, bend, expected) in table {
        let mut header = header(4, 6);
        let load = bend(&mut header);
        let error: GenerateError = generate(&recipe(header, load), 1).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{case}: {error}");
    }
}

/// Means over seeds of a day with so many agents.
fn kept_with(agents: u32) -> Outlook {
    let mut lived = Vec::new();
    for seed in 1..=6 {
        let scenario = day(5, 8, 1.1, seed);
        let habits = Habits::usual(&scenario.header);
        let change = Change {
            staff: Some(Staff::Flat(agents)),
            demand: None,
        };
        let changed = change.apply(&scenario, &habits, seed).unwrap();
        let figures = measure(&changed, &planned(&changed));
        assert_eq!(
            figures.violations, 0,
            "seed {seed}: {:?}",
            figures.rules_broken
        );
        lived.push((changed, figures));
    }
    Outlook::of(&lived)
}

#[test]
fn more_agents_do_not_keep_less() {
    let ladder: Vec<Outlook> = [3, 4, 5, 7, 10].into_iter().map(kept_with).collect();
    for pair in ladder.windows(2) {
        assert!(pair[1].kept >= pair[0].kept, "{ladder:#?}");
        assert!(pair[1].declined <= pair[0].declined, "{ladder:#?}");
    }
    let (few, many) = (&ladder[0], &ladder[4]);
    assert!(many.kept > few.kept + 0.2, "{ladder:#?}");
    assert_eq!(few.requests, many.requests, "the same customers ask");
}

#[test]
fn demand_adds_and_takes_away_requests_and_nothing_else() {
    let scenario = day(5, 8, 0.9, 2);
    let habits = Habits::usual(&scenario.header);
    let with = |demand| {
        let change = Change {
            staff: None,
            demand: Some(demand),
        };
        change.apply(&scenario, &habits, 2).unwrap()
    };
    let count = scenario.bookings.len() as f64;
    for (factor, low, high) in [
        (0.5, 0.4, 0.6),
        (1.0, 1.0, 1.0),
        (1.2, 1.1, 1.3),
        (2.0, 1.9, 2.0),
    ] {
        let changed = with(factor);
        let times = changed.bookings.len() as f64 / count;
        assert!((low..=high).contains(&times), "{factor}: {times}");
        assert_eq!(changed.calls.len(), scenario.calls.len());
        assert_eq!(staff(&changed, OPENS), staff(&scenario, OPENS));
        assert_eq!(planned(&changed).violations, []);
    }
    assert_eq!(with(1.0).happenings, scenario.happenings);
}

/// Agents on shift at a moment.
fn staff(scenario: &Scenario, at: i64) -> u32 {
    let mut there = 0;
    for (from, happening) in &scenario.happenings {
        if let Happening::Agents(n) = happening
            && *from <= at
        {
            there = *n;
        }
    }
    there
}

/// How a request ended, read from the record of decisions alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Declined,
    Merged,
    Connected,
    Cancelled,
    Unreached,
}

/// Every request ends once and in one way; whatever is amiss panics.
fn ends(scenario: &Scenario, day: &Day) -> BTreeMap<End, usize> {
    let mut answers: HashMap<&str, &str> = HashMap::new();
    let mut dials: HashMap<&str, Vec<(i64, u32, Outcome)>> = HashMap::new();
    for decision in &day.decisions {
        match decision {
            Decision::Promise { id, status, at, .. } => {
                let first = answers.insert(id, status).is_none();
                assert!(
                    first || *status == "accepted",
                    "{id} answered twice at {at}"
                );
            }
            Decision::Attempt {
                id, at, n, result, ..
            } => {
                dials.entry(id).or_default().push((*at, *n, *result));
            }
        }
    }
    let mut ends = BTreeMap::new();
    for booking in &scenario.bookings {
        let id = &*booking.request.id;
        let dials = dials.remove(id).unwrap_or_default();
        let accepted = answers.remove(id).expect("every booking is answered") == "accepted";
        assert!(
            accepted || dials.is_empty(),
            "{id} was dialled without a promise"
        );
        let numbers: Vec<u32> = dials.iter().map(|dial| dial.1).collect();
        let expected: Vec<u32> = (1..=dials.len() as u32).collect();
        assert_eq!(numbers, expected, "{id}");
        assert!(dials.len() <= scenario.header.max_attempts as usize, "{id}");
        let connections = dials.iter().filter(|d| d.2 == Outcome::Answered).count();
        assert!(connections <= 1, "{id} was connected twice");
        if connections == 1 {
            assert_eq!(dials.last().map(|d| d.2), Some(Outcome::Answered), "{id}");
        }
        let cancelled = booking.cancel.filter(|at| {
            // Whoever was connected before has nothing to take back.
            !dials
                .iter()
                .any(|d| d.2 == Outcome::Answered && d.0 + 14 <= *at)
        });
        if let Some(at) = cancelled {
            assert!(
                dials.iter().all(|dial| dial.0 <= at),
                "{id} dialled after the end"
            );
        }
        let place = scenario
            .bookings
            .iter()
            .position(|b| b.request.id == booking.request.id);
        let merged = place.is_some_and(|place| day.requests[place].answer == Some(Answer::Merged));
        let end = match (merged, accepted) {
            (true, _) => End::Merged,
            (_, false) => End::Declined,
            (_, true) if connections == 1 => End::Connected,
            (_, true) if cancelled.is_some() => End::Cancelled,
            (_, true) => End::Unreached,
        };
        *ends.entry(end).or_insert(0) += 1;
    }
    assert!(
        answers.is_empty() && dials.is_empty(),
        "somebody nobody knows"
    );
    ends
}

/// No agent in two calls, none in a call that began off shift, and never more calls than agents.
fn agents_are_one_person_each(scenario: &Scenario, day: &Day) {
    let mut by_agent: HashMap<usize, Vec<(i64, i64)>> = HashMap::new();
    for busy in &day.busy {
        assert!(busy.from < busy.to, "{busy:?}");
        let there = staff(scenario, busy.from) as usize;
        assert!(busy.agent < there, "{busy:?} but {there} are there");
        by_agent
            .entry(busy.agent)
            .or_default()
            .push((busy.from, busy.to));
    }
    for (agent, mut calls) in by_agent {
        calls.sort_unstable();
        for pair in calls.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "agent {agent}: {pair:?}");
        }
    }
}

#[test]
fn every_request_ends_once() {
    let scenario = day(5, 8, 1.2, 4);
    let ends = ends(&scenario, &planned(&scenario));
    assert_eq!(ends.values().sum::<usize>(), scenario.bookings.len());
    // A day as full as this knows every end.
    for end in [
        End::Declined,
        End::Merged,
        End::Connected,
        End::Cancelled,
        End::Unreached,
    ] {
        assert!(ends.contains_key(&end), "{ends:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn small_days_of_any_kind_are_lived_by_the_rules(
        seed in 0_u64..1_000_000,
        agents in 1_u32..7,
        hours in 2_i64..7,
        load in 0.6_f64..1.8,
        asap in 0.0_f64..0.9,
        cancel in 0.0_f64..0.4,
        twice in 0.0_f64..0.3,
        live in prop::bool::ANY,
        loses in 0_u32..4,
    ) {
        let mut header = header(agents, hours);
        if !live {
            header.inbound_forecast.clear();
        }
        let mut recipe = recipe(header, load);
        recipe.wishes.asap = asap;
        recipe.habits.cancel = cancel;
        recipe.habits.twice = twice;
        let mut scenario = generate(&recipe, seed).unwrap();
        // Some of the staff go home in the middle of the day, unannounced.
        let noon = OPENS + hours * 1800;
        let place = scenario.happenings.partition_point(|happening| happening.0 < noon);
        scenario.happenings.insert(place, (noon, Happening::Agents(agents.saturating_sub(loses))));
        let day = planned(&scenario);
        prop_assert_eq!(&day.violations, &vec![]);
        let ends = ends(&scenario, &day);
        prop_assert_eq!(ends.values().sum::<usize>(), scenario.bookings.len());
        agents_are_one_person_each(&scenario, &day);
        let answered = day.calls.iter().filter(|call| call.answered.is_some()).count();
        let given_up = day.calls.iter().filter(|call| call.abandoned.is_some()).count();
        prop_assert_eq!(answered + given_up, scenario.calls.len());
    }
}

/// Somebody cancels while the phone is ringing, answers it all the same, and asks again while talking.
#[test]
fn nobody_is_joined_to_a_request_that_was_taken_back() {
    let mut header = header(2, 4);
    header.inbound_forecast.clear();
    let zone = header.tz.clone();
    let ask = |name: &str, at: i64| Request {
        id: name.into(),
        at,
        number: "+99900000001".into(),
        channel: "web".into(),
        kind: Kind::Asap,
        tz: zone.clone(),
        local_start: None,
        local_end: None,
    };
    let idle = View {
        idle: 2,
        n: 2,
        queue: 0,
        oldest_inbound_at: None,
    };
    let mut server = PlannedServer::new(Tuning::default());
    server.header(&header);
    server.agents(OPENS, 2);
    let accepted = |answer| matches!(answer, Answer::Accepted { .. });
    assert!(accepted(server.request(OPENS, &ask("first", OPENS))));
    assert_eq!(
        server.request(OPENS, &ask("joins", OPENS)),
        Answer::Merged,
        "what is open is joined"
    );
    let mut now = OPENS;
    while server.dispatch(now, idle).dial.is_empty() {
        now += 1;
        assert!(now < OPENS + 3600, "never dialled");
    }
    server.cancel(now + 5, &"first".into());
    server.result(now + 14, &"first".into(), 1, Outcome::Answered);
    let during = server.request(now + 100, &ask("during", now + 100));
    assert_eq!(during, Answer::Declined);
    server.done(now + 284, &"first".into());
    assert!(accepted(
        server.request(now + 300, &ask("after", now + 300))
    ));
}
