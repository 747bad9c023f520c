//! The steps of the path, each one transaction, and what each leaves behind.

use crate::town::*;
use ringback_callbacks::agent::Presence;
use ringback_callbacks::callback::{PromiseState, Reply};
use ringback_callbacks::clock::Chance;
use ringback_callbacks::event::Actor;
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::{AgentId, AttemptId, InteractionId};
use ringback_callbacks::lifecycle::{Command, Progress, Refusal};
use ringback_callbacks::outcome::{CallResult, Verdict};
use ringback_callbacks::state::{Canceller, DueReason, State, Target};
use ringback_store::{Applied, ApplyOrder, StoreError, Whose};
use serde_json::json;
use uuid::Uuid;

pub async fn a_whole_call(town: &Town) {
    town.staffed().await;
    let booked = town.book("billing", voice(1), monday()).await;
    let id = booked.interaction.id;
    let offered = town.claim_one(later(1)).await;
    assert_eq!(offered.interaction.id, id);
    assert_eq!(offer_of(&offered).1, AgentId(1));
    assert_eq!(town.agent_now(1).await.engaged, Some(id));
    let assigned = town.accept_offer(&offered, later(2)).await;
    assert!(matches!(
        assigned.state,
        State::Assigned {
            target: Target::Agent(AgentId(1)),
            ..
        }
    ));
    let dialling = town.begin(&assigned, later(3)).await.unwrap();
    let attempt = attempt_of(&dialling);
    let live = &town.store.attempts(&tenant(), id).await.unwrap()[0];
    assert_eq!(
        (live.id, live.number, live.fence, live.ended_at),
        (attempt, 1, dialling.fence, None)
    );
    assert_eq!(live.contact, number(1));
    let ringing = Progress::Ringing {
        party: "customer".to_owned(),
    };
    town.must(
        &dialling,
        Command::Progress {
            fence: dialling.fence,
            attempt,
            what: ringing,
        },
        later(4),
    )
    .await;
    let connected = Progress::Connected {
        route: Some("other".to_owned()),
    };
    let talking = town
        .must(
            &dialling,
            Command::Progress {
                fence: dialling.fence,
                attempt,
                what: connected,
            },
            later(5),
        )
        .await;
    assert!(matches!(talking.state, State::Talking { .. }));
    let wrap_up = town.settle(&talking, reached(), later(65)).await;
    assert!(matches!(
        wrap_up.state,
        State::WrapUp {
            agent: AgentId(1),
            ..
        }
    ));
    assert_eq!(wrap_up.promise.state, PromiseState::Kept);
    assert_eq!(town.agent_now(1).await.engaged, Some(id));
    let ended = &town.store.attempts(&tenant(), id).await.unwrap()[0];
    assert_eq!(
        (ended.answered_at, ended.ended_at, ended.counted),
        (Some(later(5)), Some(later(65)), true)
    );
    assert_eq!(ended.route.as_deref(), Some("other"));
    assert_eq!(
        ended.outcome.as_ref().map(|outcome| outcome.verdict),
        Some(Verdict::Reached)
    );
    let done = Command::Dispose {
        disposition: Some("paid".to_owned()),
        result: None,
    };
    let done = town.must(&wrap_up, done, later(80)).await;
    assert!(matches!(done.state, State::Done { .. }));
    let agent = town.agent_now(1).await;
    assert_eq!(
        (agent.engaged, agent.idle_since, agent.presence),
        (None, later(80), Presence::Ready)
    );
    assert_eq!(town.get(&done).await, done);
    assert_eq!(done.revision, 9);
    assert_eq!(
        town.story(&done).await,
        [
            "accepted",
            "queued",
            "offered",
            "offer_accepted",
            "attempt_begun",
            "ringing",
            "connected",
            "attempt_ended",
            "promise_kept",
            "wrap_up",
            "disposed",
            "done"
        ]
    );
    assert_eq!(town.next_wake().await, None);
    town.is_healthy().await;
}

pub async fn busy_is_tried_again(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let dialling = town.call(later(1)).await;
    let waiting = town
        .settle(&dialling, outcome(CallResult::BUSY), later(2))
        .await;
    let State::Scheduled {
        due,
        reason: DueReason::Retry,
    } = waiting.state
    else {
        panic!("on the timer")
    };
    assert!(due > later(2));
    assert_eq!(
        (waiting.attempts, waiting.placed, waiting.tries.busy),
        (1, 1, 1)
    );
    assert_eq!(town.agent_now(1).await.engaged, None);
    assert_eq!(town.next_wake().await, Some(due));
    assert!(town.claim("one", later(3)).await.callbacks.is_empty());
    let again = town.call(due).await;
    assert_eq!(again.placed, 2);
    let numbers: Vec<u32> = town
        .store
        .attempts(&tenant(), again.interaction.id)
        .await
        .unwrap()
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(numbers, [1, 2]);
    town.is_healthy().await;
}

