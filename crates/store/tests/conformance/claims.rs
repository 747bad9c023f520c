//! Who is claimed, when, for which seat, and in which order.

use crate::town::*;
use ringback_callbacks::agent::Presence;
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::{AgentId, InteractionId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::outcome::CallResult;
use ringback_callbacks::state::{Canceller, DueReason, State, Target};
use ringback_store::{ClaimOrder, Picks, Soonest};
use serde_json::json;
use std::collections::BTreeSet;

pub async fn nothing_before_its_time(town: &Town) {
    town.staffed().await;
    assert_eq!(town.next_wake().await, None);
    let booked = town
        .book(
            "billing",
            with(voice(1), json!({ "start_time": "2026-03-09T15:00:00Z" })),
            monday(),
        )
        .await;
    let due = at("2026-03-09T15:00:00Z");
    assert_eq!(town.next_wake().await, Some(due));
    assert!(town.claim("one", later(3599)).await.callbacks.is_empty());
    assert_eq!(town.get(&booked).await, booked, "nothing was touched");
    assert_eq!(
        town.claim_one(due).await.interaction.id,
        booked.interaction.id
    );
}

pub async fn two_nodes_never_hold_the_same(town: &Town) {
    town.queue("pbx", dn_rules(40)).await;
    for last in 0..60 {
        town.book("pbx", voice(last), monday()).await;
    }
    let mut rounds = Vec::new();
    for round in 0..20 {
        let name = if round % 2 == 0 { "one" } else { "two" };
        let order = ClaimOrder {
            places: 3,
            picks: Vec::new(),
            ..claim_order(name, later(1))
        };
        let store = town.store.clone();
        rounds.push(tokio::spawn(async move {
            store.claim_due(order).await.unwrap().callbacks
        }));
    }
    let mut seen: BTreeSet<InteractionId> = BTreeSet::new();
    for round in rounds {
        for callback in round.await.unwrap() {
            assert!(seen.insert(callback.interaction.id), "claimed by two");
            assert_eq!(callback.fence, 1);
        }
    }
    // Rounds at the same moment may step over what the other is looking at; one more finds it.
    loop {
        let order = ClaimOrder {
            places: 3,
            picks: Vec::new(),
            ..claim_order("one", later(1))
        };
        let found = town.store.claim_due(order).await.unwrap().callbacks;
        if found.is_empty() {
            break;
        }
        for callback in found {
            assert!(seen.insert(callback.interaction.id), "claimed by two");
        }
    }
    assert_eq!(seen.len(), 40, "as many as there are places");
    town.is_healthy().await;
}

pub async fn an_agent_in_two_queues_gets_one(town: &Town) {
    town.queue("sales", rules(json!({}))).await;
    town.queue("support", rules(json!({}))).await;
    town.agent(1, &["sales", "support"], false).await;
    town.book("sales", voice(1), monday()).await;
    let urgent = town
        .book(
            "support",
            with(voice(2), json!({ "priority": 90 })),
            monday(),
        )
        .await;
    let claimed = town.claim_one(later(1)).await;
    assert_eq!(
        claimed.interaction.id, urgent.interaction.id,
        "where the need is greater"
    );
    assert!(town.claim("one", later(2)).await.callbacks.is_empty());
}

pub async fn places_at_a_dn(town: &Town) {
    town.queue("pbx", dn_rules(2)).await;
    for last in 0..4 {
        town.book("pbx", voice(last), monday()).await;
    }
    let claimed = town.claim("one", later(1)).await.callbacks;
    assert_eq!(claimed.len(), 2);
    assert!(claimed.iter().all(|callback| matches!(
        callback.state,
        State::Assigned {
            target: Target::Dn,
            ..
        }
    )));
    assert!(town.claim("two", later(2)).await.callbacks.is_empty());
    let dialling = town.begin(&claimed[0], later(3)).await.unwrap();
    assert!(
        town.claim("two", later(4)).await.callbacks.is_empty(),
        "a place is taken while it rings"
    );
    town.settle(&dialling, reached(), later(5)).await;
    assert_eq!(town.claim("two", later(6)).await.callbacks.len(), 1);
    town.is_healthy().await;
}

pub async fn places_of_the_node(town: &Town) {
    town.queue("pbx", dn_rules(10)).await;
    for last in 0..5 {
        town.book("pbx", voice(last), monday()).await;
    }
    let order = ClaimOrder {
        places: 2,
        picks: Vec::new(),
        ..claim_order("one", later(1))
    };
    let claimed = town.store.claim_due(order).await.unwrap();
    assert_eq!((claimed.callbacks.len(), claimed.more), (2, false));
    let none = ClaimOrder {
        places: 0,
        picks: Vec::new(),
        ..claim_order("one", later(1))
    };
    assert!(
        town.store
            .claim_due(none)
            .await
            .unwrap()
            .callbacks
            .is_empty()
    );
}

pub async fn the_order_of_service(town: &Town) {
    town.queue("pbx", dn_rules(1)).await;
    let mut booked = Vec::new();
    for (last, priority, end) in [
        (1, 50, "20:00"),
        (2, 50, "14:30"),
        (3, 50, "14:30"),
        (4, 90, "23:00"),
    ] {
        let more = json!({ "priority": priority, "end_time": format!("2026-03-09T{end}:00Z") });
        let now = later(u64::from(last));
        booked.push(town.book("pbx", with(voice(last), more), now).await);
        // Each takes its place in the line as it comes.
        town.store
            .claim_due(ClaimOrder {
                places: 0,
                picks: Vec::new(),
                ..claim_order("one", now)
            })
            .await
            .unwrap();
    }
    let [patient, pressing, waited, important] = booked.try_into().unwrap();
    let expected = [important, pressing, waited, patient].map(|callback| callback.interaction.id);
    let mut order = Vec::new();
    for second in 10..14 {
        let claimed = town.claim_one(later(second)).await;
        order.push(claimed.interaction.id);
        town.must(
            &claimed,
            Command::Cancel {
                by: Canceller::Operator,
                reason: None,
            },
            later(second),
        )
        .await;
    }
    assert_eq!(order, expected);
}

pub async fn the_longest_idle_first(town: &Town) {
    town.queue("billing", rules(json!({}))).await;
    for id in 1..=3 {
        town.agent(id, &["billing"], false).await;
        town.store
            .set_presence(&tenant(), AgentId(id), Presence::Offline, monday())
            .await
            .unwrap();
    }
    for (id, second) in [(2, 1), (3, 2), (1, 3)] {
        town.store
            .set_presence(&tenant(), AgentId(id), Presence::Ready, later(second))
            .await
            .unwrap();
    }
    for last in 0..3 {
        town.book("billing", voice(last), later(4)).await;
    }
    let asked: Vec<i64> = town
        .claim("one", later(5))
        .await
        .callbacks
        .iter()
        .map(|callback| offer_of(callback).1.0)
        .collect();
    assert_eq!(asked, [2, 3, 1]);
}

pub async fn phones_without_a_desk_are_not_asked(town: &Town) {
    town.queue("billing", rules(json!({}))).await;
    town.agent(1, &["billing"], true).await;
    town.book("billing", voice(1), monday()).await;
    let claimed = town.claim_one(later(1)).await;
    assert!(matches!(
        claimed.state,
        State::Assigned {
            target: Target::Agent(AgentId(1)),
            ..
        }
    ));
    assert_eq!(
        town.agent_now(1).await.engaged,
        Some(claimed.interaction.id)
    );
    assert_eq!(
        town.story(&claimed).await,
        ["accepted", "queued", "assigned"]
    );
}

pub async fn one_call_per_number(town: &Town) {
    town.queue("pbx", dn_rules(10)).await;
    town.queue("other", dn_rules(10)).await;
    town.book("pbx", voice(1), monday()).await;
    let dialling = town.call(later(1)).await;
    let second = town.book("other", voice(1), later(2)).await;
    assert!(town.claim("one", later(3)).await.callbacks.is_empty());
    let held = town.get(&second).await;
    assert!(matches!(
        held.state,
        State::Scheduled {
            reason: DueReason::Held(Guard::NumberInCall),
            ..
        }
    ));
    // Letters to one address do not meet: they ring nobody.
    town.settle(&dialling, outcome(CallResult::BUSY), later(4))
        .await;
    assert_eq!(town.claim("one", later(60)).await.callbacks.len(), 1);
    town.is_healthy().await;
}

pub async fn a_paused_queue_waits(town: &Town) {
    let mut queue = town.queue("pbx", dn_rules(10)).await;
    let booked = town.book("pbx", voice(1), monday()).await;
    let claimed = town.claim_one(later(1)).await;
    let back = Command::Release {
        fence: claimed.fence,
        guard: Guard::Route,
        until: later(1),
    };
    town.must(&claimed, back, later(1)).await;
    queue.dialling_paused = true;
    let mut queue = town.store.put_queue(queue, None).await.unwrap();
    assert!(town.claim("one", later(2)).await.callbacks.is_empty());
    assert!(
        matches!(town.get(&booked).await.state, State::Queued { .. }),
        "its place is kept"
    );
    queue.dialling_paused = false;
    town.store.put_queue(queue, None).await.unwrap();
    assert_eq!(
        town.claim_one(later(3)).await.interaction.id,
        booked.interaction.id
    );
}

pub async fn a_removed_queue_ends_its_callbacks(town: &Town) {
    town.staffed().await;
    town.store
        .set_presence(&tenant(), AgentId(1), Presence::Away, monday())
        .await
        .unwrap();
    let waiting = town.book("billing", voice(1), monday()).await;
    let booked = town
        .book(
            "billing",
            with(voice(2), json!({ "start_time": "2026-03-09T15:00:00Z" })),
            monday(),
        )
        .await;
    town.claim("one", later(1)).await;
    assert!(matches!(
        town.get(&waiting).await.state,
        State::Queued { .. }
    ));
    let mut queue = town
        .store
        .queue(&tenant(), &queue_id("billing"))
        .await
        .unwrap()
        .unwrap();
    queue.removed = true;
    town.store.put_queue(queue, None).await.unwrap();
    assert!(town.claim("one", later(2)).await.callbacks.is_empty());
    let ended = State::Refused {
        guard: Guard::QueueRemoved,
    };
    assert_eq!(town.get(&waiting).await.state, ended);
    assert!(matches!(
        town.get(&booked).await.state,
        State::Scheduled { .. }
    ));
    town.claim("one", later(3600)).await;
    assert_eq!(town.get(&booked).await.state, ended);
    town.is_healthy().await;
}

pub async fn who_is_held_takes_no_seat(town: &Town) {
    town.staffed().await;
    town.store
        .set_presence(&tenant(), AgentId(1), Presence::Away, monday())
        .await
        .unwrap();
    let first = town.book("billing", voice(1), monday()).await;
    let second = town.book("billing", voice(2), later(1)).await;
    town.claim("one", later(2)).await;
    let mut customer = town
        .store
        .customer(&tenant(), &first.interaction.customer)
        .await
        .unwrap()
        .unwrap();
    customer.do_not_call = true;
    town.store.put_customer(customer, None).await.unwrap();
    town.store
        .set_presence(&tenant(), AgentId(1), Presence::Ready, later(3))
        .await
        .unwrap();
    assert_eq!(
        town.claim_one(later(4)).await.interaction.id,
        second.interaction.id
    );
    assert_eq!(
        town.get(&first).await.state,
        State::Refused {
            guard: Guard::DoNotCall
        }
    );
    town.is_healthy().await;
}

pub async fn a_bounded_bite(town: &Town) {
    town.queue("pbx", dn_rules(100)).await;
    for last in 0..25 {
        town.book("pbx", voice(last), monday()).await;
    }
    let mut held = 0;
    for round in 0..20 {
        let order = ClaimOrder {
            limit: 10,
            ..claim_order("one", later(1))
        };
        let claimed = town.store.claim_due(order).await.unwrap();
        assert!(claimed.callbacks.len() <= 10);
        assert!(
            round > 0 || !claimed.callbacks.is_empty(),
            "a crowd at the clock keeps no seat waiting"
        );
        held += claimed.callbacks.len();
        if !claimed.more {
            assert_eq!(held, 25, "after {round} more rounds");
            return;
        }
    }
    panic!("it never ended");
}

pub async fn the_window_ends(town: &Town) {
    town.staffed().await;
    town.store
        .set_presence(&tenant(), AgentId(1), Presence::Offline, monday())
        .await
        .unwrap();
    let end = json!({ "end_time": "2026-03-09T14:10:00Z" });
    let waiting = town.book("billing", with(voice(1), end), monday()).await;
    town.claim("one", later(1)).await;
    assert_eq!(town.next_wake().await, Some(later(600)));
    town.claim("one", later(600)).await;
    let over = town.get(&waiting).await;
    assert_eq!(over.state, State::Expired);
    assert_eq!(over.interaction.ended_at, Some(later(600)));
    assert_eq!(
        town.story(&over).await,
        [
            "accepted",
            "queued",
            "expired",
            "promise_broken",
            "apology_due"
        ]
    );
    assert_eq!(town.next_wake().await, None);
}

pub async fn passed_on_to_one_agent_only(town: &Town) {
    town.staffed().await;
    town.agent(2, &["billing"], false).await;
    town.store
        .set_presence(&tenant(), AgentId(2), Presence::Away, monday())
        .await
        .unwrap();
    let booked = town.book("billing", voice(1), monday()).await;
    town.must(
        &booked,
        Command::TransferToAgent { agent: AgentId(2) },
        later(1),
    )
    .await;
    assert!(
        town.claim("one", later(2)).await.callbacks.is_empty(),
        "agent 1 is free, but it is not for them"
    );
    town.store
        .set_presence(&tenant(), AgentId(2), Presence::Ready, later(3))
        .await
        .unwrap();
    let claimed = town.claim_one(later(4)).await;
    assert_eq!(offer_of(&claimed).1, AgentId(2));
}

pub async fn letters_need_somebody_to_write_them(town: &Town) {
    town.queue("pbx", dn_rules(5)).await;
    let letter = town.book("pbx", mail("ada"), monday()).await;
    let call = town.book("pbx", voice(1), monday()).await;
    assert_eq!(
        town.claim_one(later(1)).await.interaction.id,
        call.interaction.id
    );
    assert!(matches!(
        town.get(&letter).await.state,
        State::Queued { .. }
    ));
    let answer = town
        .store
        .guard_now(&tenant(), letter.interaction.id, later(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((answer.held, answer.free_seats), (None, 0));
}

pub async fn calls_per_day(town: &Town) {
    let two = json!({ "calls_per_number_per_day": 2, "delivery": { "kind": "dn", "dn": "8000", "location": "pbx", "max_concurrent": 9 } });
    town.queue("pbx", rules(two)).await;
    for (second, result) in [
        (0, CallResult::ALL_TRUNKS_BUSY),
        (100, CallResult::WRONG_NUMBER),
        (200, CallResult::WRONG_NUMBER),
    ] {
        town.book("pbx", voice(1), later(second)).await;
        let dialling = town.call(later(second + 1)).await;
        let after = town
            .settle(&dialling, outcome(result), later(second + 2))
            .await;
        if !after.state.is_ended() {
            // The first met a dead trunk: it rang nobody, so it is not a call of the day.
            town.must(
                &after,
                Command::Cancel {
                    by: Canceller::Operator,
                    reason: None,
                },
                later(second + 3),
            )
            .await;
        }
    }
    let third = town.book("pbx", voice(1), later(300)).await;
    assert!(town.claim("one", later(301)).await.callbacks.is_empty());
    let State::Scheduled { due, reason } = town.get(&third).await.state else {
        panic!("on the timer")
    };
    assert_eq!(
        (due, reason),
        (
            later(101 + 24 * 3600),
            DueReason::Held(Guard::NumberDailyLimit)
        )
    );
}

pub async fn the_owner_is_asked_first(town: &Town) {
    town.staffed().await;
    town.agent(2, &["billing"], false).await;
    town.book(
        "billing",
        with(voice(1), json!({ "owner_id": 2 })),
        monday(),
    )
    .await;
    assert_eq!(offer_of(&town.claim_one(later(1)).await).1, AgentId(2));
    town.book(
        "billing",
        with(voice(2), json!({ "owner_id": 2 })),
        later(2),
    )
    .await;
    assert_eq!(
        offer_of(&town.claim_one(later(3)).await).1,
        AgentId(1),
        "the team stands in"
    );
}

/// A claim says when to come again: when the next callback is due, and when the first claim runs out.
pub async fn says_when_to_look_again(town: &Town) {
    town.queue("pbx", dn_rules(1)).await;
    let none = town.claim("one", monday()).await.next;
    assert_eq!(none, Soonest::default());
    let later_on =
        json!({ "start_time": later(3600).to_string(), "end_time": later(7200).to_string() });
    town.book("pbx", with(voice(1), later_on), monday()).await;
    let soon = json!({ "end_time": later(600).to_string() });
    town.book("pbx", with(voice(2), soon), monday()).await;
    let claimed = town.claim("one", later(1)).await;
    assert_eq!(claimed.callbacks.len(), 1);
    assert_eq!(claimed.next.lapse, Some(later(1) + LEASE));
    // It may be early: the window that ended was that of the one just claimed.
    let early = claimed.next.due.expect("another waits");
    assert!((later(600)..=later(3600)).contains(&early), "{early}");
    // One place, and it is taken: the second waits in line, until its window ends.
    let soon = json!({ "end_time": later(900).to_string() });
    town.book("pbx", with(voice(3), soon), monday()).await;
    let full = town.claim("one", later(2)).await;
    assert!(full.callbacks.is_empty() && !full.more);
    let expected = Soonest {
        due: Some(later(900)),
        lapse: Some(later(1) + LEASE),
    };
    assert_eq!(full.next, expected);
    assert_eq!(town.next_wake().await, expected.either());
}

/// Between a planner's choice and the claim a callback may have been passed on to another queue.
pub async fn a_pick_that_has_left_the_queue_is_not_seated_there(town: &Town) {
    town.staffed().await;
    town.queue("elsewhere", rules(json!({}))).await;
    let left = town.book("elsewhere", voice(1), monday()).await;
    let stayed = town.book("billing", voice(2), monday()).await;
    let order = ClaimOrder {
        picks: vec![Picks {
            tenant: tenant(),
            queue: queue_id("billing"),
            callbacks: vec![left.interaction.id, stayed.interaction.id],
        }],
        ..claim_order("one", later(1))
    };
    let claimed = town.store.claim_due(order).await.unwrap().callbacks;
    let seated: Vec<_> = claimed.iter().map(|of| of.interaction.id).collect();
    assert_eq!(seated, [stayed.interaction.id]);
    assert!(matches!(town.get(&left).await.state, State::Queued { .. }));
}
