//! Leases: lengthened while work goes on, taken over when it stopped.

use crate::town::*;
use ringback_callbacks::ids::NodeId;
use ringback_callbacks::lifecycle::{Command, Refusal};
use ringback_callbacks::outcome::{CallResult, Verdict};
use ringback_callbacks::state::State;
use ringback_store::{HeldClaim, StoreError, Whose};
use uuid::Uuid;

pub async fn leases_are_lengthened(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let claimed = town.claim_one(later(1)).await;
    let held = HeldClaim {
        tenant: tenant(),
        callback: claimed.interaction.id,
        fence: claimed.fence,
    };
    let lost = town
        .store
        .renew(&node("one"), later(61), vec![held.clone()])
        .await
        .unwrap();
    assert!(lost.is_empty());
    let after = town.get(&claimed).await;
    assert_eq!(after.state.claim().unwrap().until, later(61));
    assert_eq!(
        after.revision, claimed.revision,
        "nothing about the callback has changed"
    );
    assert_eq!(town.next_wake().await, Some(later(61)));
    assert!(
        town.store
            .take_lapsed(&node("two"), later(60), LEASE, Whose::Anybodys, 10)
            .await
            .unwrap()
            .is_empty()
    );
    // Not held: another node, another fence, no such callback.
    let wrong_fence = HeldClaim {
        fence: held.fence + 1,
        ..held.clone()
    };
    let nobody = HeldClaim {
        callback: ringback_callbacks::ids::InteractionId(Uuid::from_u128(9)),
        ..held.clone()
    };
    let lost = town
        .store
        .renew(
            &node("one"),
            later(99),
            vec![wrong_fence.clone(), nobody.clone()],
        )
        .await
        .unwrap();
    assert_eq!(lost, [wrong_fence, nobody]);
    assert_eq!(
        town.store
            .renew(&node("two"), later(99), vec![held.clone()])
            .await
            .unwrap(),
        [held]
    );
    assert_eq!(
        town.get(&claimed).await.state.claim().unwrap().until,
        later(61)
    );
}

pub async fn a_lapsed_claim_changes_hands(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let claimed = town.claim_one(later(1)).await;
    let mut lapsed = town
        .store
        .take_lapsed(&node("two"), later(31), LEASE, Whose::Anybodys, 10)
        .await
        .unwrap();
    assert_eq!(lapsed.len(), 1);
    let taken = lapsed.remove(0);
    assert!(taken.attempt.is_none());
    let claim = taken.callback.state.claim().unwrap();
    assert_eq!(
        (claim.node.name.as_str(), claim.fence),
        ("two", claimed.fence + 1)
    );
    let held = HeldClaim {
        tenant: tenant(),
        callback: claimed.interaction.id,
        fence: claimed.fence,
    };
    assert_eq!(
        town.store
            .renew(&node("one"), later(99), vec![held.clone()])
            .await
            .unwrap(),
        [held]
    );
    let rescue = Command::Rescue {
        fence: taken.callback.fence,
        learned: None,
    };
    let back = town.must(&taken.callback, rescue, later(32)).await;
    assert!(matches!(back.state, State::Queued { .. }));
    assert_eq!(town.agent_now(1).await.engaged, None);
    town.is_healthy().await;
}

pub async fn an_earlier_run_leaves_at_once(town: &Town) {
    town.queue("pbx", dn_rules(10)).await;
    for last in 0..5 {
        town.book("pbx", voice(last), monday()).await;
    }
    assert_eq!(town.claim("one", later(1)).await.callbacks.len(), 5);
    let reborn = NodeId {
        boot: Uuid::from_u128(2),
        ..node("one")
    };
    let other = NodeId {
        boot: Uuid::from_u128(3),
        ..node("two")
    };
    assert!(
        town.store
            .take_lapsed(&other, later(2), LEASE, Whose::Anybodys, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        town.store
            .take_lapsed(&node("one"), later(2), LEASE, Whose::Anybodys, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        town.store
            .take_lapsed(&reborn, later(2), LEASE, Whose::Anybodys, 3)
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        town.store
            .take_lapsed(&reborn, later(2), LEASE, Whose::Anybodys, 3)
            .await
            .unwrap()
            .len(),
        2
    );
    assert!(
        town.store
            .take_lapsed(&reborn, later(2), LEASE, Whose::Anybodys, 3)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn what_was_in_the_air_comes_along(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let dialling = town.call(later(1)).await;
    let legs = serde_json::json!({ "customer": { "call_id": "abc" } });
    town.store
        .note_legs(
            &tenant(),
            attempt_of(&dialling),
            dialling.fence,
            legs.clone(),
        )
        .await
        .unwrap();
    let reborn = NodeId {
        boot: Uuid::from_u128(2),
        ..node("one")
    };
    let mut lapsed = town
        .store
        .take_lapsed(&reborn, later(5), LEASE, Whose::Anybodys, 10)
        .await
        .unwrap();
    let taken = lapsed.remove(0);
    let attempt = taken.attempt.expect("the attempt in the air");
    assert_eq!((attempt.id, attempt.legs), (attempt_of(&dialling), legs));
    let stale = town
        .apply(&dialling, settle(&dialling, reached()), later(6))
        .await;
    assert!(matches!(stale, Err(StoreError::Refused(Refusal::Fenced))));
    let rescue = Command::Rescue {
        fence: taken.callback.fence,
        learned: None,
    };
    let after = town.must(&taken.callback, rescue, later(7)).await;
    assert!(after.may_have_reached);
    assert_eq!(after.last_result, Some(CallResult::UNKNOWN));
    let ended = &town
        .store
        .attempts(&tenant(), after.interaction.id)
        .await
        .unwrap()[0];
    assert_eq!(ended.outcome.as_ref().unwrap().verdict, Verdict::Unknown);
    assert_eq!(town.agent_now(1).await.engaged, None);
    town.is_healthy().await;
}

/// Who has just got the store back takes over what its own name left, and gives the others time to speak.
pub async fn claims_of_others_can_be_left_alone(town: &Town) {
    town.queue("pbx", dn_rules(4)).await;
    for (last, name) in [(1, "one"), (2, "two")] {
        town.book("pbx", voice(last), monday()).await;
        let claimed = town.claim(name, later(1)).await.callbacks;
        assert_eq!(claimed.len(), 1);
    }
    let take = async |whose| {
        let lapsed = town
            .store
            .take_lapsed(&node("two"), later(60), LEASE, whose, 10)
            .await
            .unwrap();
        lapsed.len()
    };
    assert_eq!(take(Whose::ThisNodes).await, 1);
    assert_eq!(take(Whose::ThisNodes).await, 0);
    assert_eq!(take(Whose::Anybodys).await, 1);
}
