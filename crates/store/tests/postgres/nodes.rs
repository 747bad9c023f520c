//! Two nodes on one database: what one of them has taken, the other has not.

use crate::town::*;
use crate::{connect, database, stand_still};
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::{AttemptId, InteractionId};
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::state::Canceller;
use ringback_store::{
    AcceptOrder, Acceptance, Applied, ApplyOrder, ClaimOrder, Claimed, Result, Store, StoreError,
    Whose,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits longer than this for something that is bound to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The same town, as another node sees it.
pub async fn beside(town: &Town) -> Town {
    let mut other = Town::open(town.url.clone(), Ground::Elsewhere).await;
    other.chance = Dice::new(23);
    other
}

/// Hands orders in at both nodes in turn, all at once.
async fn at_once(nodes: [&Town; 2], orders: Vec<AcceptOrder>) -> Vec<Result<Acceptance>> {
    let waiting: Vec<_> = orders
        .into_iter()
        .enumerate()
        .map(|(index, order)| {
            let store: Arc<dyn Store> = Arc::clone(&nodes[index % 2].store);
            tokio::spawn(async move { store.accept(order).await })
        })
        .collect();
    let mut answers = Vec::new();
    for one in waiting {
        answers.push(one.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_number_has_one_open_callback() {
    let one = postgres().await;
    one.queue("billing", rules(json!({ "duplicates": "merge" })))
        .await;
    let two = beside(&one).await;
    let mut orders = Vec::new();
    for n in 0..64 {
        let request = with(voice(1), json!({ "udata": { format!("k{n}"): n } }));
        orders.push(one.order("billing", request, monday()).await);
    }
    let (mut new, mut merged) = (0, 0);
    let mut ids = std::collections::BTreeSet::new();
    for answer in at_once([&one, &two], orders).await {
        match answer.unwrap() {
            Acceptance::New(callback, _) => {
                new += 1;
                ids.insert(callback.interaction.id);
            }
            Acceptance::Merged(callback, _) => {
                merged += 1;
                ids.insert(callback.interaction.id);
            }
            Acceptance::Repeated(_) => panic!("no key was given"),
        }
    }
    assert_eq!((new, merged, ids.len()), (1, 63, 1));
    let open = two
        .store
        .open_in_queue(&tenant(), &queue_id("billing"), None, 10)
        .await
        .unwrap();
    assert_eq!(open.len(), 1);
    // Nothing that any of them told is lost.
    assert_eq!(open[0].interaction.udata.as_ref().unwrap().len(), 64);
    one.is_healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_place_is_sold_once() {
    let one = postgres().await;
    let rules = rules(json!({ "capacity": { "per_slot": 3 }, "booking": {} }));
    one.queue("billing", rules).await;
    let two = beside(&one).await;
    let wanted = json!({
        "start_time": "2026-03-09T15:00:00.000Z", "end_time": "2026-03-09T15:15:00.000Z"
    });
    let mut orders = Vec::new();
    for last in 0..40 {
        let request = with(voice(last), wanted.clone());
        orders.push(one.order("billing", request, monday()).await);
    }
    let answers = at_once([&one, &two], orders).await;
    let sold = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(sold, 3);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Ok(_) | Err(StoreError::NoPlace { .. }))),
        "{answers:?}"
    );
    one.is_healthy().await;
}

/// Days are counted apart, windows over several of them together, and long ones over all: no slot and no day is sold
/// beyond what it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_day_is_sold_beyond_its_limit() {
    const HOUR: u64 = 3600;
    // One long window makes its whole group wait for all others.
    for (day_limit, customer_limit, long) in [
        (None, None, false),
        (Some(9), None, false),
        (Some(9), None, true),
        (Some(9), Some(1), true),
    ] {
        let one = postgres().await;
        let mut booking = json!({ "slot": "1h", "horizon": "60d", "notice": "0s" });
        if let Some(limit) = day_limit {
            booking["per_day"] = json!(limit);
        }
        if let Some(limit) = customer_limit {
            booking["per_customer"] = json!(limit);
        }
        let own =
            json!({ "booking": booking, "capacity": { "per_slot": 2 }, "duplicates": "allow" });
        one.queue("billing", rules(own)).await;
        let two = beside(&one).await;
        // Both know the queue's slots from here on, and foresee what a booking looks at.
        for (town, last) in [(&one, 901), (&two, 902)] {
            let far = json!({ "start_time": later(50 * 24 * HOUR).to_string() });
            town.book("billing", with(voice(last), far), monday()).await;
        }
        let mut orders = Vec::new();
        for n in 0..240u64 {
            // One hour, a whole day from noon to noon, or three weeks.
            let (from, length) = match n % 8 {
                0..6 => ((24 + (n * 7) % 72) * HOUR, HOUR),
                6 => ((24 + (n % 3) * 24 + 12) * HOUR, 24 * HOUR),
                _ if !long => (60 * HOUR, 2 * HOUR),
                _ => (24 * HOUR, 21 * 24 * HOUR),
            };
            let window = json!({
                "start_time": later(from).to_string(), "end_time": later(from + length).to_string(),
                "any_hour": true,
            });
            let number = u32::try_from(n / 2).unwrap();
            orders.push(
                one.order("billing", with(voice(number), window), monday())
                    .await,
            );
        }
        let mut slots = std::collections::BTreeMap::<_, u32>::new();
        let mut refused = 0;
        for answer in at_once([&one, &two], orders).await {
            match answer {
                Ok(Acceptance::New(callback, _)) => {
                    *slots
                        .entry(callback.slot.expect("a slot").start)
                        .or_default() += 1;
                }
                Err(StoreError::NoPlace { .. }) => refused += 1,
                Ok(other) => panic!("nothing is merged or repeated here: {other:?}"),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused > 0, "more was wanted than there was");
        assert!(slots.values().all(|booked| *booked <= 2), "{slots:?}");
        let mut days = std::collections::BTreeMap::<_, u32>::new();
        for (start, booked) in &slots {
            let day = start.in_tz("America/New_York").unwrap().date();
            *days.entry(day).or_default() += booked;
        }
        if let Some(limit) = day_limit {
            assert!(days.values().all(|booked| *booked <= limit), "{days:?}");
        }
        one.is_healthy().await;
        two.store.close().await;
    }
}

/// Each node locks the places of the queues whose callbacks it has just made due, and then those of the other queues with
/// somebody waiting, in whatever order that comes to: nobody waits for ever, and no queue has more calls than places.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn places_of_many_queues_are_given_out_by_two_nodes() {
    const QUEUES: usize = 3;
    const PLACES: usize = 4;
    let one = postgres().await;
    let names: Vec<String> = (0..QUEUES).map(|n| format!("pbx-{n}")).collect();
    for name in &names {
        one.queue(name, dn_rules(u32::try_from(PLACES).unwrap()))
            .await;
    }
    let two = beside(&one).await;
    for n in 0..60u32 {
        // Due a second apart, in turns: each look of a node makes callbacks of other queues due.
        let start = json!({ "start_time": later(u64::from(60 + n)).to_string() });
        let name = &names[n as usize % QUEUES];
        one.book(name, with(voice(n), start), monday()).await;
    }
    let mut looks = Vec::new();
    for second in 0..70u64 {
        for (name, town) in [("one", &one), ("two", &two)] {
            let order = claim_order(name, later(60 + second));
            let store = Arc::clone(&town.store);
            looks.push(tokio::spawn(async move { store.claim_due(order).await }));
        }
    }
    let mut claimed = std::collections::BTreeMap::<String, usize>::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut add = |look: Claimed| {
        for callback in look.callbacks {
            assert!(seen.insert(callback.interaction.id), "claimed by two");
            *claimed.entry(callback.queue.to_string()).or_default() += 1;
        }
        look.more
    };
    for look in looks {
        add(look.await.expect("a look").expect("no look fails"));
    }
    // What one stepped over because the other was at it is found by coming back, as it was told to.
    for round in 0.. {
        if !add(one.claim("one", later(200)).await) {
            break;
        }
        assert!(round < 50, "there is always more");
    }
    assert_eq!(claimed.len(), QUEUES);
    assert!(
        claimed.values().all(|calls| *calls == PLACES),
        "{claimed:?}"
    );
    two.store.close().await;
}

/// A node that has given out a place of a queue and has not committed it keeps the queue to itself: another one that
/// comes by with a queue of its own steps over it, and says that there is more to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_queue_whose_places_another_node_gives_out_is_stepped_over() {
    const PLACES: u32 = 3;
    let one = postgres().await;
    one.queue("busy", dn_rules(PLACES)).await;
    one.queue("quiet", dn_rules(PLACES)).await;
    let two = beside(&one).await;
    let due = |seconds| json!({ "start_time": later(seconds).to_string() });
    let mut waiting = Vec::new();
    for last in 0..PLACES + 2 {
        let request = with(voice(last), due(60));
        waiting.push(one.book("busy", request, monday()).await.interaction.id);
    }
    let quiet = with(voice(50), due(61));
    let quiet = one.book("quiet", quiet, monday()).await.interaction.id;
    let no_place = ClaimOrder {
        places: 0,
        ..claim_order("one", later(60))
    };
    one.store.claim_due(no_place).await.expect("all wait now");

    // Whoever is given a place meets an event that somebody else is about to write, and stands still there.
    let events = one.store.events(&tenant(), waiting[0], 0, 100).await;
    let next = events.expect("events").len() + 1;
    let stalled = connect(&one.url).await;
    stalled.batch_execute("BEGIN").await.unwrap();
    for (index, id) in waiting.iter().enumerate() {
        let number = i32::try_from(next).unwrap();
        let seq = i64::try_from(index).unwrap();
        stalled
            .execute(
                "INSERT INTO events (tenant, seq, callback, number, at, kind, actor, detail, hash)
                 VALUES ('default', $1, $2, $3, 0, 'assigned', 'system', '{}', 'none')",
                &[&seq, &id.0, &number],
            )
            .await
            .unwrap();
    }
    let only_one = ClaimOrder {
        places: 1,
        ..claim_order("one", later(60))
    };
    let store = Arc::clone(&one.store);
    let first = tokio::spawn(async move { store.claim_due(only_one).await });
    stand_still(&one, "transactionid", 1).await;

    let looked = two.claim("two", later(61));
    let looked = tokio::time::timeout(PATIENCE, looked);
    let looked = looked.await.expect("nobody is waited for");
    let taken: Vec<_> = looked
        .callbacks
        .iter()
        .map(|of| of.interaction.id)
        .collect();
    assert_eq!(taken, [quiet], "the busy queue is somebody else's");
    assert!(looked.more, "it is worth coming back");

    stalled.batch_execute("ROLLBACK").await.unwrap();
    let first = first.await.expect("a look").expect("it goes on");
    let rest = two.claim("two", later(62)).await;
    let given = [first.callbacks.len(), rest.callbacks.len()];
    assert_eq!(given, [1, PLACES as usize - 1]);
    two.store.close().await;
}