pub async fn the_expected_revision(town: &Town) {
    town.staffed().await;
    let booked = town.book("billing", voice(1), monday()).await;
    let snooze = |expected| ApplyOrder {
        expected: Some(expected),
        ..ApplyOrder::system(
            tenant(),
            booked.interaction.id,
            Command::Snooze { until: later(600) },
            monday(),
        )
    };
    let moved = town
        .store
        .apply(snooze(1))
        .await
        .unwrap()
        .callback()
        .unwrap();
    assert_eq!(moved.revision, 2);
    let late = town.store.apply(snooze(1)).await;
    assert!(matches!(
        late,
        Err(StoreError::RevisionConflict { current: 2 })
    ));
    assert_eq!(town.get(&booked).await.revision, 2);
    let nobody = ApplyOrder::system(
        tenant(),
        InteractionId(Uuid::from_u128(9)),
        Command::Tick,
        monday(),
    );
    assert!(matches!(
        town.store.apply(nobody).await,
        Err(StoreError::NotFound("callback"))
    ));
}

pub async fn a_command_can_be_repeated(town: &Town) {
    town.staffed().await;
    let booked = town.book("billing", voice(1), monday()).await;
    let cancel = |body| ApplyOrder {
        idempotent: asked(5, "cancel", body),
        ..ApplyOrder::system(
            tenant(),
            booked.interaction.id,
            Command::Cancel {
                by: Canceller::Customer,
                reason: None,
            },
            monday(),
        )
    };
    let Applied::Done(_, Some(first)) = town.store.apply(cancel(1)).await.unwrap() else {
        panic!("done")
    };
    // The callback has ended, so only the kept answer can be given.
    let Applied::Repeated(second) = town.store.apply(cancel(1)).await.unwrap() else {
        panic!("repeated")
    };
    assert_eq!(first, second);
    assert!(matches!(
        town.store.apply(cancel(2)).await,
        Err(StoreError::IdempotencyMismatch)
    ));
    assert_eq!(town.story(&booked).await, ["accepted", "cancelled"]);
}

pub async fn a_declined_offer(town: &Town) {
    town.staffed().await;
    town.agent(2, &["billing"], false).await;
    let booked = town.book("billing", voice(1), monday()).await;
    let offered = town.claim_one(later(1)).await;
    let (offer, agent) = offer_of(&offered);
    let wrong = Command::AcceptOffer {
        offer,
        agent: AgentId(99),
    };
    assert!(matches!(
        town.apply(&offered, wrong, later(2)).await,
        Err(StoreError::Refused(Refusal::OfferGone))
    ));
    let back = town
        .must(&offered, Command::DeclineOffer { offer, agent }, later(2))
        .await;
    assert!(matches!(back.state, State::Queued { .. }));
    assert_eq!(town.agent_now(agent.0).await.engaged, None);
    let next = town.claim_one(later(3)).await;
    assert_eq!(next.interaction.id, booked.interaction.id);
    assert_ne!(offer_of(&next).1, agent, "somebody else is asked next");
}

pub async fn an_unanswered_offer(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let offered = town.claim_one(later(1)).await;
    let too_early = town
        .apply(
            &offered,
            Command::OfferTimedOut {
                fence: offered.fence,
            },
            later(2),
        )
        .await;
    assert!(matches!(
        too_early,
        Err(StoreError::Refused(Refusal::NotNow { .. }))
    ));
    let back = town
        .must(
            &offered,
            Command::OfferTimedOut {
                fence: offered.fence,
            },
            later(60),
        )
        .await;
    assert!(matches!(back.state, State::Queued { .. }));
    let agent = town.agent_now(1).await;
    assert_eq!((agent.presence, agent.engaged), (Presence::Away, None));
    assert!(
        town.claim("one", later(61)).await.callbacks.is_empty(),
        "nobody is there any more"
    );
}

pub async fn a_late_holder_changes_nothing(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let dialling = town.call(later(1)).await;
    let lapsed = town
        .store
        .take_lapsed(&node("two"), later(120), LEASE, Whose::Anybodys, 10)
        .await
        .unwrap();
    assert_eq!(lapsed.len(), 1);
    let before = town.get(&dialling).await;
    let late = town
        .apply(&dialling, settle(&dialling, reached()), later(121))
        .await;
    assert!(matches!(late, Err(StoreError::Refused(Refusal::Fenced))));
    let attempt = attempt_of(&dialling);
    let legs = town
        .store
        .note_legs(&tenant(), attempt, dialling.fence, json!({ "a": 1 }))
        .await;
    assert!(matches!(legs, Err(StoreError::Refused(Refusal::Fenced))));
    assert_eq!(town.get(&dialling).await, before);
    let live = &town
        .store
        .attempts(&tenant(), dialling.interaction.id)
        .await
        .unwrap()[0];
    assert_eq!((live.ended_at, &live.legs), (None, &json!({})));
}

