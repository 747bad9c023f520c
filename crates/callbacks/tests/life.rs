//! The life cycle, path by path.

mod support;

use ringback_callbacks::callback::Reply;
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::*;
use ringback_callbacks::lifecycle::{AttemptChange, Begin, Command, Progress, Refusal};
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_callbacks::state::{Canceller, DueReason, State, Target};
use serde_json::json;
use std::time::Duration;
use support::*;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(30);

fn attempt(n: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(n))
}

fn begin(n: u128) -> Begin {
    Begin {
        attempt: attempt(n),
        channel: "sip".into(),
        route: Some("trunk".into()),
        dn: Some("1001".into()),
        location: None,
        server: "one".into(),
        legs: json!({}),
    }
}

fn outcome(result: CallResult) -> Outcome {
    Outcome::new(result, result.verdict(), PlatformCode::new("sip", None, ""))
}

fn verdict(verdict: Verdict) -> Outcome {
    Outcome::new(
        CallResult::GENERAL_ERROR,
        verdict,
        PlatformCode::new("sip", None, ""),
    )
}

fn to_agent() -> Command {
    Command::Assign {
        node: node(),
        lease: LEASE,
        target: Target::Agent(AgentId(7)),
        offer: None,
    }
}

fn offer() -> Command {
    let offer = Some(OfferId(Uuid::from_u128(99)));
    Command::Assign {
        node: node(),
        lease: LEASE,
        target: Target::Agent(AgentId(7)),
        offer,
    }
}

/// Books, comes due, is assigned and begins attempt `n`.
fn dial(world: &mut World, n: u128) {
    if world.state() == "scheduled" {
        world.act(Command::Tick).unwrap();
    }
    assert_eq!(world.state(), "queued");
    world.act(to_agent()).unwrap();
    let fence = world.fence();
    world
        .act(Command::BeginAttempt {
            fence,
            begin: begin(n),
        })
        .unwrap();
    assert_eq!(world.state(), "dialling");
}

fn settle(world: &mut World, n: u128, outcome: Outcome) {
    let fence = world.fence();
    world
        .act(Command::Settle {
            fence,
            attempt: attempt(n),
            outcome,
        })
        .unwrap();
}

#[test]
fn a_callback_that_succeeds() {
    let mut world = World::book(json!({}), json!({}));
    assert_eq!(world.callback.state.wire(), (2, 1));
    world.act(Command::Tick).unwrap();
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("queued", (3, 1))
    );
    world.act(offer()).unwrap();
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("offered", (5, 2))
    );
    world
        .act(Command::AcceptOffer {
            offer: OfferId(Uuid::from_u128(99)),
            agent: AgentId(7),
        })
        .unwrap();
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("assigned", (4, 2))
    );
    let fence = world.fence();
    world
        .act(Command::BeginAttempt {
            fence,
            begin: begin(1),
        })
        .unwrap();
    assert!(
        matches!(&world.steps.last().unwrap().attempt, Some(AttemptChange::Begin(a)) if a.number == 1)
    );
    world
        .act(Command::Progress {
            fence,
            attempt: attempt(1),
            what: Progress::Connected { route: None },
        })
        .unwrap();
    assert_eq!(world.state(), "talking");
    settle(&mut world, 1, outcome(CallResult::OK));
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("wrap_up", (8, 2))
    );
    assert_eq!(world.callback.promise.state.name(), "kept");
    world
        .act(Command::Dispose {
            disposition: Some("solved".into()),
            result: None,
        })
        .unwrap();
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("done", (9, 3))
    );
    assert_eq!(world.callback.attempts, 1);
    assert_eq!(world.callback.interaction.ended_at, Some(world.now));
}

