//! Who asks twice: merged, joined, refused or allowed, inside the transaction that accepts.

use crate::town::*;
use jiff::Timestamp;
use ringback_callbacks::callback::{Callback, PromiseState};
use ringback_callbacks::guard::Guard;
use ringback_callbacks::interaction::BodyKind;
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::outcome::CallResult;
use ringback_callbacks::state::{Canceller, State};
use ringback_store::{AcceptOrder, Acceptance, CallbackQuery, Result, StoreError};
use serde_json::{Value, json};

async fn under(town: &Town, rule: &str) {
    town.queue("billing", rules(json!({ "duplicates": rule })))
        .await;
    town.agent(1, &["billing"], true).await;
}

async fn ask(town: &Town, request: Value, now: Timestamp) -> Result<Acceptance> {
    let order = town.order("billing", request, now).await;
    town.store.accept(order).await
}

async fn merged(town: &Town, request: Value, now: Timestamp) -> Callback {
    match ask(town, request, now).await.expect("an answer") {
        Acceptance::Merged(callback, None) => *callback,
        other => panic!("merged, not {other:?}"),
    }
}

async fn text_of(town: &Town, callback: &Callback) -> String {
    let kind = BodyKind::PlainText;
    let id = callback.interaction.id;
    let chunk = town.store.read_body(&tenant(), id, kind, 0).await.unwrap();
    String::from_utf8(chunk.expect("a body")).unwrap()
}

async fn all(town: &Town) -> usize {
    let query = CallbackQuery {
        tenant: tenant(),
        limit: 1000,
        ..Default::default()
    };
    town.store.callbacks(query).await.unwrap().items.len()
}

pub async fn a_second_request_is_added_to_the_first(town: &Town) {
    under(town, "merge").await;
    let first = with(
        voice(1),
        json!({ "start_time": "2026-03-09T20:00:00Z", "end_time": "2026-03-09T22:00:00Z",
                "subject": "My bill", "text": "It is wrong", "udata": { "order": "A-77", "tries": 1 } }),
    );
    let first = town.book("billing", first, monday()).await;
    let second = with(
        mail("ada"),
        json!({ "start_time": "2026-03-09T18:00:00Z", "end_time": "2026-03-09T21:00:00Z",
                "contacts": [voice(1)], "subject": "And my meter", "text": "It runs", "priority": 70,
                "structured_text": "<p>It runs</p>", "structured_text_mime": "text/html",
                "udata": { "tries": 2, "page": "bill" } }),
    );
    let after = merged(town, second, later(60)).await;
    assert_eq!(after.interaction.id, first.interaction.id);
    assert_eq!(all(town).await, 1);
    assert_eq!(town.get(&first).await, after);
    assert_eq!(
        town.story(&after).await,
        ["accepted", "promise_moved", "merged"]
    );
    assert_eq!(after.window.start, at("2026-03-09T18:00:00Z"));
    assert_eq!(after.window.end, Some(at("2026-03-09T22:00:00Z")));
    assert!(
        matches!(after.state, State::Scheduled { due, .. } if due == at("2026-03-09T18:00:00Z")),
        "it comes forward: {:?}",
        after.state
    );
    assert_eq!(after.promise.from, at("2026-03-09T18:00:00Z"));
    assert_eq!(
        after.interaction.subject.as_deref(),
        Some("My bill / And my meter")
    );
    assert_eq!(text_of(town, &after).await, "It is wrong\n\n---\n\nIt runs");
    let bodies = &after.interaction.bodies;
    assert_eq!(bodies.plain_text.as_ref().map(|body| body.size), Some(25));
    assert!(bodies.structured_text.is_some());
    assert_eq!(after.priority, 70);
    let udata = Value::Object(after.interaction.udata.clone().unwrap());
    assert_eq!(
        udata,
        json!({ "order": "A-77", "tries": 2, "page": "bill" })
    );
    // The first plan stays, the new way of reaching them comes behind it.
    let plan: Vec<&str> = after
        .contacts
        .iter()
        .map(|step| step.contact.expose())
        .collect();
    assert_eq!(plan, [number(1).as_str(), "ada@example.org"]);
    let customer = town
        .store
        .customer_by_contact(&tenant(), "ada@example.org")
        .await
        .unwrap();
    assert_eq!(
        customer.map(|customer| customer.id),
        Some(after.interaction.customer)
    );
    town.is_healthy().await;
}

