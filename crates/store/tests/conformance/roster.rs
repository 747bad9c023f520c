//! Queues, agents, customers and keys: revisions, what is configuration and what is not.

use crate::town::*;
use ringback_callbacks::agent::Presence;
use ringback_callbacks::customer::Customer;
use ringback_callbacks::ids::{AgentId, CustomerId};
use ringback_callbacks::lifecycle::Command;
use ringback_callbacks::state::Canceller;
use ringback_store::{ApiKey, CustomerQuery, Result, Scope, StoreError};
use serde_json::json;
use uuid::Uuid;

fn current<T: std::fmt::Debug>(result: Result<T>) -> u64 {
    match result {
        Err(StoreError::RevisionConflict { current }) => current,
        other => panic!("a revision conflict, not {other:?}"),
    }
}

fn customer(id: &str, name: Option<&str>, contacts: &[String]) -> Customer {
    Customer {
        tenant: tenant(),
        id: CustomerId::parse(id).unwrap(),
        name: name.map(str::to_owned),
        contacts: contacts.to_vec(),
        time_zone: None,
        do_not_call: false,
        created_at: monday(),
        revision: 0,
    }
}

pub async fn queues_have_revisions(town: &Town) {
    let queue = town.queue("billing", rules(json!({}))).await;
    assert_eq!(queue.revision, 1);
    assert_eq!(
        current(town.store.put_queue(queue.clone(), Some(0)).await),
        1
    );
    let mut changed = queue.clone();
    changed.rules.name = "Bills".to_owned();
    changed.created_at = later(99);
    let changed = town.store.put_queue(changed, Some(1)).await.unwrap();
    assert_eq!((changed.revision, changed.created_at), (2, monday()));
    assert_eq!(current(town.store.put_queue(queue, Some(1)).await), 2);
    assert_eq!(
        town.store.queue(&tenant(), &changed.id).await.unwrap(),
        Some(changed.clone())
    );
    town.queue("another", rules(json!({}))).await;
    let ids: Vec<String> = town
        .store
        .queues(&tenant())
        .await
        .unwrap()
        .iter()
        .map(|queue| queue.id.to_string())
        .collect();
    assert_eq!(ids, ["another", "billing"]);
    assert_eq!(
        town.store
            .queue(&tenant(), &queue_id("none"))
            .await
            .unwrap(),
        None
    );
}

pub async fn agents_have_revisions(town: &Town) {
    let agent = town.agent(1, &["b", "a", "b"], false).await;
    assert_eq!(agent.revision, 1);
    assert_eq!(agent.queues, [queue_id("b"), queue_id("a")]);
    assert_eq!(
        current(town.store.put_agent(agent.clone(), Some(7)).await),
        1
    );
    let mut changed = agent.clone();
    changed.queues = vec![queue_id("c")];
    let changed = town.store.put_agent(changed, Some(1)).await.unwrap();
    assert_eq!(changed.revision, 2);
    assert_eq!(town.agent_now(1).await, changed);
    town.agent(2, &[], true).await;
    assert_eq!(town.store.agents(&tenant()).await.unwrap().len(), 2);
    assert_eq!(town.store.agent(&tenant(), AgentId(3)).await.unwrap(), None);
}

pub async fn presence_is_not_configuration(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let claimed = town.claim_one(later(1)).await;
    let stale = town.agent(1, &["billing"], true).await;
    assert_eq!(
        stale.engaged,
        Some(claimed.interaction.id),
        "a change of the name drops no call"
    );
    let away = town
        .store
        .set_presence(&tenant(), AgentId(1), Presence::Away, later(2))
        .await
        .unwrap();
    assert_eq!((away.presence, away.idle_since), (Presence::Away, monday()));
    assert_eq!(
        town.agent(1, &["billing"], true).await.presence,
        Presence::Away
    );
    let back = town
        .store
        .set_presence(&tenant(), AgentId(1), Presence::Ready, later(3))
        .await
        .unwrap();
    assert_eq!(back.idle_since, later(3));
    let again = town
        .store
        .set_presence(&tenant(), AgentId(1), Presence::Ready, later(9))
        .await
        .unwrap();
    assert_eq!(
        again.idle_since,
        later(3),
        "who was ready all along keeps the place"
    );
    let nobody = town
        .store
        .set_presence(&tenant(), AgentId(9), Presence::Ready, later(3))
        .await;
    assert!(matches!(nobody, Err(StoreError::NotFound("agent"))));
}

pub async fn a_busy_agent_is_not_removed(town: &Town) {
    town.staffed().await;
    town.book("billing", voice(1), monday()).await;
    let claimed = town.claim_one(later(1)).await;
    assert_eq!(
        conflict(town.store.remove_agent(&tenant(), AgentId(1)).await),
        (None, "agent_engaged")
    );
    let passed = town
        .must(
            &claimed,
            Command::TransferToAgent { agent: AgentId(1) },
            later(2),
        )
        .await;
    assert_eq!(
        conflict(town.store.remove_agent(&tenant(), AgentId(1)).await),
        (None, "agent_awaited")
    );
    town.must(
        &passed,
        Command::Cancel {
            by: Canceller::Operator,
            reason: None,
        },
        later(3),
    )
    .await;
    assert!(
        town.store
            .remove_agent(&tenant(), AgentId(1))
            .await
            .unwrap()
    );
    assert!(
        !town
            .store
            .remove_agent(&tenant(), AgentId(1))
            .await
            .unwrap()
    );
    assert_eq!(town.store.agents(&tenant()).await.unwrap(), []);
}