#[test]
fn each_outcome_leads_where_the_table_says() {
    // verdict, counted, state after, seconds until the next try
    let table = [
        (Verdict::Busy, true, "scheduled", Some(300)),
        (Verdict::NoAnswer, true, "scheduled", Some(1800)),
        (Verdict::Machine, true, "scheduled", Some(3600)),
        (Verdict::Deferred, true, "scheduled", Some(900)),
        (Verdict::Unknown, true, "scheduled", Some(1800)),
        (Verdict::RouteFault, false, "scheduled", Some(60)),
        (Verdict::Stopped, false, "scheduled", Some(5)),
        (Verdict::AgentFault, false, "queued", None),
        (Verdict::Invalid, true, "exhausted", None),
        (Verdict::Declined, true, "exhausted", None),
        (Verdict::DoNotCall, true, "refused", None),
        (Verdict::Reached, true, "wrap_up", None),
    ];
    for (ending, counted, state, wait) in table {
        let mut world = World::book(json!({}), json!({}));
        dial(&mut world, 1);
        world.later(10);
        settle(&mut world, 1, verdict(ending));
        assert_eq!(world.state(), state, "{ending:?}");
        assert_eq!(world.callback.attempts, u32::from(counted), "{ending:?}");
        assert_eq!(world.callback.placed, 1);
        if let Some(wait) = wait {
            let State::Scheduled { due, .. } = world.callback.state else {
                panic!("{ending:?}")
            };
            assert_eq!(due.as_second() - world.now.as_second(), wait, "{ending:?}");
        }
    }
}

#[test]
fn an_agent_whose_phone_stays_silent_is_set_away_and_the_customer_keeps_the_place() {
    let mut world = World::book(json!({}), json!({}));
    world.act(Command::Tick).unwrap();
    let State::Queued { since } = world.callback.state.clone() else {
        panic!()
    };
    world.later(60);
    dial(&mut world, 1);
    settle(&mut world, 1, verdict(Verdict::AgentFault));
    assert_eq!(world.callback.state, State::Queued { since });
    assert_eq!(world.steps.last().unwrap().away, Some(AgentId(7)));
    assert_eq!(world.callback.attempts, 0);
}

#[test]
fn busy_three_times_then_no_more() {
    let mut world = World::book(json!({}), json!({}));
    for n in 1..=3 {
        dial(&mut world, n);
        settle(&mut world, n, verdict(Verdict::Busy));
        assert_eq!(world.state(), "scheduled", "after try {n}");
        world.later(301);
    }
    dial(&mut world, 4);
    settle(&mut world, 4, verdict(Verdict::Busy));
    assert_eq!(world.state(), "exhausted");
    assert_eq!(
        world.callback.interaction.stopped_reason.as_deref(),
        Some("tries exhausted")
    );
}

#[test]
fn route_faults_never_use_up_tries() {
    let mut world = World::book(json!({}), json!({}));
    for n in 1..=12 {
        dial(&mut world, n);
        settle(&mut world, n, verdict(Verdict::RouteFault));
        assert_eq!(world.state(), "scheduled", "after fault {n}");
        assert_eq!(world.callback.attempts, 0);
        let State::Scheduled { due, .. } = world.callback.state else {
            panic!()
        };
        world.now = due;
    }
    assert_eq!(world.callback.placed, 12);
    assert_eq!(world.callback.promise.state.name(), "open");
}

#[test]
fn a_retry_after_the_window_waits_for_its_end_and_expires_there() {
    let mut world = World::book(json!({}), json!({ "end_time": "2026-03-09T14:10:00Z" }));
    dial(&mut world, 1);
    settle(&mut world, 1, verdict(Verdict::NoAnswer));
    let State::Scheduled { due, .. } = world.callback.state else {
        panic!()
    };
    assert_eq!(due, at("2026-03-09T14:10:00Z"));
    world.now = due;
    world.act(Command::Tick).unwrap();
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("expired", (14, 3))
    );
    assert_eq!(
        world.callback.promise.state.name(),
        "kept",
        "it was tried as promised"
    );
}

#[test]
fn never_dialled_in_the_window_is_a_broken_promise() {
    let mut world = World::book(json!({}), json!({ "end_time": "2026-03-09T14:10:00Z" }));
    world.act(Command::Tick).unwrap();
    world.now = at("2026-03-09T14:10:00Z");
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "expired");
    assert_eq!(world.callback.promise.state.name(), "broken");
}

#[test]
fn contacts_follow_each_other() {
    let mut world = World::book(
        json!({}),
        json!({ "after_failures": 1, "contacts": [{ "desired_response_type": "Email", "customer_number": "ada@example.com" }] }),
    );
    dial(&mut world, 1);
    settle(&mut world, 1, verdict(Verdict::NoAnswer));
    assert!(world.last_events().contains(&"contact_changed"));
    assert_eq!(world.callback.current, 1);
    assert_eq!(world.callback.response_type().as_str(), "Email");
    assert_eq!(world.state(), "scheduled");
}