/// Somebody who takes a call over ends the legs that are noted. The old holder, late by a moment, notes no other then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_leg_is_noted_behind_the_back_of_who_takes_over() {
    let one = postgres().await;
    one.queue("billing", dn_rules(1)).await;
    let two = beside(&one).await;
    one.book("billing", voice(1), monday()).await;
    let claimed = one.claim_one(later(1)).await;
    let dialling = one.begin(&claimed, later(1)).await.expect("begins");
    let attempt = attempt_of(&dialling);

    // The other has the callback's row and goes on to read its customer.
    let stalled = connect(&one.url).await;
    let lock = "BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE";
    stalled.batch_execute(lock).await.unwrap();
    let store = Arc::clone(&two.store);
    let taking = tokio::spawn(async move {
        let late = later(60);
        store
            .take_lapsed(&node("two"), late, LEASE, Whose::Anybodys, 10)
            .await
    });
    stand_still(&one, "relation", 1).await;
    let store = Arc::clone(&one.store);
    let noting = tokio::spawn(async move {
        let legs = json!({ "customer": "a second leg" });
        let fence = dialling.fence;
        store.note_legs(&tenant(), attempt, fence, legs).await
    });
    stand_still(&one, "transactionid", 1).await;
    stalled.batch_execute("ROLLBACK").await.unwrap();

    let taken = taking.await.unwrap().expect("is taken over");
    let known = &taken[0].attempt.as_ref().expect("an attempt").legs;
    assert!(!known.to_string().contains("second"), "{known}");
    let noted = noting.await.unwrap();
    assert!(
        matches!(noted, Err(StoreError::Refused(Refusal::Fenced))),
        "{noted:?}"
    );
    two.store.close().await;
}

