//! Limits, turns, parts and health of a route, under a clock turned by hand.

use super::*;
use crate::fake::HandClock;

fn route(per_second: f64, concurrent: u32) -> (Arc<Route>, Arc<HandClock>) {
    let clock = HandClock::at("2026-03-10T12:00:00Z");
    let limits = RouteLimits::new(per_second, concurrent).expect("sensible limits");
    (Route::new("trunk", "sip", limits, clock.clone()), clock)
}

/// What is in the way of a call now; a place that was free is given back.
fn unready(route: &Arc<Route>) -> Option<Unready> {
    route.reserve().err()
}

fn spent(route: &Arc<Route>) {
    route.reserve().expect("room").spend();
}

/// The answer to a question, where the node keeps what it has.
fn asked(route: &Route) -> RouteUse {
    let granted = route.state().holding.granted();
    let demand = route.demand();
    route.grant(Some(granted));
    demand
}

#[test]
fn calls_per_second_are_kept_and_waits_are_true() {
    let (route, clock) = route(2.0, 100);
    let held: Vec<Permit> = (0..2)
        .map(|_| route.reserve().expect("a burst of a second"))
        .collect();
    assert_eq!(
        unready(&route),
        Some(Unready::Wait(Duration::from_millis(500)))
    );
    clock.turn(Duration::from_millis(499));
    assert!(route.reserve().is_err());
    clock.turn(Duration::from_millis(1));
    spent(&route);
    assert!(route.reserve().is_err(), "the call was placed");
    assert_eq!(route.health().active, 2);
    drop(held);
    assert_eq!(route.health().active, 0);
}

#[test]
fn concurrent_calls_are_kept() {
    let (route, _clock) = route(1000.0, 2);
    let one = route.reserve().expect("first");
    let _two = route.stand_by().expect("second, standing by");
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
    assert!(route.stand_by().is_err());
    drop(one);
    assert_eq!(unready(&route), None);
}

#[test]
fn a_part_of_the_limits_is_all_there_is_for_a_node() {
    let (route, clock) = route(4.0, 10);
    assert_eq!(asked(&route).wanted, 0);
    route.grant(Some(5));
    let held: Vec<Permit> = (0..2)
        .map(|_| route.reserve().expect("half the pace"))
        .collect();
    assert!(
        route.reserve().is_err(),
        "four a second are for all nodes together"
    );
    let demand = asked(&route);
    assert_eq!((demand.limit, demand.used, demand.wanted), (10, 2, 10));
    clock.turn(Duration::from_secs(1));
    let mut more: Vec<Permit> = (0..2)
        .map(|_| route.reserve().expect("half the pace"))
        .collect();
    clock.turn(Duration::from_secs(1));
    more.push(route.reserve().expect("the fifth"));
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
    assert_eq!((asked(&route).used, asked(&route).wanted), (5, 5));
    // What is gained may just have been used up by the node that lost it.
    route.grant(Some(10));
    assert!(matches!(unready(&route), Some(Unready::Wait(_))));
    assert_eq!(asked(&route).wanted, 10, "short of the pace");
    clock.turn(Duration::from_secs(1));
    assert_eq!(unready(&route), None);
    route.grant(Some(0));
    drop((held, more));
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
    assert_eq!(asked(&route).wanted, 1, "it asks for one");
}

/// Places for so many calls, which a second's pace allows.
fn held(route: &Arc<Route>, calls: u32) -> Vec<Permit> {
    (0..calls).map(|_| route.reserve().expect("room")).collect()
}

#[test]
fn from_the_question_to_its_answer_no_call_is_begun() {
    let (route, _clock) = route(1000.0, 10);
    let mut calls = held(&route, 3);
    route.demand();
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_ASKING)));
    assert!(route.stand_by().is_err());
    // Not even in the place of one that has ended: what it said that it uses is enough to lose the rest.
    calls.pop();
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_ASKING)));
    route.grant(Some(10));
    let demand = asked(&route);
    assert_eq!(
        (demand.used, demand.wanted),
        (2, 2),
        "who waits for an answer has not been turned away"
    );
    // Nobody else can have used up the pace meanwhile, and it goes on as before.
    calls.extend(held(&route, 8));
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
}

#[test]
fn without_an_answer_only_what_was_in_use_is_left() {
    let (route, _clock) = route(1000.0, 10);
    let mut calls = held(&route, 3);
    route.demand();
    route.grant(None);
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
    calls.pop();
    calls.extend(held(&route, 1));
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
    assert_eq!(asked(&route).wanted, 5, "both were turned away");
}