#[test]
fn the_most_attempts_bind_across_contacts() {
    let mut world = World::book(
        json!({ "retry": { "max_attempts": 1 } }),
        json!({ "after_failures": 1, "contacts": [{ "desired_response_type": "Email", "customer_number": "ada@example.com" }] }),
    );
    dial(&mut world, 1);
    settle(&mut world, 1, verdict(Verdict::NoAnswer));
    assert_eq!(world.state(), "exhausted");
}

#[test]
fn what_is_held_again_after_it_was_passed_on_says_so() {
    let mut world = World::book(json!({}), json!({}));
    world.queue.queue.dialling_paused = true;
    world.act(Command::Tick).unwrap();
    assert_eq!(
        (world.state(), world.last_events()),
        ("scheduled", vec!["held"])
    );
    world
        .act(Command::TransferToAgent { agent: AgentId(1) })
        .unwrap();
    world.act(to_agent()).unwrap();
    assert_eq!(
        (world.state(), world.last_events()),
        ("scheduled", vec!["held"])
    );
}

#[test]
fn an_old_refusal_is_forgotten_when_it_is_queued_again() {
    let mut world = World::book(json!({}), json!({}));
    world.act(Command::Tick).unwrap();
    world.act(offer()).unwrap();
    let State::Offered { offer, agent, .. } = world.callback.state.clone() else {
        panic!("offered");
    };
    world.act(Command::DeclineOffer { offer, agent }).unwrap();
    assert_eq!(world.callback.passed_by.len(), 1);
    let until = at("2026-03-09T15:00:00Z");
    world.act(Command::Snooze { until }).unwrap();
    world.now = until;
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "queued");
    let wakes = world.callback.wakes_at().expect("its window ends");
    assert!(
        wakes > world.now,
        "it is not due because of a rest that is over"
    );
}

#[test]
fn an_invalid_number_moves_on_to_the_next_contact_too() {
    let mut world = World::book(
        json!({}),
        json!({ "contacts": [{ "desired_response_type": "Voice", "customer_number": "+442079460018" }] }),
    );
    dial(&mut world, 1);
    settle(&mut world, 1, verdict(Verdict::Invalid));
    assert_eq!((world.state(), world.callback.current), ("scheduled", 1));
}

#[test]
fn declining_is_not_an_attempt_and_keeps_the_place() {
    let mut world = World::book(json!({}), json!({}));
    world.act(Command::Tick).unwrap();
    let State::Queued { since } = world.callback.state.clone() else {
        panic!()
    };
    world.act(offer()).unwrap();
    world.later(3);
    world
        .act(Command::DeclineOffer {
            offer: OfferId(Uuid::from_u128(99)),
            agent: AgentId(7),
        })
        .unwrap();
    assert_eq!(world.callback.state, State::Queued { since });
    assert_eq!((world.callback.attempts, world.callback.placed), (0, 0));
    assert_eq!(world.steps.last().unwrap().away, None);
    // Left alone with it for a minute; then the clock says that they may be asked again.
    assert_eq!(world.callback.passed_by.len(), 1);
    assert_eq!(
        world.callback.wakes_at().unwrap().as_second() - world.now.as_second(),
        60
    );
    world.later(60);
    world.act(Command::Tick).unwrap();
    assert!(world.callback.passed_by.is_empty());
    assert_eq!(world.callback.state, State::Queued { since });
}

#[test]
fn silence_sets_the_agent_away() {
    let mut world = World::book(json!({}), json!({}));
    world.act(Command::Tick).unwrap();
    world.act(offer()).unwrap();
    let fence = world.fence();
    world.later(19);
    assert!(matches!(
        world.act(Command::OfferTimedOut { fence }),
        Err(Refusal::NotNow { .. })
    ));
    world.later(1);
    world.act(Command::OfferTimedOut { fence }).unwrap();
    assert_eq!(world.state(), "queued");
    assert_eq!(world.steps.last().unwrap().away, Some(AgentId(7)));
}

