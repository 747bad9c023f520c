//! Lists and their filters, pages, search, events in order, and the answer to "why not yet?".

use crate::town::*;
use ringback_callbacks::agent::Presence;
use ringback_callbacks::guard::{Guard, Held};
use ringback_callbacks::ids::{AgentId, CustomerId, InteractionId};
use ringback_callbacks::interaction::EntityType;
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::request;
use ringback_callbacks::state::Canceller;
use ringback_store::{AnyInteraction, CallbackQuery, InteractionQuery, StateCount};
use serde_json::json;
use std::collections::BTreeSet;

async fn found(town: &Town, query: CallbackQuery) -> Vec<InteractionId> {
    let query = CallbackQuery {
        limit: 100,
        ..query
    };
    town.store
        .callbacks(query)
        .await
        .unwrap()
        .items
        .iter()
        .map(|callback| callback.interaction.id)
        .collect()
}

pub async fn every_filter(town: &Town) {
    town.staffed().await;
    town.queue("second", rules(json!({}))).await;
    let root = town.recorded(None).await;
    let plain = town.book("second", voice(1), monday()).await;
    let rich = json!({
        "customer_number": number(2), "desired_response_type": "Voice", "after_failures": 1,
        "contacts": [
            { "customer_number": "ada@example.org", "desired_response_type": "Email" },
            { "customer_number": number(2), "desired_response_type": "Voice" },
        ],
        "customer_id": "C-2", "thread_id": "t-1", "external_id": "x-1", "owner_id": 1, "parent_id": root.id.to_string(),
    });
    let rich = town.book("billing", rich, later(60)).await;
    let cancelled = town
        .book(
            "second",
            with(voice(3), json!({ "start_time": "2026-03-10T15:00:00Z" })),
            later(120),
        )
        .await;
    town.must(
        &cancelled,
        Command::Cancel {
            by: Canceller::Customer,
            reason: None,
        },
        later(121),
    )
    .await;
    town.claim("one", later(130)).await;
    let (plain, rich, cancelled) = (
        plain.interaction.id,
        rich.interaction.id,
        cancelled.interaction.id,
    );

    let all = CallbackQuery::default;
    let table: Vec<(&str, CallbackQuery, Vec<InteractionId>)> = vec![
        ("all", all(), vec![cancelled, rich, plain]),
        (
            "queue",
            CallbackQuery {
                queue: Some(queue_id("second")),
                ..all()
            },
            vec![cancelled, plain],
        ),
        (
            "callback status",
            CallbackQuery {
                callback_status: vec![5],
                ..all()
            },
            vec![rich],
        ),
        (
            "callback statuses",
            CallbackQuery {
                callback_status: vec![3, 5],
                ..all()
            },
            vec![rich, plain],
        ),
        (
            "status",
            CallbackQuery {
                status: vec![3],
                ..all()
            },
            vec![cancelled],
        ),
        (
            "customer",
            CallbackQuery {
                customer: Some(CustomerId::parse("C-2").unwrap()),
                ..all()
            },
            vec![rich],
        ),
        (
            "number",
            CallbackQuery {
                contact: Some(number(2)),
                ..all()
            },
            vec![rich],
        ),
        (
            "later contact",
            CallbackQuery {
                contact: Some("ada@example.org".to_owned()),
                ..all()
            },
            vec![rich],
        ),
        (
            "owner",
            CallbackQuery {
                owner: Some(1),
                ..all()
            },
            vec![rich],
        ),
        (
            "agent",
            CallbackQuery {
                agent: Some(AgentId(1)),
                ..all()
            },
            vec![rich],
        ),
        (
            "thread",
            CallbackQuery {
                thread: Some("t-1".to_owned()),
                ..all()
            },
            vec![rich],
        ),
        (
            "parent",
            CallbackQuery {
                parent: Some(root.id),
                ..all()
            },
            vec![rich],
        ),
        (
            "external id",
            CallbackQuery {
                external_id: Some("x-1".to_owned()),
                ..all()
            },
            vec![rich],
        ),
        (
            "start from",
            CallbackQuery {
                start_from: Some(later(60)),
                ..all()
            },
            vec![cancelled, rich],
        ),
        (
            "start before",
            CallbackQuery {
                start_before: Some(later(60)),
                ..all()
            },
            vec![plain],
        ),
        (
            "created from",
            CallbackQuery {
                created_from: Some(later(120)),
                ..all()
            },
            vec![cancelled],
        ),
        (
            "created before",
            CallbackQuery {
                created_before: Some(later(60)),
                ..all()
            },
            vec![plain],
        ),
        (
            "together",
            CallbackQuery {
                contact: Some(number(2)),
                owner: Some(1),
                status: vec![2],
                ..all()
            },
            vec![rich],
        ),
        (
            "none",
            CallbackQuery {
                contact: Some(number(2)),
                status: vec![3],
                ..all()
            },
            vec![],
        ),
    ];
    for (name, query, expected) in table {
        assert_eq!(found(town, query).await, expected, "{name}");
    }
}