/// A claim that has begun earlier may go on from what somebody has written since: whoever follows is told of the one
/// before the other all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_a_callback_are_told_in_their_order() {
    let one = postgres().await;
    one.queue("billing", dn_rules(2)).await;
    let two = beside(&one).await;
    let due = |seconds| json!({ "start_time": later(seconds).to_string() });
    let first = one.book("billing", with(voice(1), due(60)), monday()).await;
    one.book("billing", with(voice(2), due(70)), monday()).await;
    let claimed = one.claim_one(later(60)).await;
    assert_eq!(claimed.interaction.id, first.interaction.id);

    // The other has the second one's row, and with it its number, and goes on to look who is free.
    let stalled = connect(&one.url).await;
    let lock = "BEGIN; LOCK TABLE agents IN ACCESS EXCLUSIVE MODE";
    stalled.batch_execute(lock).await.unwrap();
    let store = Arc::clone(&two.store);
    let claiming =
        tokio::spawn(async move { store.claim_due(claim_order("two", later(70))).await });
    stand_still(&one, "relation", 1).await;
    let back = Command::Release {
        fence: claimed.fence,
        guard: Guard::NoAgent,
        until: later(70),
    };
    let released = one
        .apply(&claimed, back, later(70))
        .await
        .expect("goes back");
    assert_eq!(released.state.name(), "queued");
    stalled.batch_execute("ROLLBACK").await.unwrap();

    let claimed = claiming.await.unwrap().expect("claims");
    assert_eq!(claimed.callbacks.len(), 2, "the first one too");
    let all: usize = database(&one)
        .sql("SELECT count(*) FROM events")
        .parse()
        .unwrap();
    let told: Vec<u32> = one
        .followed(all)
        .await
        .iter()
        .filter(|event| event.callback == first.interaction.id)
        .map(|event| event.number)
        .collect();
    assert!(told.is_sorted(), "{told:?}");
    two.store.close().await;
}