#[test]
fn another_agents_offer_cannot_be_taken() {
    let mut world = World::book(json!({}), json!({}));
    world.act(Command::Tick).unwrap();
    world.act(offer()).unwrap();
    for (offer, agent) in [(99, 8), (98, 7)] {
        let command = Command::AcceptOffer {
            offer: OfferId(Uuid::from_u128(offer)),
            agent: AgentId(agent),
        };
        assert_eq!(world.act(command), Err(Refusal::OfferGone));
    }
    world.later(20);
    let late = Command::AcceptOffer {
        offer: OfferId(Uuid::from_u128(99)),
        agent: AgentId(7),
    };
    assert_eq!(world.act(late), Err(Refusal::OfferGone));
}

#[test]
fn a_late_claim_holder_is_fenced_out() {
    let mut world = World::book(json!({}), json!({}));
    dial(&mut world, 1);
    let late = world.fence();
    world.later(31);
    let other = NodeId {
        name: "two".into(),
        boot: Uuid::from_u128(8),
    };
    world
        .act(Command::TakeOver {
            node: other,
            lease: LEASE,
        })
        .unwrap();
    let command = Command::Settle {
        fence: late,
        attempt: attempt(1),
        outcome: verdict(Verdict::Reached),
    };
    assert_eq!(world.act(command), Err(Refusal::Fenced));
    let fence = world.fence();
    world
        .act(Command::Rescue {
            fence,
            learned: None,
        })
        .unwrap();
    assert_eq!(world.callback.last_result, Some(CallResult::UNKNOWN));
    assert!(world.callback.may_have_reached);
    assert_eq!((world.state(), world.callback.attempts), ("scheduled", 1));
}

#[test]
fn a_restarted_node_need_not_wait_for_its_own_lease_but_others_must() {
    let mut world = World::book(json!({}), json!({}));
    dial(&mut world, 1);
    let other = NodeId {
        name: "two".into(),
        boot: Uuid::from_u128(8),
    };
    assert_eq!(
        world.act(Command::TakeOver {
            node: other,
            lease: LEASE
        }),
        Err(Refusal::Fenced)
    );
    assert_eq!(
        world.act(Command::TakeOver {
            node: node(),
            lease: LEASE
        }),
        Err(Refusal::Fenced),
        "it is running"
    );
    let reborn = NodeId {
        name: "one".into(),
        boot: Uuid::from_u128(9),
    };
    world
        .act(Command::TakeOver {
            node: reborn,
            lease: LEASE,
        })
        .unwrap();
}

#[test]
fn cancelling_while_it_rings_waits_for_the_hang_up() {
    let mut world = World::book(json!({}), json!({}));
    dial(&mut world, 1);
    world
        .act(Command::Cancel {
            by: Canceller::Customer,
            reason: None,
        })
        .unwrap();
    assert_eq!(world.state(), "dialling");
    assert!(world.callback.stop.is_some());
    settle(&mut world, 1, verdict(Verdict::Stopped));
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("cancelled", (9, 3))
    );
    assert_eq!(world.callback.last_result, Some(CallResult::CANCEL_RECORD));
    assert_eq!(world.callback.promise.state.name(), "released");
}

#[test]
fn cancelling_by_agent_has_its_own_number() {
    let mut world = World::book(json!({}), json!({}));
    world
        .act(Command::Cancel {
            by: Canceller::Agent(AgentId(7)),
            reason: Some("solved in the shop".into()),
        })
        .unwrap();
    assert_eq!(world.callback.state.wire(), (7, 3));
    assert_eq!(
        world.callback.interaction.stopped_reason.as_deref(),
        Some("solved in the shop")
    );
}

#[test]
fn an_answer_that_crosses_the_cancellation_wins() {
    let mut world = World::book(json!({}), json!({}));
    dial(&mut world, 1);
    world
        .act(Command::Cancel {
            by: Canceller::Customer,
            reason: None,
        })
        .unwrap();
    settle(&mut world, 1, verdict(Verdict::Reached));
    assert_eq!(world.state(), "wrap_up");
}

