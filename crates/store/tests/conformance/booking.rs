//! Bookings: what one commit holds, what a repeated request gets, and what is turned away.

use crate::town::*;
use ringback_callbacks::callback::PromiseState;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::{CustomerId, InteractionId, TenantId};
use ringback_callbacks::interaction::BodyKind;
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::state::{Canceller, State};
use ringback_store::{AcceptOrder, Acceptance, CallbackQuery, StoreError};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

pub async fn everything_is_there(town: &Town) {
    town.staffed().await;
    let request = with(
        voice(1),
        json!({ "subject": "My bill", "text": "It is wrong", "udata": { "order": "A-77" } }),
    );
    let booked = town.book("billing", request, monday()).await;
    assert_eq!(booked.revision, 1);
    assert_eq!(booked.interaction.creator_app, 5);
    assert_eq!(booked.promise.state, PromiseState::Open);
    assert_eq!(town.get(&booked).await, booked);
    assert_eq!(town.story(&booked).await, ["accepted"]);
    let customer = town
        .store
        .customer_by_contact(&tenant(), &number(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(customer.id, booked.interaction.customer);
    assert_eq!(customer.contacts, [number(1)]);
    let body = town
        .store
        .read_body(&tenant(), booked.interaction.id, BodyKind::PlainText, 0)
        .await
        .unwrap();
    assert_eq!(body.as_deref(), Some(b"It is wrong".as_slice()));
    town.is_healthy().await;
}

pub async fn the_same_key_gets_the_same_answer(town: &Town) {
    town.staffed().await;
    let order = AcceptOrder {
        idempotent: asked(5, "k", 1),
        ..town.order("billing", voice(1), monday()).await
    };
    let id = order.id;
    let Acceptance::New(_, Some(first)) = town.store.accept(order).await.unwrap() else {
        panic!("new")
    };
    assert_eq!(first.body, id.to_string());
    let again = AcceptOrder {
        idempotent: asked(5, "k", 1),
        ..town.order("billing", voice(1), later(60)).await
    };
    let Acceptance::Repeated(second) = town.store.accept(again).await.unwrap() else {
        panic!("repeated")
    };
    assert_eq!(second, first);
    assert_eq!(all(town).await, 1);
}

pub async fn the_same_key_with_another_request_is_refused(town: &Town) {
    town.staffed().await;
    let order = AcceptOrder {
        idempotent: asked(5, "k", 1),
        ..town.order("billing", voice(1), monday()).await
    };
    town.store.accept(order).await.unwrap();
    let other = AcceptOrder {
        idempotent: asked(5, "k", 2),
        ..town.order("billing", voice(2), monday()).await
    };
    assert!(matches!(
        town.store.accept(other).await,
        Err(StoreError::IdempotencyMismatch)
    ));
    assert_eq!(all(town).await, 1);
}

pub async fn keys_of_two_applications_never_meet(town: &Town) {
    town.staffed().await;
    for application in [5, 6] {
        let order = AcceptOrder {
            idempotent: asked(application, "k", 1),
            ..town.order("billing", voice(1), monday()).await
        };
        assert!(matches!(
            town.store.accept(order).await.unwrap(),
            Acceptance::New(..)
        ));
    }
    assert_eq!(all(town).await, 2);
}

pub async fn an_answer_is_kept_for_its_time(town: &Town) {
    town.staffed().await;
    let order = AcceptOrder {
        idempotent: asked(5, "k", 1),
        ..town.order("billing", voice(1), monday()).await
    };
    town.store.accept(order).await.unwrap();
    assert_eq!(town.store.prune(later(47 * 3600)).await.unwrap(), 0);
    // Past its time it is as good as gone, pruned or not.
    let past = later(49 * 3600);
    let other = AcceptOrder {
        idempotent: asked(5, "k", 2),
        ..town.order("billing", voice(2), past).await
    };
    assert!(matches!(
        town.store.accept(other).await.unwrap(),
        Acceptance::New(..)
    ));
    assert_eq!(town.store.prune(later(98 * 3600)).await.unwrap(), 1);
    assert_eq!(town.store.prune(later(98 * 3600)).await.unwrap(), 0);
}

pub async fn sixty_four_at_once(town: &Town) {
    town.staffed().await;
    let mut orders = Vec::new();
    for last in 0..64 {
        orders.push(town.order("billing", voice(last), monday()).await);
    }
    let ids: BTreeSet<InteractionId> = orders.iter().map(|order| order.id).collect();
    let waiting: Vec<_> = orders
        .into_iter()
        .map(|order| {
            let store = town.store.clone();
            tokio::spawn(async move { store.accept(order).await })
        })
        .collect();
    for booking in waiting {
        let Acceptance::New(callback, None) = booking.await.unwrap().unwrap() else {
            panic!("new")
        };
        assert!(ids.contains(&callback.interaction.id));
        // Whoever has the answer finds the callback.
        assert_eq!(town.get(&callback).await, *callback);
    }
    let events = town.followed(64).await;
    assert!(
        events.windows(2).all(|pair| pair[0].seq < pair[1].seq),
        "in one order"
    );
    let told: BTreeSet<InteractionId> = events.iter().map(|event| event.callback).collect();
    assert_eq!((events.len(), told), (64, ids), "each once");
    town.is_healthy().await;
}

pub async fn asking_only_writes_nothing(town: &Town) {
    town.staffed().await;
    let order = AcceptOrder {
        dry_run: true,
        idempotent: asked(5, "k", 1),
        ..town
            .order(
                "billing",
                with(voice(1), json!({ "text": "hello" })),
                monday(),
            )
            .await
    };
    let id = order.id;
    let mut signals = town.store.signals();
    let Acceptance::New(would_be, None) = town.store.accept(order).await.unwrap() else {
        panic!("new")
    };
    assert!(matches!(would_be.state, State::Scheduled { .. }));
    assert!(town.store.callback(&tenant(), id).await.unwrap().is_none());
    assert!(
        town.store
            .customer_by_contact(&tenant(), &number(1))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(town.store.last_event().await.unwrap(), 0);
    assert!(
        signals.try_recv().is_err(),
        "nothing happened, so nothing is told"
    );
    // The key was not used up either.
    let real = AcceptOrder {
        idempotent: asked(5, "k", 2),
        ..town.order("billing", voice(1), monday()).await
    };
    assert!(matches!(
        town.store.accept(real).await.unwrap(),
        Acceptance::New(..)
    ));
}

pub async fn the_same_number_finds_the_same_customer(town: &Town) {
    town.staffed().await;
    let first = town.book("billing", voice(1), monday()).await;
    let further = json!([{ "customer_number": number(1), "desired_response_type": "Voice" }]);
    let plan = with(
        mail("ada"),
        json!({ "contacts": further, "customer_name": "Ada" }),
    );
    let second = town.book("billing", plan, monday()).await;
    assert_eq!(second.interaction.customer, first.interaction.customer);
    let customer = town
        .store
        .customer(&tenant(), &first.interaction.customer)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(customer.contacts, [number(1), "ada@example.org".to_owned()]);
    assert_eq!(customer.name.as_deref(), Some("Ada"));
    assert_eq!(customer.revision, 2);
}

pub async fn a_named_customer_is_made(town: &Town) {
    town.staffed().await;
    let booked = town
        .book(
            "billing",
            with(voice(1), json!({ "customer_id": "C-1" })),
            monday(),
        )
        .await;
    assert_eq!(booked.interaction.customer.as_str(), "C-1");
    let customer = town
        .store
        .customer(&tenant(), &booked.interaction.customer)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((customer.contacts, customer.revision), (vec![number(1)], 1));
}

pub async fn a_contact_stays_with_its_customer(town: &Town) {
    town.staffed().await;
    town.book(
        "billing",
        with(voice(1), json!({ "customer_id": "C-1" })),
        monday(),
    )
    .await;
    let other = town
        .book(
            "billing",
            with(voice(1), json!({ "customer_id": "C-2" })),
            monday(),
        )
        .await;
    assert_eq!(other.interaction.customer.as_str(), "C-2");
    let owner = town
        .store
        .customer_by_contact(&tenant(), &number(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(owner.id.as_str(), "C-1");
}

pub async fn do_not_call_is_refused(town: &Town) {
    town.staffed().await;
    forbid(town, "C-1", 1).await;
    let refused = town.try_book("billing", voice(1), monday()).await;
    assert!(matches!(
        refused,
        Err(StoreError::Refused(Refusal::Guarded(Guard::DoNotCall)))
    ));
    assert_eq!(all(town).await, 0);
}

pub async fn do_not_call_holds_for_the_number(town: &Town) {
    town.staffed().await;
    forbid(town, "C-1", 1).await;
    let around = town
        .try_book(
            "billing",
            with(voice(1), json!({ "customer_id": "C-2" })),
            monday(),
        )
        .await;
    assert!(matches!(
        around,
        Err(StoreError::Refused(Refusal::Guarded(Guard::DoNotCall)))
    ));
    // What the refused request would have made was not made.
    assert!(
        town.store
            .customer(&tenant(), &CustomerId::parse("C-2").unwrap())
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn a_parent_must_take_children(town: &Town) {
    town.staffed().await;
    let nobody = with(
        voice(1),
        json!({ "parent_id": Uuid::from_u128(9).to_string() }),
    );
    assert_eq!(
        conflict(town.try_book("billing", nobody, monday()).await),
        (Some("parent_id"), "not_found")
    );
    let childless = town
        .book(
            "billing",
            with(voice(1), json!({ "allow_children": false })),
            monday(),
        )
        .await;
    let child = with(
        voice(2),
        json!({ "parent_id": childless.interaction.id.to_string() }),
    );
    assert_eq!(
        conflict(town.try_book("billing", child, monday()).await),
        (Some("parent_id"), "no_children")
    );
    assert_eq!(all(town).await, 1);
}

pub async fn children_join_the_thread(town: &Town) {
    town.staffed().await;
    let call = town.recorded(None).await;
    let child = with(voice(1), json!({ "parent_id": call.id.to_string() }));
    let child = town.book("billing", child, monday()).await;
    assert_eq!(
        child.interaction.thread.as_deref(),
        Some(call.id.to_string().as_str())
    );
    let grandchild = with(
        voice(2),
        json!({ "parent_id": child.interaction.id.to_string() }),
    );
    let grandchild = town.book("billing", grandchild, monday()).await;
    assert_eq!(grandchild.interaction.thread, child.interaction.thread);
    let own = with(
        voice(3),
        json!({ "parent_id": call.id.to_string(), "thread_id": "mine" }),
    );
    assert_eq!(
        town.book("billing", own, monday())
            .await
            .interaction
            .thread
            .as_deref(),
        Some("mine")
    );
}

pub async fn the_new_one_replaces_the_old(town: &Town) {
    town.staffed().await;
    let old = town.book("billing", voice(1), monday()).await;
    let new = with(
        voice(1),
        json!({ "replaces": old.interaction.id.to_string() }),
    );
    let new = town.book("billing", new, monday()).await;
    let old = town.get(&old).await;
    assert_eq!(
        old.state,
        State::Replaced {
            by: new.interaction.id
        }
    );
    assert_eq!(old.interaction.ended_at, Some(monday()));
    assert_eq!(town.story(&old).await, ["accepted", "replaced"]);
    town.is_healthy().await;
}

pub async fn what_is_over_cannot_be_replaced(town: &Town) {
    town.staffed().await;
    let old = town.book("billing", voice(1), monday()).await;
    town.must(
        &old,
        Command::Cancel {
            by: Canceller::Customer,
            reason: None,
        },
        monday(),
    )
    .await;
    let new = with(
        voice(1),
        json!({ "replaces": old.interaction.id.to_string() }),
    );
    assert_eq!(
        conflict(town.try_book("billing", new, monday()).await),
        (Some("replaces"), "not_now")
    );
    let nobody = with(
        voice(1),
        json!({ "replaces": Uuid::from_u128(9).to_string() }),
    );
    assert_eq!(
        conflict(town.try_book("billing", nobody, monday()).await),
        (Some("replaces"), "not_found")
    );
    assert_eq!(all(town).await, 1);
}

pub async fn a_queue_must_take_it(town: &Town) {
    assert_eq!(
        conflict(town.try_book("nowhere", voice(1), monday()).await),
        (Some("queue"), "not_found")
    );
    let mut queue = town.queue("billing", rules(json!({}))).await;
    queue.intake_paused = true;
    let mut queue = town.store.put_queue(queue, None).await.unwrap();
    let paused = town.try_book("billing", voice(1), monday()).await;
    assert!(matches!(
        paused,
        Err(StoreError::Refused(Refusal::IntakePaused))
    ));
    (queue.intake_paused, queue.removed) = (false, true);
    town.store.put_queue(queue, None).await.unwrap();
    let removed = town.try_book("billing", voice(1), monday()).await;
    assert!(matches!(
        removed,
        Err(StoreError::Refused(Refusal::Guarded(Guard::QueueRemoved)))
    ));
}

pub async fn an_id_is_used_once(town: &Town) {
    town.staffed().await;
    let booked = town.book("billing", voice(1), monday()).await;
    let mut order = town.order("billing", voice(2), monday()).await;
    order.id = booked.interaction.id;
    assert_eq!(
        conflict(town.store.accept(order).await),
        (Some("interaction_id"), "exists")
    );
}

pub async fn tenants_never_meet(town: &Town) {
    town.staffed().await;
    let booked = town.book("billing", voice(1), monday()).await;
    let other = TenantId::parse("other").unwrap();
    assert!(
        town.store
            .callback(&other, booked.interaction.id)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        town.store
            .customer_by_contact(&other, &number(1))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        town.store
            .events_after(&other, 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let query = CallbackQuery {
        tenant: other,
        limit: 10,
        ..CallbackQuery::default()
    };
    assert!(town.store.callbacks(query).await.unwrap().items.is_empty());
}

async fn all(town: &Town) -> usize {
    let query = CallbackQuery {
        limit: 100,
        ..CallbackQuery::default()
    };
    town.store.callbacks(query).await.unwrap().items.len()
}

async fn forbid(town: &Town, id: &str, last: u32) {
    let customer = Customer {
        tenant: tenant(),
        id: CustomerId::parse(id).unwrap(),
        name: None,
        contacts: vec![number(last)],
        time_zone: None,
        do_not_call: true,
        created_at: monday(),
        revision: 0,
    };
    town.store.put_customer(customer, None).await.unwrap();
}