pub async fn pages_stay_put(town: &Town) {
    town.staffed().await;
    let mut expected = Vec::new();
    for last in 0..23 {
        // Several in one millisecond, so that the id has to break the tie.
        expected.push(
            town.book("billing", voice(last), later(u64::from(last / 4)))
                .await
                .interaction
                .id,
        );
    }
    let mut seen = Vec::new();
    let mut after = None;
    for round in 0..10 {
        let query = CallbackQuery {
            after,
            limit: 5,
            ..CallbackQuery::default()
        };
        let page = town.store.callbacks(query).await.unwrap();
        assert!(page.items.len() <= 5);
        seen.extend(page.items.iter().map(|callback| callback.interaction.id));
        // Newcomers do not shift what is still to come.
        town.book("billing", voice(100 + round), later(1000)).await;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 23, "each once");
    let (seen, expected): (BTreeSet<_>, BTreeSet<_>) =
        (seen.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(seen, expected);
    let exact = CallbackQuery {
        limit: 100,
        ..CallbackQuery::default()
    };
    assert_eq!(town.store.callbacks(exact).await.unwrap().next, None);
}

pub async fn words_are_found(town: &Town) {
    town.staffed().await;
    let request = json!({ "subject": "Réclamation Électricité", "category_id": "Billing", "external_id": "CRM-77",
        "udata": { "product": "Fibre 500", "count": 12, "note": "100%_sure" } });
    let one = town
        .book("billing", with(voice(1), request), monday())
        .await
        .interaction
        .id;
    town.book(
        "billing",
        with(voice(2), json!({ "subject": "Another thing" })),
        monday(),
    )
    .await;
    for text in [
        "électricité",
        "RÉCLAMATION",
        "crm-77",
        "fibre",
        "12 billing",
        "ation fib",
        "100%_sure",
    ] {
        let query = CallbackQuery {
            text: Some(text.to_owned()),
            ..CallbackQuery::default()
        };
        assert_eq!(found(town, query).await, [one], "{text}");
    }
    for text in ["fibre another", "%", "' OR 1=1 --"] {
        let query = CallbackQuery {
            text: Some(text.to_owned()),
            ..CallbackQuery::default()
        };
        let expected = if text == "%" { vec![one] } else { vec![] };
        assert_eq!(found(town, query).await, expected, "{text}");
    }
}

pub async fn every_kind_of_interaction(town: &Town) {
    town.staffed().await;
    let call = town.recorded(None).await;
    let chat = town.recorded(Some(call.id)).await;
    assert_eq!(chat.thread.as_deref(), Some(call.id.to_string().as_str()));
    let child = with(
        voice(1),
        json!({ "parent_id": call.id.to_string(), "customer_id": "C-9" }),
    );
    let child = town.book("billing", child, later(1)).await;
    let list = async |query: InteractionQuery| -> Vec<InteractionId> {
        let query = InteractionQuery { limit: 10, ..query };
        town.store
            .interactions(query)
            .await
            .unwrap()
            .items
            .iter()
            .map(|any| any.interaction().id)
            .collect()
    };
    let children = list(InteractionQuery {
        parent: Some(call.id),
        ..InteractionQuery::default()
    })
    .await;
    assert_eq!(children, [child.interaction.id, chat.id]);
    let thread = list(InteractionQuery {
        thread: chat.thread.clone(),
        ..InteractionQuery::default()
    })
    .await;
    assert_eq!(thread, [child.interaction.id, chat.id]);
    let customer = Some(CustomerId::parse("C-9").unwrap());
    assert_eq!(
        list(InteractionQuery {
            customer,
            ..InteractionQuery::default()
        })
        .await
        .len(),
        3
    );
    let external_id = Some("call-9".to_owned());
    assert_eq!(
        list(InteractionQuery {
            external_id,
            ..InteractionQuery::default()
        })
        .await
        .len(),
        2
    );
    let entity_type = Some(EntityType::CALLBACK);
    assert_eq!(
        list(InteractionQuery {
            entity_type,
            ..InteractionQuery::default()
        })
        .await,
        [child.interaction.id]
    );
    let first = town
        .store
        .interactions(InteractionQuery {
            limit: 2,
            ..InteractionQuery::default()
        })
        .await
        .unwrap();
    let rest = InteractionQuery {
        limit: 2,
        after: first.next,
        ..InteractionQuery::default()
    };
    let rest = town.store.interactions(rest).await.unwrap();
    assert_eq!(
        (first.items.len(), rest.items.len(), rest.next),
        (2, 1, None)
    );
    match town.store.interaction(&tenant(), call.id).await.unwrap() {
        Some(AnyInteraction::Other(other)) => {
            assert_eq!((other.status, &other.interaction), (3, &call))
        }
        other => panic!("the recorded call, not {other:?}"),
    }
    assert!(matches!(
        town.store
            .interaction(&tenant(), child.interaction.id)
            .await
            .unwrap(),
        Some(AnyInteraction::Callback(_))
    ));
    let story = town.store.events(&tenant(), call.id, 0, 10).await.unwrap();
    assert_eq!(
        story
            .iter()
            .map(|event| event.kind.name())
            .collect::<Vec<_>>(),
        ["recorded"]
    );
    town.is_healthy().await;
}

pub async fn events_in_commit_order(town: &Town) {
    town.staffed().await;
    let store = town.store.clone();
    let follower = tokio::spawn(async move {
        let mut seen = Vec::new();
        // What is committed is told at once, but may come into the order a little later, when an older
        // transaction has ended. Bounded: nothing is waited for longer than a minute.
        let mut signals = store.signals();
        let mut rounds = 0;
        while seen.len() < 120 {
            rounds += 1;
            assert!(rounds < 3000, "events are missing");
            let last = seen.last().copied().unwrap_or(0);
            let more = store.events_after(&tenant(), last, 7).await.unwrap();
            if more.is_empty() {
                let _ = tokio::time::timeout(std::time::Duration::from_millis(20), signals.recv())
                    .await;
            }
            seen.extend(more.iter().map(|event| event.seq));
        }
        seen
    });
    let mut writers = Vec::new();
    for last in 0..40 {
        let order = town.order("billing", voice(last), monday()).await;
        let store = town.store.clone();
        writers.push(tokio::spawn(async move {
            let id = order.id;
            store.accept(order).await.unwrap();
            let snooze = Command::Snooze { until: later(900) };
            store
                .apply(ringback_store::ApplyOrder::system(
                    tenant(),
                    id,
                    snooze,
                    later(1),
                ))
                .await
                .unwrap();
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let seen = follower.await.unwrap();
    let there: Vec<i64> = town
        .followed(120)
        .await
        .iter()
        .map(|event| event.seq)
        .collect();
    assert_eq!(seen, there, "no gap, no repetition");
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order");
    assert_eq!(
        town.store.last_event().await.unwrap(),
        seen.last().copied().unwrap()
    );
}

pub async fn why_not_yet(town: &Town) {
    town.staffed().await;
    let first = town.book("billing", voice(1), monday()).await;
    let second = town.book("billing", voice(2), later(1)).await;
    let tomorrow = town
        .book(
            "billing",
            with(voice(3), json!({ "start_time": "2026-03-10T15:00:00Z" })),
            later(2),
        )
        .await;
    town.store
        .set_presence(&tenant(), AgentId(1), Presence::Away, later(3))
        .await
        .unwrap();
    town.claim("one", later(4)).await;
    let answer = async |callback: &ringback_callbacks::callback::Callback| {
        town.store
            .guard_now(&tenant(), callback.interaction.id, later(5))
            .await
            .unwrap()
            .unwrap()
    };
    let one = answer(&first).await;
    assert_eq!((one.held, one.free_seats, one.ahead), (None, 0, 0));
    assert_eq!(answer(&second).await.ahead, 1);
    let booked = answer(&tomorrow).await;
    assert_eq!(
        booked.held,
        Some(Held::Until(Guard::NotYet, at("2026-03-10T15:00:00Z")))
    );
    town.store
        .set_presence(&tenant(), AgentId(1), Presence::Ready, later(6))
        .await
        .unwrap();
    assert_eq!(answer(&first).await.free_seats, 1);
    assert_eq!(
        town.get(&tomorrow).await,
        tomorrow,
        "asking changes nothing"
    );
    let nobody = InteractionId(uuid::Uuid::from_u128(9));
    assert!(
        town.store
            .guard_now(&tenant(), nobody, later(5))
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn how_many_wait(town: &Town) {
    town.staffed().await;
    for last in 0..3 {
        town.book("billing", voice(last), monday()).await;
    }
    town.claim("one", later(1)).await;
    let billing = queue_id("billing");
    let counts = town.store.queue_counts(&tenant(), &billing).await.unwrap();
    assert_eq!(
        counts,
        [("offered".to_owned(), 1), ("queued".to_owned(), 2)]
    );
    let all = town.store.counts().await.unwrap();
    let count = |state: &str, count| StateCount {
        queue: billing.clone(),
        state: state.to_owned(),
        count,
    };
    assert_eq!(all, [count("offered", 1), count("queued", 2)]);
}

pub async fn what_was_changed_is_found(town: &Town) {
    town.staffed().await;
    let request = with(
        voice(1),
        json!({ "external_id": "old", "owner_id": 1, "subject": "before" }),
    );
    let booked = town.book("billing", request, monday()).await;
    let patch = with(
        voice(2),
        json!({ "external_id": "new", "owner_id": 2, "subject": "after" }),
    );
    let changes = request::parse_changes(&object(patch), &rules(json!({})));
    let change = Command::Change(Box::new(changes.unwrap()));
    town.must(&booked, change, later(1)).await;
    let id = booked.interaction.id;
    let all = CallbackQuery::default;
    let old = [
        CallbackQuery {
            external_id: Some("old".to_owned()),
            ..all()
        },
        CallbackQuery {
            owner: Some(1),
            ..all()
        },
        CallbackQuery {
            contact: Some(number(1)),
            ..all()
        },
        CallbackQuery {
            text: Some("before".to_owned()),
            ..all()
        },
    ];
    let new = [
        CallbackQuery {
            external_id: Some("new".to_owned()),
            ..all()
        },
        CallbackQuery {
            owner: Some(2),
            ..all()
        },
        CallbackQuery {
            contact: Some(number(2)),
            ..all()
        },
        CallbackQuery {
            text: Some("after".to_owned()),
            ..all()
        },
    ];
    for (old, new) in old.into_iter().zip(new) {
        assert_eq!(found(town, old).await, []);
        assert_eq!(found(town, new).await, [id]);
    }
}