#[test]
fn ended_callbacks_stay_ended() {
    let mut world = World::book(json!({}), json!({}));
    world
        .act(Command::Cancel {
            by: Canceller::Operator,
            reason: None,
        })
        .unwrap();
    let before = world.callback.clone();
    world.later(10);
    for command in [
        Command::Tick,
        to_agent(),
        Command::Cancel {
            by: Canceller::Customer,
            reason: None,
        },
        Command::Snooze {
            until: at("2026-03-09T16:00:00Z"),
        },
        Command::Reschedule {
            start: at("2026-03-10T16:00:00Z"),
            end: None,
            local: None,
        },
        Command::TransferToAgent { agent: AgentId(1) },
        Command::Dispose {
            disposition: None,
            result: None,
        },
        Command::Replace { by: id(2) },
    ] {
        assert!(world.act(command.clone()).is_err(), "{command:?}");
        assert_eq!(world.callback, before);
    }
}

#[test]
fn a_machine_disposition_is_a_failed_try() {
    let mut world = World::book(json!({}), json!({}));
    dial(&mut world, 1);
    settle(&mut world, 1, outcome(CallResult::OK));
    world
        .act(Command::Dispose {
            disposition: None,
            result: Some(CallResult::ANSWERING_MACHINE),
        })
        .unwrap();
    assert_eq!(world.state(), "scheduled");
    assert_eq!(
        world.callback.last_result,
        Some(CallResult::ANSWERING_MACHINE)
    );
    assert!(matches!(
        world.steps.last().unwrap().attempt,
        Some(AttemptChange::Amend { .. })
    ));
}

#[test]
fn the_number_limit_holds_a_dial_until_the_oldest_call_leaves_the_day() {
    let mut world = World::book(json!({ "calls_per_number_per_day": 2 }), json!({}));
    world.number.placed_last_day = vec![at("2026-03-09T00:00:00Z"), at("2026-03-09T01:00:00Z")];
    world.act(Command::Tick).unwrap();
    let held = world.callback.held.unwrap();
    assert_eq!(held.guard, Guard::NumberDailyLimit);
    assert_eq!(held.until, Some(at("2026-03-10T00:00:00Z")));
}

#[test]
fn guards_are_asked_again_when_the_attempt_begins() {
    let mut world = World::book(json!({}), json!({}));
    world.act(Command::Tick).unwrap();
    world.act(to_agent()).unwrap();
    world.now = at("2026-03-09T22:00:00Z"); // 18:00 in New York: just closed
    let fence = world.fence();
    world
        .act(Command::BeginAttempt {
            fence,
            begin: begin(1),
        })
        .unwrap();
    assert_eq!(world.state(), "scheduled");
    assert_eq!(world.callback.held.unwrap().guard, Guard::Closed);
    assert!(
        world.steps.last().unwrap().attempt.is_none(),
        "nothing was placed"
    );
    assert_eq!(
        world.callback.held.unwrap().until,
        Some(at("2026-03-10T12:00:00Z"))
    );
}

#[test]
fn do_not_call_added_meanwhile_ends_it() {
    let mut world = World::book(json!({}), json!({}));
    world.customer.do_not_call = true;
    world.act(Command::Tick).unwrap();
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("refused", (10, 3))
    );
    assert_eq!(world.callback.last_result, Some(CallResult::DO_NOT_CALL));
}

#[test]
fn the_same_hold_is_one_event_however_often_it_is_asked() {
    let mut world = World::book(json!({}), json!({}));
    world.queue.queue.dialling_paused = true;
    let mut holds = 0;
    for _ in 0..5 {
        let _ = world.act(Command::Tick);
        holds += world
            .last_events()
            .iter()
            .filter(|kind| **kind == "held")
            .count();
        world.later(60);
    }
    assert_eq!(holds, 1);
}

#[test]
fn snooze_into_closed_hours_promises_the_opening_and_says_why() {
    let mut world = World::book(json!({}), json!({}));
    // Monday night in New York.
    let until = at("2026-03-10T03:00:00Z");
    world.act(Command::Snooze { until }).unwrap();
    let opening = at("2026-03-10T12:00:00Z");
    assert_eq!(
        world.callback.state,
        State::Scheduled {
            due: opening,
            reason: DueReason::Snoozed
        }
    );
    assert_eq!(world.callback.promise.from, opening);
    let held = world.callback.held.expect("it is said why");
    assert_eq!((held.guard, held.until), (Guard::Closed, Some(opening)));
    assert_eq!(world.last_events(), ["snoozed", "held", "promise_moved"]);
}

