//! What the server says afterwards, compared with what the clients were told and what the telephones saw.

use crate::harness::Client;
use crate::intake::Diary;
use serde_json::Value;
use std::collections::BTreeMap;

/// Everything that is stored, as one node tells it.
pub struct Stored {
    pub callbacks: BTreeMap<String, Value>,
    /// By attempt id, with the callback each belongs to.
    pub attempts: BTreeMap<String, (String, Value)>,
}

impl Stored {
    pub async fn read(client: &Client) -> Stored {
        let mut callbacks = BTreeMap::new();
        let mut path = "/v1/callbacks?limit=200".to_owned();
        loop {
            let page = client.get(&path).await;
            for callback in page["items"].as_array().expect("a page") {
                let id = callback["interaction_id"]
                    .as_str()
                    .expect("an id")
                    .to_owned();
                callbacks.insert(id, callback.clone());
            }
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/v1/callbacks?limit=200&cursor={cursor}"),
                None => break,
            }
        }
        let mut attempts = BTreeMap::new();
        for id in callbacks.keys() {
            for attempt in client.attempts(id).await {
                let name = attempt["attempt_id"].as_str().expect("an id").to_owned();
                let before = attempts.insert(name, (id.clone(), attempt));
                assert!(before.is_none(), "one attempt under two callbacks");
            }
        }
        Stored {
            callbacks,
            attempts,
        }
    }
}

/// Every booking that was answered 201 is there, once; what got no answer is there once or not at all.
pub fn check_bookings(diary: &Diary, stored: &Stored) {
    let mut by_key: BTreeMap<&str, u32> = BTreeMap::new();
    for callback in stored.callbacks.values() {
        *by_key
            .entry(callback["external_id"].as_str().unwrap_or_default())
            .or_default() += 1;
    }
    let lost: Vec<_> = diary
        .accepted
        .iter()
        .filter(|(_, id)| !stored.callbacks.contains_key(*id))
        .collect();
    assert!(
        lost.is_empty(),
        "{} acknowledged bookings are lost: {lost:?}",
        lost.len()
    );
    let doubled: Vec<_> = by_key.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "booked twice by one key: {doubled:?}");
    let strangers: Vec<_> = by_key
        .keys()
        .filter(|key| !diary.keys.contains(**key))
        .collect();
    assert!(
        strangers.is_empty(),
        "callbacks nobody booked: {strangers:?}"
    );
    assert!(
        diary.contradictions.is_empty(),
        "one key, two answers: {:?}",
        diary.contradictions
    );
    println!(
        "{} bookings acknowledged, {} stored, {} repeated with the same key; answers that were no good: {:?}",
        diary.accepted.len(),
        stored.callbacks.len(),
        diary.repeated,
        diary.setbacks
    );
}

/// No attempt rang twice, and every attempt that rang is recorded.
pub fn check_rings(who: &str, rings: &BTreeMap<String, u32>, odd: &[String], stored: &Stored) {
    let twice: Vec<_> = rings.iter().filter(|(_, count)| **count > 1).collect();
    assert!(
        twice.is_empty(),
        "attempts that rang the {who} twice: {twice:?}"
    );
    let unrecorded: Vec<_> = rings
        .keys()
        .filter(|attempt| !stored.attempts.contains_key(*attempt))
        .collect();
    assert!(
        unrecorded.is_empty(),
        "attempts that rang the {who} and are not recorded: {unrecorded:?}"
    );
    assert!(odd.is_empty(), "the {who} saw {odd:#?}");
}