#[test]
fn after_an_answer_that_was_lost_the_pace_may_be_used_up() {
    // Whether it was said that no answer comes, or only asked again.
    for said in [true, false] {
        let (route, clock) = route(1000.0, 10);
        route.demand();
        if said {
            route.grant(None);
        }
        route.demand();
        route.grant(Some(10));
        assert_eq!(
            unready(&route),
            Some(Unready::Wait(Duration::from_millis(1)))
        );
        clock.turn(Duration::from_millis(1));
        assert_eq!(unready(&route), None);
    }
}

#[test]
fn a_question_that_takes_its_time_is_not_waited_for() {
    let (route, clock) = route(1000.0, 10);
    route.demand();
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_ASKING)));
    clock.turn(WHEN_FULL);
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
    route.grant(Some(10));
    assert_eq!(asked(&route).wanted, 1, "it was turned away");
}

/// What is wanted at one question after the other, a second apart.
fn wanted(route: &Route, clock: &HandClock, questions: usize) -> Vec<u32> {
    let ask = |_| {
        clock.turn(Duration::from_secs(1));
        asked(route).wanted
    };
    (0..questions).map(ask).collect()
}

#[test]
fn a_place_is_wanted_until_who_went_away_has_come_again() {
    let (route, clock) = route(10.0, 1);
    let shut = Duration::from_secs(5);
    // Another node has the one place. The call is turned away three times, and goes.
    route.grant(Some(0));
    for _ in 0..3 {
        assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
        assert_eq!(wanted(&route, &clock, 1), [1]);
    }
    assert_eq!(route.turn(), shut);
    assert_eq!(wanted(&route, &clock, 2), [1, 1]);
    // It is granted before they come, and nobody gives it away meanwhile.
    route.grant(Some(1));
    assert_eq!(wanted(&route, &clock, 4), [1, 1, 1, 1]);
    let place = route.reserve().expect("the place that was kept for it");
    assert_eq!(wanted(&route, &clock, 2), [1, 1], "it is used");
    drop(place);
    assert_eq!(wanted(&route, &clock, 2), [0, 0], "and not wanted any more");

    // Another went elsewhere, or gave up. Its turn comes in five seconds, and it has twenty to come.
    route.grant(Some(0));
    assert_eq!(route.turn(), shut);
    let expected: Vec<u32> = (1..30).map(|second| u32::from(second < 25)).collect();
    assert_eq!(wanted(&route, &clock, 29), expected);
}

#[test]
fn as_many_places_are_wanted_as_went_away() {
    let (route, clock) = route(1.0, 10);
    route.grant(Some(2));
    let held: Vec<Permit> = (0..2)
        .map(|_| {
            clock.turn(Duration::from_secs(10));
            route.reserve().expect("a part of two")
        })
        .collect();
    for _ in 0..3 {
        route.turn();
    }
    assert_eq!(wanted(&route, &clock, 2), [5, 5]);
    // Fewer are turned away now than went away before: it may well be the same ones.
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
    assert_eq!(wanted(&route, &clock, 2), [5, 5]);
    drop(held);
    assert_eq!(wanted(&route, &clock, 1), [3]);
    assert_eq!(unready(&route), None, "one of them");
    assert_eq!(wanted(&route, &clock, 1), [2]);
    clock.set_back(Duration::from_secs(3600));
    assert_eq!(wanted(&route, &clock, 1), [0], "nobody waits for an hour");
}

#[test]
fn a_route_that_is_down_is_of_no_use_until_it_may_be_tried() {
    let (route, clock) = route(1000.0, 10);
    let closed = |seconds: u64| -> Vec<bool> {
        let ask = |_| {
            let closed = asked(&route).closed;
            clock.turn(Duration::from_secs(1));
            closed
        };
        (0..seconds).map(ask).collect()
    };
    assert_eq!(closed(1), [false]);
    route.failed("503", None);
    assert_eq!(
        closed(1),
        [false],
        "shorter than parts take to be dealt out"
    );
    route.failed("503", Some(Duration::from_secs(6)));
    assert_eq!(closed(6), [true, true, true, true, false, false]);
    assert_eq!(closed(2), [false, false], "it may be tried");
    route.succeeded();
    assert_eq!(closed(1), [false]);
}

#[test]
fn a_place_standing_by_uses_the_pace_only_when_taken_up() {
    let (route, _clock) = route(1.0, 10);
    let mut place = route.stand_by().expect("room");
    assert_eq!(unready(&route), None);
    place.spend();
    assert_eq!(unready(&route), Some(Unready::Wait(Duration::from_secs(1))));
}

#[test]
fn what_was_reserved_and_not_used_is_free_again() {
    let (route, _clock) = route(1.0, 1);
    let place = route.reserve().expect("room");
    assert!(route.reserve().is_err());
    drop(place);
    let mut place = route.reserve().expect("nobody was called");
    place.spend();
    drop(place);
    assert_eq!(unready(&route), Some(Unready::Wait(Duration::from_secs(1))));
}