#[test]
fn snooze_past_the_last_open_moment_of_its_window_is_refused() {
    let end = "2026-03-10T04:00:00Z";
    let mut world = World::book(json!({}), json!({ "end_time": end }));
    let refused = Refusal::NoMoment {
        guard: Guard::Closed,
        field: "until",
        next: Some(at("2026-03-10T12:00:00Z")),
    };
    let until = at("2026-03-10T03:00:00Z");
    assert_eq!(world.act(Command::Snooze { until }), Err(refused));
}

#[test]
fn moving_a_callback_into_closed_hours_says_why_it_waits() {
    let mut world = World::book(json!({}), json!({}));
    world
        .act(Command::Reschedule {
            start: at("2026-03-10T03:00:00Z"),
            end: None,
            local: None,
        })
        .unwrap();
    assert_eq!(
        world.last_events(),
        ["rescheduled", "held", "promise_moved"]
    );
}

#[test]
fn wrap_up_ends_by_the_clock() {
    let mut world = World::book(json!({}), json!({}));
    dial(&mut world, 1);
    settle(&mut world, 1, outcome(CallResult::OK));
    world.later(60);
    world.act(Command::Tick).unwrap();
    assert_eq!(world.state(), "done");
}

#[test]
fn snooze_moves_the_promise_and_stays_in_a_given_window() {
    let mut world = World::book(json!({}), json!({ "end_time": "2026-03-09T20:00:00Z" }));
    world
        .act(Command::Snooze {
            until: at("2026-03-09T16:00:00Z"),
        })
        .unwrap();
    assert_eq!(world.callback.promise.from, at("2026-03-09T16:00:00Z"));
    assert!(
        world
            .act(Command::Snooze {
                until: at("2026-03-09T20:00:00Z")
            })
            .is_err()
    );
    assert!(
        world
            .act(Command::Snooze {
                until: at("2026-03-09T13:00:00Z")
            })
            .is_err()
    );
}

#[test]
fn booking_outside_hours_is_placed_at_the_opening_and_says_why() {
    let world = World::try_book(json!({}), json!({}), at("2026-03-08T14:00:00Z")).unwrap();
    let State::Scheduled { due, .. } = world.callback.state else {
        panic!()
    };
    assert_eq!(
        due,
        at("2026-03-09T12:00:00Z"),
        "Monday 08:00 in New York, the day after the clocks changed"
    );
    assert_eq!(world.callback.held.unwrap().guard, Guard::Closed);
    assert_eq!(world.last_events(), vec!["accepted", "held"]);
}

#[test]
fn a_window_without_any_open_moment_is_refused() {
    let result = World::try_book(
        json!({}),
        json!({ "start_time": "2026-03-14T10:00:00Z", "end_time": "2026-03-14T20:00:00Z" }),
        monday(),
    );
    let refused = Refusal::NoMoment {
        guard: Guard::Closed,
        field: "end_time",
        next: Some(at("2026-03-16T12:00:00Z")),
    };
    assert_eq!(
        result.err(),
        Some(refused),
        "a Saturday; open again on Monday"
    );
}

#[test]
fn the_customers_night_is_their_own() {
    // Open all day in New York, but the customer says Honolulu, where 14:00Z is 04:00.
    let world = World::try_book(
        json!({ "hours": { "opening_hours": "24/7" } }),
        json!({ "time_zone": "Pacific/Honolulu" }),
        monday(),
    )
    .unwrap();
    let State::Scheduled { due, .. } = world.callback.state else {
        panic!()
    };
    assert_eq!(due, at("2026-03-09T18:00:00Z"));
    assert_eq!(world.callback.held.unwrap().guard, Guard::CustomersNight);
    let invited = World::try_book(
        json!({ "hours": { "opening_hours": "24/7" } }),
        json!({ "time_zone": "Pacific/Honolulu", "any_hour": true }),
        monday(),
    )
    .unwrap();
    assert!(invited.callback.held.is_none());
}