pub async fn customers_have_revisions(town: &Town) {
    let first = town
        .store
        .put_customer(customer("C-1", Some("Ada"), &[number(1)]), Some(0))
        .await
        .unwrap();
    assert_eq!(first.revision, 1);
    assert_eq!(
        current(town.store.put_customer(first.clone(), Some(0)).await),
        1
    );
    let mut changed = first.clone();
    changed.contacts = vec![number(2), number(2), number(1)];
    let changed = town.store.put_customer(changed, Some(1)).await.unwrap();
    assert_eq!(
        (changed.revision, &changed.contacts),
        (2, &vec![number(2), number(1)])
    );
    assert_eq!(
        town.store.customer(&tenant(), &first.id).await.unwrap(),
        Some(changed.clone())
    );
    assert_eq!(
        town.store
            .customer_by_contact(&tenant(), &number(2))
            .await
            .unwrap(),
        Some(changed)
    );
    assert_eq!(
        town.store
            .customer_by_contact(&tenant(), &number(3))
            .await
            .unwrap(),
        None
    );
}

pub async fn a_contact_has_one_owner(town: &Town) {
    town.store
        .put_customer(customer("C-1", None, &[number(1)]), None)
        .await
        .unwrap();
    let thief = town
        .store
        .put_customer(customer("C-2", None, &[number(2), number(1)]), None)
        .await;
    assert_eq!(conflict(thief), (Some("contacts"), "taken"));
    assert!(
        town.store
            .customer(&tenant(), &CustomerId::parse("C-2").unwrap())
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        town.store
            .customer_by_contact(&tenant(), &number(2))
            .await
            .unwrap()
            .is_none()
    );
}

pub async fn customers_by_name(town: &Town) {
    for (id, name) in [
        ("C-3", "Ångström"),
        ("C-1", "Ada Byron"),
        ("C-2", "Bob"),
        ("D-9", "Cleo ADAMS"),
    ] {
        town.store
            .put_customer(customer(id, Some(name), &[]), None)
            .await
            .unwrap();
    }
    let list = async |text: Option<&str>, after: Option<&str>, limit| {
        let query = CustomerQuery {
            tenant: tenant(),
            text: text.map(str::to_owned),
            after: after.map(|id| CustomerId::parse(id).unwrap()),
            limit,
        };
        let page = town.store.customers(query).await.unwrap();
        let ids: Vec<String> = page
            .items
            .iter()
            .map(|customer| customer.id.to_string())
            .collect();
        (ids, page.next.is_some())
    };
    assert_eq!(
        list(None, None, 3).await,
        (vec!["C-1".into(), "C-2".into(), "C-3".into()], true)
    );
    assert_eq!(
        list(None, Some("C-3"), 3).await,
        (vec!["D-9".into()], false)
    );
    assert_eq!(
        list(Some("ada"), None, 3).await,
        (vec!["C-1".into(), "D-9".into()], false)
    );
    assert_eq!(
        list(Some("åNG"), None, 3).await,
        (vec!["C-3".into()], false)
    );
    assert_eq!(
        list(Some("c-2"), None, 3).await,
        (vec!["C-2".into()], false)
    );
}

pub async fn keys_by_their_hash(town: &Town) {
    let key = ApiKey {
        id: Uuid::from_u128(1),
        tenant: tenant(),
        name: "CRM".to_owned(),
        hash: [7; 32],
        application: 12,
        scopes: vec![Scope::Read, Scope::Write],
        created_at: monday(),
        expires_at: Some(later(3600)),
        revoked_at: None,
    };
    town.store.put_key(key.clone()).await.unwrap();
    assert_eq!(
        town.store.key_by_hash(&[7; 32]).await.unwrap(),
        Some(key.clone())
    );
    assert_eq!(town.store.key_by_hash(&[8; 32]).await.unwrap(), None);
    let twin = ApiKey {
        id: Uuid::from_u128(2),
        ..key.clone()
    };
    assert_eq!(
        conflict(town.store.put_key(twin).await),
        (None, "constraint")
    );
    assert!(town.store.revoke_key(key.id, later(1)).await.unwrap());
    assert!(!town.store.revoke_key(key.id, later(2)).await.unwrap());
    assert!(
        !town
            .store
            .revoke_key(Uuid::from_u128(9), later(2))
            .await
            .unwrap()
    );
    assert_eq!(
        town.store.keys().await.unwrap(),
        [ApiKey {
            revoked_at: Some(later(1)),
            ..key
        }]
    );
}