pub async fn cancelling_frees_the_agent(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let offered = town.claim_one(later(1)).await;
    let cancel = Command::Cancel {
        by: Canceller::Customer,
        reason: Some("found it".to_owned()),
    };
    let over = town.must(&offered, cancel, later(2)).await;
    assert!(over.state.is_ended());
    assert_eq!(town.agent_now(1).await.engaged, None);
    let late = town.begin(&offered, later(3)).await;
    assert!(matches!(late, Err(StoreError::Refused(Refusal::Fenced))));
}

pub async fn cancelling_in_mid_call_waits_for_the_outcome(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let dialling = town.call(later(1)).await;
    let cancel = Command::Cancel {
        by: Canceller::Operator,
        reason: None,
    };
    let asked = town.must(&dialling, cancel, later(2)).await;
    assert!(asked.stop.is_some());
    assert!(matches!(asked.state, State::Dialling { .. }));
    let over = town
        .settle(&dialling, outcome(CallResult::CANCEL_RECORD), later(3))
        .await;
    assert!(matches!(over.state, State::Cancelled { .. }));
    assert_eq!(town.agent_now(1).await.engaged, None);
    town.is_healthy().await;
}

pub async fn passing_on_to_an_agent(town: &Town) {
    town.staffed().await;
    town.agent(2, &["other"], false).await;
    town.book("billing", voice(1), monday()).await;
    let offered = town.claim_one(later(1)).await;
    let nobody = town
        .apply(
            &offered,
            Command::TransferToAgent { agent: AgentId(99) },
            later(2),
        )
        .await;
    assert_eq!(conflict(nobody), (Some("agent_id"), "not_found"));
    let passed = town
        .must(
            &offered,
            Command::TransferToAgent { agent: AgentId(2) },
            later(2),
        )
        .await;
    assert!(matches!(
        passed.state,
        State::Transferred { to: AgentId(2), .. }
    ));
    assert_eq!(town.agent_now(1).await.engaged, None);
    let offered = town.claim_one(later(3)).await;
    assert_eq!(offer_of(&offered).1, AgentId(2));
}