#[test]
fn who_goes_away_comes_again_when_there_is_room_for_them() {
    let (route, clock) = route(2.0, 3);
    let turns =
        |count: u32| -> Vec<u128> { (0..count).map(|_| route.turn().as_millis()).collect() };
    assert_eq!(turns(4), [500, 1000, 1500, 2000]);
    clock.turn(Duration::from_secs(1));
    assert_eq!(turns(2), [1500, 2000], "behind those that went before");
    assert_eq!(turns(1000).last(), Some(&60_000));
    clock.turn(Duration::from_secs(300));
    assert_eq!(turns(1), [500]);
    route.grant(Some(0));
    assert_eq!(turns(1), [5000]);
}

#[test]
fn a_small_part_keeps_nobody_waiting_for_its_own_slow_pace() {
    let (route, clock) = route(4.0, 1000);
    route.grant(Some(0));
    route.grant(Some(1));
    // One call in 250 s, as long as nothing else is dealt out.
    assert_eq!(unready(&route), Some(Unready::Wait(WHEN_FULL)));
    assert_eq!(asked(&route).wanted, 1000);
    let turns: Vec<u128> = (0..3).map(|_| route.turn().as_millis()).collect();
    assert_eq!(turns, [1000, 2000, 3000]);
    clock.turn(Duration::from_secs(1));
    route.grant(Some(500));
    let Some(Unready::Wait(wait)) = unready(&route) else {
        panic!("what was gained was another's a moment ago");
    };
    assert!(wait <= Duration::from_millis(500), "{wait:?}");
}

#[test]
fn waits_double_to_a_minute_and_a_good_call_ends_them() {
    let (route, clock) = route(1000.0, 10);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        route.failed("503", None);
        // What was under way at the time fails too, and changes nothing.
        route.failed("503", None);
        assert_eq!(
            unready(&route),
            Some(Unready::Down(Duration::from_secs(seconds)))
        );
        assert!(!route.health().up);
        clock.turn(Duration::from_secs(seconds));
    }
    let trial = route.reserve().expect("one call may try");
    assert_eq!(
        route.reserve().err(),
        Some(Unready::Down(WHEN_FULL)),
        "one at a time"
    );
    drop(trial);
    assert!(route.reserve().is_ok());
    route.succeeded();
    assert_eq!(unready(&route), None);
    let health = route.health();
    assert!(health.up && health.since.is_some());
    assert_eq!(health.last_failure.as_deref(), Some("503"));
    route.failed("503", None);
    assert_eq!(
        unready(&route),
        Some(Unready::Down(Duration::from_secs(1))),
        "the count starts anew"
    );
}

#[test]
fn a_peers_wish_is_kept_within_reason() {
    for (wish, kept) in [(0, 1), (20, 20), (86_400, 300)] {
        let (route, _clock) = route(1000.0, 10);
        route.failed("503", Some(Duration::from_secs(wish)));
        assert_eq!(
            unready(&route),
            Some(Unready::Down(Duration::from_secs(kept))),
            "{wish}"
        );
    }
}

#[test]
fn an_order_gets_the_best_of_its_routes() {
    let (down, _) = route(1.0, 1);
    down.failed("no answer", None);
    let (full, _) = route(1000.0, 1);
    let _held = full.reserve().expect("room");
    let (well, _) = route(1.0, 1);
    let pick = |list: &[Option<&Arc<Route>>]| reserve(list.iter().copied());
    assert_eq!(pick(&[]).err(), Some(Unready::NoRoute));
    assert_eq!(pick(&[None]).err(), Some(Unready::NoRoute));
    assert_eq!(
        pick(&[None, Some(&down)]).err(),
        Some(Unready::Down(Duration::from_secs(1)))
    );
    assert_eq!(
        pick(&[Some(&down), Some(&full)]).err(),
        Some(Unready::Wait(WHEN_FULL))
    );
    let (other, _) = self::route(1.0, 1);
    let places = pick(&[Some(&down), Some(&well), Some(&full), Some(&other)]).expect("room");
    let permits = places.into_permits();
    let fares: Vec<Fare> = permits.iter().map(|permit| permit.fare).collect();
    assert_eq!(fares, [Fare::Paid, Fare::Owed]);
    assert!(Arc::ptr_eq(permits[0].route(), &well));
    drop(permits);
    assert_eq!((well.health().active, other.health().active), (0, 0));
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    assert!(RouteLimits::new(0.0, 1).is_err());
    assert!(RouteLimits::new(f64::NAN, 1).is_err());
    assert!(RouteLimits::new(1.0, 0).is_err());
    assert!(RouteLimits::new(0.5, 1).is_ok());
}