/// Somebody builds an index, or a stand-by does not answer: that passes. What a call came to is said again then, and
/// nobody may take the store's answer for a fault that stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lock_that_somebody_keeps_is_told_as_what_passes() {
    let town = postgres().await;
    town.queue("billing", dn_rules(1)).await;
    town.book("billing", voice(1), monday()).await;
    let claimed = town.claim_one(later(1)).await;
    let dialling = town.begin(&claimed, later(1)).await.expect("begins");
    let keeper = connect(&town.url).await;
    let lock = "BEGIN; LOCK TABLE callbacks IN SHARE MODE";
    keeper.batch_execute(lock).await.unwrap();
    let end = settle(&dialling, reached());
    let told = town.apply(&dialling, end.clone(), later(2)).await;
    assert!(matches!(told, Err(StoreError::Busy)), "{told:?}");
    keeper.batch_execute("ROLLBACK").await.unwrap();
    let ended = town
        .apply(&dialling, end, later(2))
        .await
        .expect("it is free");
    assert_eq!(ended.last_result, Some(reached().result));
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_key_has_one_callback_and_one_answer() {
    let one = postgres().await;
    one.queue("billing", rules(json!({}))).await;
    let two = beside(&one).await;
    for round in 0..8 {
        let key = format!("key-{round}");
        let mut orders = Vec::new();
        for _ in 0..6 {
            let order = one.order("billing", voice(round), monday()).await;
            orders.push(AcceptOrder {
                idempotent: asked(5, &key, 1),
                ..order
            });
        }
        let mut new = 0;
        let mut told = Vec::new();
        for answer in at_once([&one, &two], orders).await {
            match answer.unwrap() {
                Acceptance::New(_, answer) => {
                    new += 1;
                    told.push(answer.expect("an answer"));
                }
                Acceptance::Repeated(answer) => told.push(answer),
                Acceptance::Merged(..) => panic!("duplicates are allowed"),
            }
        }
        assert_eq!((new, told.len()), (1, 6), "{key}");
        assert!(told.iter().all(|answer| *answer == told[0]), "{told:?}");
    }
    let open = one
        .store
        .open_in_queue(&tenant(), &queue_id("billing"), None, 100)
        .await
        .unwrap();
    assert_eq!(open.len(), 8);
    one.is_healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_is_late_changes_nothing() {
    let one = postgres().await;
    one.staffed().await;
    let two = beside(&one).await;
    one.book("billing", voice(1), monday()).await;
    let held = one.claim_one(later(1)).await;
    let held = one.accept_offer(&held, later(2)).await;
    // The first one sleeps for longer than its lease, and the second takes over.
    let mut lapsed = two
        .store
        .take_lapsed(&node("two"), later(120), LEASE, Whose::Anybodys, 10)
        .await
        .unwrap();
    let taken = lapsed.remove(0).callback;
    assert!(taken.fence > held.fence);
    let before = two.get(&held).await;
    let story = two.story(&held).await;
    let late = one.begin(&held, later(121)).await;
    assert!(
        matches!(late, Err(StoreError::Refused(Refusal::Fenced))),
        "{late:?}"
    );
    let renewed = one
        .store
        .renew(
            &node("one"),
            later(500),
            vec![ringback_store::HeldClaim {
                tenant: tenant(),
                callback: held.interaction.id,
                fence: held.fence,
            }],
        )
        .await
        .unwrap();
    assert_eq!(renewed.len(), 1, "it is told that it is not held any more");
    assert_eq!(two.get(&held).await, before);
    assert_eq!(two.story(&held).await, story);
    let id = held.interaction.id;
    assert!(two.store.attempts(&tenant(), id).await.unwrap().is_empty());
    one.is_healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_number_is_rung_by_one_node() {
    let one = postgres().await;
    one.queue("pbx", dn_rules(100)).await;
    let two = beside(&one).await;
    for round in 0..10 {
        let now = later(u64::from(round) * 100);
        let request = voice(round);
        one.book("pbx", request.clone(), now).await;
        one.book("pbx", request, now).await;
        // Each holds one of them, before anybody rings.
        let mut held = Vec::new();
        for (node, name) in [(&one, "one"), (&two, "two")] {
            let order = ClaimOrder {
                limit: 1,
                ..claim_order(name, later(u64::from(round) * 100 + 1))
            };
            held.extend(node.store.claim_due(order).await.unwrap().callbacks);
        }
        let begins: Vec<_> = held
            .iter()
            .zip([&one, &two])
            .map(|(callback, node)| {
                let (store, attempt) = (Arc::clone(&node.store), AttemptId(id(node)));
                let order = ApplyOrder::system(
                    tenant(),
                    callback.interaction.id,
                    begin(attempt, callback.fence),
                    later(u64::from(round) * 100 + 2),
                );
                tokio::spawn(async move { store.apply(order).await })
            })
            .collect();
        let tried = begins.len();
        let mut begun = 0;
        for one in begins {
            // Whoever comes second is told to wait: the number is in a call.
            if let Ok(Applied::Done(callback, _)) = one.await.unwrap() {
                begun += usize::from(callback.state.name() == "dialling");
            }
        }
        assert_eq!((tried, begun), (2, 1), "round {round}");
        let attempts = crate::database(&one).sql("SELECT count(*) FROM attempts");
        assert_eq!(attempts, (round + 1).to_string());
        for callback in &held {
            let callback = one.get(callback).await;
            let now = later(u64::from(round) * 100 + 10);
            if callback.state.name() == "dialling" {
                one.settle(&callback, reached(), now).await;
            } else {
                let by = Canceller::Customer;
                one.must(&callback, Command::Cancel { by, reason: None }, now)
                    .await;
            }
        }
    }
    one.is_healthy().await;
}

fn id(town: &Town) -> uuid::Uuid {
    ringback_callbacks::clock::Chance::uuid(&*town.chance)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_see_what_either_does() {
    let one = postgres().await;
    one.queue("billing", rules(json!({}))).await;
    let two = beside(&one).await;
    let mut news = two.store.signals();
    let booked = one.book("billing", voice(1), monday()).await;
    assert_eq!(two.get(&booked).await, booked);
    let heard = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        loop {
            match news.recv().await.unwrap() {
                ringback_store::Signal::Callback { id, .. } => return id,
                ringback_store::Signal::Agent { .. } | ringback_store::Signal::Queue { .. } => {}
            }
        }
    });
    let heard: InteractionId = heard.await.expect("news within a minute");
    assert_eq!(heard, booked.interaction.id);
}

/// The doctor looks at one moment, whatever goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn examining_finds_no_faults_in_what_others_write_meanwhile() {
    let one = postgres().await;
    one.queue("billing", rules(json!({}))).await;
    let two = beside(&one).await;
    let mut orders = Vec::new();
    for last in 0..300 {
        orders.push(one.order("billing", voice(last), monday()).await);
    }
    let store = Arc::clone(&one.store);
    let writing = tokio::spawn(async move {
        for order in orders {
            let Acceptance::New(callback, _) = store.accept(order).await.unwrap() else {
                panic!("a new one")
            };
            let snooze = Command::Snooze { until: later(7200) };
            let order = ApplyOrder::system(tenant(), callback.interaction.id, snooze, later(1));
            store.apply(order).await.unwrap();
        }
    });
    let mut looks = 0;
    while !writing.is_finished() {
        two.is_healthy().await;
        looks += 1;
    }
    writing.await.unwrap();
    assert!(looks > 1, "it was looked at while it was written");
    let found = two.store.examine().await.unwrap();
    assert_eq!((found.callbacks, found.faults), (300, Vec::new()));
    let written = crate::database(&one).sql("SELECT count(*) FROM events");
    assert_eq!(found.events.to_string(), written);
}