pub async fn passing_on_to_a_queue(town: &Town) {
    town.staffed().await;
    town.queue(
        "british",
        rules(json!({ "dial": { "regions": ["GB"], "default_region": "GB" } })),
    )
    .await;
    town.queue("second", rules(json!({}))).await;
    let booked = town.book("billing", voice(1), monday()).await;
    let wrong = town
        .apply(
            &booked,
            Command::TransferToQueue {
                queue: queue_id("british"),
            },
            later(1),
        )
        .await;
    assert!(matches!(
        wrong,
        Err(StoreError::Refused(Refusal::Guarded(Guard::NotDiallable)))
    ));
    let nowhere = town
        .apply(
            &booked,
            Command::TransferToQueue {
                queue: queue_id("nowhere"),
            },
            later(1),
        )
        .await;
    assert_eq!(conflict(nowhere), (Some("queue"), "not_found"));
    let moved = town
        .must(
            &booked,
            Command::TransferToQueue {
                queue: queue_id("second"),
            },
            later(1),
        )
        .await;
    assert_eq!(moved.queue, queue_id("second"));
    assert!(
        town.claim("one", later(2)).await.callbacks.is_empty(),
        "agent 1 does not serve it"
    );
    assert_eq!(
        town.store
            .queue_counts(&tenant(), &queue_id("second"))
            .await
            .unwrap(),
        [("queued".to_owned(), 1)]
    );
    assert!(
        town.store
            .queue_counts(&tenant(), &queue_id("billing"))
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn a_letter_by_template(town: &Town) {
    let template = json!({ "email": { "template": { "subject": "Hello", "text": "We got it" }, "max_concurrent": 1 } });
    town.queue("letters", rules(template)).await;
    town.book("letters", mail("ada"), monday()).await;
    town.book("letters", mail("bob"), later(1)).await;
    let claimed = town.claim("one", later(2)).await.callbacks;
    assert_eq!(claimed.len(), 1, "one letter at a time");
    assert!(matches!(
        claimed[0].state,
        State::Assigned {
            target: Target::Template,
            ..
        }
    ));
    let sending = town.begin(&claimed[0], later(3)).await.unwrap();
    let done = town.settle(&sending, reached(), later(4)).await;
    assert!(
        matches!(done.state, State::Done { .. }),
        "nobody wraps up a template"
    );
    assert_eq!(town.claim("one", later(5)).await.callbacks.len(), 1);
    town.is_healthy().await;
}

pub async fn a_letter_by_an_agent(town: &Town) {
    town.staffed().await;
    town.book("billing", mail("ada"), monday()).await;
    let offered = town.claim_one(later(1)).await;
    let assigned = town.accept_offer(&offered, later(2)).await;
    let reply = Reply {
        subject: "Re".to_owned(),
        text: "Dear Ada".to_owned(),
        html: None,
    };
    let written = Command::WriteReply {
        agent: AgentId(1),
        reply: reply.clone(),
    };
    let written = town.must(&assigned, written, later(3)).await;
    assert_eq!(written.reply, Some(reply));
    let sending = town.begin(&written, later(4)).await.unwrap();
    town.settle(&sending, reached(), later(5)).await;
    town.is_healthy().await;
}

pub async fn the_agent_knows_better(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let dialling = town.call(later(1)).await;
    let wrap_up = town.settle(&dialling, reached(), later(60)).await;
    let machine = Command::Dispose {
        disposition: None,
        result: Some(CallResult::ANSWERING_MACHINE),
    };
    let after = town.must(&wrap_up, machine, later(70)).await;
    assert!(
        matches!(after.state, State::Scheduled { .. }),
        "a machine is not a person"
    );
    let attempt = &town
        .store
        .attempts(&tenant(), after.interaction.id)
        .await
        .unwrap()[0];
    let outcome = attempt.outcome.as_ref().unwrap();
    assert_eq!(
        (outcome.result, outcome.verdict),
        (CallResult::ANSWERING_MACHINE, Verdict::Machine)
    );
    assert_eq!(
        outcome.platform.code,
        Some(200),
        "the platform's own word stays"
    );
}

pub async fn legs_are_noted_by_the_holder(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let dialling = town.call(later(1)).await;
    let attempt = attempt_of(&dialling);
    let legs = json!({ "agent": { "call_id": "x" } });
    town.store
        .note_legs(&tenant(), attempt, dialling.fence, legs.clone())
        .await
        .unwrap();
    assert_eq!(
        town.store
            .attempts(&tenant(), dialling.interaction.id)
            .await
            .unwrap()[0]
            .legs,
        legs
    );
    town.settle(&dialling, outcome(CallResult::BUSY), later(2))
        .await;
    let after = town
        .store
        .note_legs(&tenant(), attempt, dialling.fence, json!({}))
        .await;
    assert!(
        matches!(after, Err(StoreError::Refused(Refusal::Fenced))),
        "an ended attempt has no legs"
    );
}

pub async fn one_pair_of_hands(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let second = town.book("billing", voice(2), later(1)).await;
    town.claim_one(later(2)).await;
    let second = town.get(&second).await;
    let force = Command::Assign {
        node: node("one"),
        lease: LEASE,
        target: Target::Agent(AgentId(1)),
        offer: None,
    };
    assert_eq!(
        conflict(town.apply(&second, force, later(3)).await),
        (None, "agent_engaged")
    );
    let ghost = Command::Assign {
        node: node("one"),
        lease: LEASE,
        target: Target::Agent(AgentId(9)),
        offer: None,
    };
    assert_eq!(
        conflict(town.apply(&second, ghost, later(3)).await),
        (None, "agent_gone")
    );
    assert_eq!(town.get(&second).await, second, "nothing of it was written");
    town.is_healthy().await;
}

pub async fn a_replaced_claim_is_gone(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let assigned = {
        let offered = town.claim_one(later(1)).await;
        town.accept_offer(&offered, later(2)).await
    };
    let release = Command::Release {
        fence: assigned.fence,
        guard: Guard::Route,
        until: later(90),
    };
    let held = town.must(&assigned, release, later(3)).await;
    assert!(matches!(
        held.state,
        State::Scheduled {
            reason: DueReason::Held(Guard::Route),
            ..
        }
    ));
    let stale = begin(AttemptId(town.chance.uuid()), assigned.fence);
    let order = ApplyOrder {
        actor: Actor::System,
        ..ApplyOrder::system(tenant(), assigned.interaction.id, stale, later(4))
    };
    assert!(matches!(
        town.store.apply(order).await,
        Err(StoreError::Refused(Refusal::Fenced))
    ));
    assert!(
        town.store
            .attempts(&tenant(), assigned.interaction.id)
            .await
            .unwrap()
            .is_empty()
    );
}