#[test]
fn an_agent_who_says_cancel_is_not_given_the_same_call_again() {
    let mut world = World::book(json!({}), json!({}));
    dial(&mut world, 1);
    settle(&mut world, 1, outcome(CallResult::OK));
    let disposition = Some("solved in the shop".to_owned());
    world
        .act(Command::Dispose {
            disposition,
            result: Some(CallResult::CANCEL_RECORD),
        })
        .unwrap();
    assert_eq!(
        (world.state(), world.callback.state.wire()),
        ("cancelled", (7, 3))
    );
    assert_eq!(world.callback.last_result, Some(CallResult::CANCEL_RECORD));
    assert_eq!(
        world.callback.interaction.stopped_reason.as_deref(),
        Some("solved in the shop")
    );
}

#[test]
fn a_fault_of_ours_does_not_unsay_that_an_earlier_call_may_have_got_through() {
    for fault in [Verdict::RouteFault, Verdict::AgentFault, Verdict::Stopped] {
        let mut world = World::book(json!({}), json!({}));
        dial(&mut world, 1);
        settle(&mut world, 1, verdict(Verdict::Unknown));
        world.later(1801);
        dial(&mut world, 2);
        settle(&mut world, 2, verdict(fault));
        assert!(world.callback.may_have_reached, "{fault:?}");
        world.later(1801);
        dial(&mut world, 3);
        settle(&mut world, 3, verdict(Verdict::NoAnswer));
        assert!(
            !world.callback.may_have_reached,
            "a try that counts says something newer"
        );
    }
}

#[test]
fn an_agent_who_writes_nothing_is_set_away_and_the_letter_keeps_its_place() {
    let change = json!({ "desired_response_type": "Email", "customer_number": "ada@example.com" });
    let mut world = World::book(json!({}), change);
    world.act(Command::Tick).unwrap();
    let State::Queued { since } = world.callback.state.clone() else {
        panic!()
    };
    world.act(to_agent()).unwrap();
    let fence = world.fence();
    world.later(1800);
    assert_eq!(
        world.act(Command::OfferTimedOut { fence: fence + 1 }),
        Err(Refusal::Fenced)
    );
    world.act(Command::OfferTimedOut { fence }).unwrap();
    assert_eq!(world.callback.state, State::Queued { since });
    assert_eq!(world.steps.last().unwrap().away, Some(AgentId(7)));
    assert_eq!(world.callback.passed_by.len(), 1);
}

#[test]
fn only_a_letter_that_waits_to_be_written_times_out_once_taken() {
    let mut call = World::book(json!({}), json!({}));
    call.act(Command::Tick).unwrap();
    call.act(to_agent()).unwrap();
    let fence = call.fence();
    assert!(matches!(
        call.act(Command::OfferTimedOut { fence }),
        Err(Refusal::NotNow { .. })
    ));
    let change = json!({ "desired_response_type": "Email", "customer_number": "ada@example.com" });
    let mut letter = World::book(json!({}), change);
    letter.act(Command::Tick).unwrap();
    letter.act(to_agent()).unwrap();
    let reply = Reply {
        subject: "Yes".into(),
        text: "We can.".into(),
        html: None,
    };
    letter
        .act(Command::WriteReply {
            agent: AgentId(7),
            reply,
        })
        .unwrap();
    let fence = letter.fence();
    assert!(matches!(
        letter.act(Command::OfferTimedOut { fence }),
        Err(Refusal::NotNow { .. })
    ));
}

#[test]
fn the_customers_own_answer_is_in_the_attempt() {
    let mut world = World::book(json!({}), json!({}));
    dial(&mut world, 1);
    let fence = world.fence();
    let answered = |party: &str| Progress::Answered {
        party: party.to_owned(),
    };
    world
        .act(Command::Progress {
            fence,
            attempt: attempt(1),
            what: answered("agent"),
        })
        .unwrap();
    assert_eq!(world.steps.last().unwrap().attempt, None);
    world.later(4);
    world
        .act(Command::Progress {
            fence,
            attempt: attempt(1),
            what: answered("customer"),
        })
        .unwrap();
    let expected = AttemptChange::Answered {
        attempt: attempt(1),
        at: world.now,
    };
    assert_eq!(world.steps.last().unwrap().attempt, Some(expected));
}