pub async fn what_brings_nothing_new_changes_nothing(town: &Town) {
    under(town, "merge").await;
    let first = town.book("billing", voice(1), monday()).await;
    let window = json!({ "end_time": "2026-03-09T15:00:00Z" });
    let after = merged(town, with(voice(1), window), monday()).await;
    assert_eq!(
        (after.window, after.promise, &after.state),
        (first.window, first.promise, &first.state)
    );
    let events = town
        .store
        .events(&tenant(), first.interaction.id, 1, 10)
        .await
        .unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].detail["fields"], json!([]));
    // Another number, another queue: nothing to merge.
    town.queue("sales", rules(json!({ "duplicates": "merge" })))
        .await;
    town.book("billing", voice(2), monday()).await;
    town.book("sales", voice(1), monday()).await;
    assert_eq!(all(town).await, 3);
}

pub async fn many_at_once_are_one(town: &Town) {
    under(town, "merge").await;
    let mut waiting = Vec::new();
    for n in 0..24 {
        let request = with(voice(1), json!({ "udata": { format!("k{n}"): n } }));
        let order = AcceptOrder {
            idempotent: asked(5, &format!("k-{n}"), n),
            ..town.order("billing", request, monday()).await
        };
        let store = town.store.clone();
        waiting.push(tokio::spawn(async move { store.accept(order).await }));
    }
    let (mut new, mut added) = (0, 0);
    for booking in waiting {
        match booking.await.unwrap().unwrap() {
            Acceptance::New(..) => new += 1,
            Acceptance::Merged(..) => added += 1,
            Acceptance::Repeated(_) => panic!("every key is another"),
        }
    }
    assert_eq!((new, added), (1, 23));
    assert_eq!(all(town).await, 1);
    // Nothing that any of them told is lost.
    let open = town.claim_one(later(1)).await;
    assert_eq!(open.interaction.udata.unwrap().len(), 24);
    town.is_healthy().await;
}

pub async fn a_merged_request_can_be_repeated(town: &Town) {
    under(town, "merge").await;
    let first = town.book("billing", voice(1), monday()).await;
    let order = AcceptOrder {
        idempotent: asked(5, "k", 1),
        ..town.order("billing", voice(1), monday()).await
    };
    let Acceptance::Merged(_, Some(told)) = town.store.accept(order).await.unwrap() else {
        panic!("merged")
    };
    assert_eq!(told.body, first.interaction.id.to_string());
    let again = AcceptOrder {
        idempotent: asked(5, "k", 1),
        ..town.order("billing", voice(1), later(5)).await
    };
    let Acceptance::Repeated(repeated) = town.store.accept(again).await.unwrap() else {
        panic!("repeated")
    };
    assert_eq!(repeated, told);
    assert_eq!(town.story(&first).await, ["accepted", "merged"]);
    // Asking what would happen adds nothing.
    let trial = AcceptOrder {
        dry_run: true,
        ..town
            .order(
                "billing",
                with(voice(1), json!({ "text": "hello" })),
                later(5),
            )
            .await
    };
    assert!(matches!(
        town.store.accept(trial).await.unwrap(),
        Acceptance::Merged(_, None)
    ));
    assert_eq!(town.story(&first).await, ["accepted", "merged"]);
    let kind = BodyKind::PlainText;
    let body = town
        .store
        .read_body(&tenant(), first.interaction.id, kind, 0)
        .await;
    assert_eq!(body.unwrap(), None);
}

pub async fn joining_keeps_the_place(town: &Town) {
    under(town, "join").await;
    let first = town.book("billing", voice(1), monday()).await;
    town.store
        .set_presence(
            &tenant(),
            ringback_callbacks::ids::AgentId(1),
            ringback_callbacks::agent::Presence::Away,
            monday(),
        )
        .await
        .unwrap();
    town.claim("one", later(1)).await;
    town.book("billing", voice(2), later(10)).await;
    let wish = json!({ "end_time": "2026-03-09T20:00:00Z", "subject": "Rather today" });
    let next = town
        .book("billing", with(voice(1), wish), later(1200))
        .await;
    let old = town.get(&first).await;
    assert!(matches!(old.state, State::Replaced { by } if by == next.interaction.id));
    assert_eq!(old.promise.state, PromiseState::Released);
    assert_eq!(next.window.end, Some(at("2026-03-09T20:00:00Z")));
    assert_eq!(
        next.promise.to, first.promise.to,
        "promised no later than before"
    );
    // It is served first, as the one it took over would have been.
    town.store
        .set_presence(
            &tenant(),
            ringback_callbacks::ids::AgentId(1),
            ringback_callbacks::agent::Presence::Ready,
            later(1300),
        )
        .await
        .unwrap();
    let served = town.claim_one(later(1300)).await;
    assert_eq!(served.interaction.id, next.interaction.id);
    assert!(matches!(served.state, State::Assigned { since, .. } if since == later(1)));
    town.is_healthy().await;
}

pub async fn while_in_a_call_they_are_merged(town: &Town) {
    under(town, "join").await;
    let first = town.book("billing", voice(1), monday()).await;
    let dialled = town.call(later(1)).await;
    let after = merged(
        town,
        with(voice(1), json!({ "subject": "Hello?" })),
        later(2),
    )
    .await;
    assert_eq!(after.interaction.id, first.interaction.id);
    assert!(matches!(after.state, State::Dialling { .. }));
    // Nobody was rung a second time, and the call goes on under the same claim.
    let ended = town
        .settle(&dialled, outcome(CallResult::BUSY), later(10))
        .await;
    assert_eq!(ended.interaction.subject.as_deref(), Some("Hello?"));
    assert_eq!(all(town).await, 1);
}

pub async fn what_is_as_good_as_over_takes_nothing_in(town: &Town) {
    under(town, "merge").await;
    town.book("billing", voice(1), monday()).await;
    let dialled = town.call(later(1)).await;
    town.must(
        &dialled,
        Command::Cancel {
            by: Canceller::Customer,
            reason: None,
        },
        later(2),
    )
    .await;
    // The cancellation is on its way: a new wish must not go down with the old one.
    let fresh = town.book("billing", voice(1), later(3)).await;
    town.settle(&dialled, reached(), later(4)).await;
    let talked = town.get(&dialled).await;
    assert!(matches!(talked.state, State::WrapUp { .. }));
    assert_eq!(all(town).await, 2);
    let again = merged(town, voice(1), later(5)).await;
    assert_eq!(again.interaction.id, fresh.interaction.id);
}

pub async fn a_second_one_is_turned_away(town: &Town) {
    under(town, "refuse").await;
    let first = town.book("billing", voice(1), monday()).await;
    let events = town.store.last_event().await.unwrap();
    let second = with(voice(1), json!({ "customer_id": "C-2" }));
    match ask(town, second, later(1)).await {
        Err(StoreError::Refused(Refusal::Duplicate { of })) => {
            assert_eq!(of, first.interaction.id);
        }
        other => panic!("refused, not {other:?}"),
    }
    assert_eq!(town.store.last_event().await.unwrap(), events);
    // Whoever says which one is to be replaced may have it so.
    let replaces = json!({ "replaces": first.interaction.id.to_string() });
    town.book("billing", with(voice(1), replaces), later(2))
        .await;
    assert_eq!(town.get(&first).await.state.name(), "replaced");
}

pub async fn a_wish_not_to_be_called_stands_against_merging(town: &Town) {
    under(town, "merge").await;
    town.book("billing", voice(1), monday()).await;
    let other = with(mail("eve"), json!({ "customer_id": "EVE" }));
    town.book("billing", other, monday()).await;
    let eve = town
        .store
        .customer_by_contact(&tenant(), "eve@example.org")
        .await
        .unwrap()
        .unwrap();
    let never = ringback_callbacks::customer::Customer {
        do_not_call: true,
        ..eve
    };
    town.store.put_customer(never, None).await.unwrap();
    let both = with(voice(1), json!({ "contacts": [mail("eve")] }));
    assert!(matches!(
        ask(town, both, later(1)).await,
        Err(StoreError::Refused(Refusal::Guarded(Guard::DoNotCall)))
    ));
}
