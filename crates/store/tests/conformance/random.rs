//! Random commands through the store: seats are never oversold, hands never doubled, chains always whole.

use crate::town::*;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ringback_callbacks::agent::Presence;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::AgentId;
use ringback_callbacks::lifecycle::{Command, Progress};
use ringback_callbacks::outcome::CallResult;
use ringback_callbacks::state::{Canceller, State, Target};
use ringback_store::{CallbackQuery, StoreError, Whose};
use std::collections::BTreeSet;

const PLACES: usize = 2;

#[derive(Clone, Debug)]
enum Deed {
    Book { by_dn: bool, contact: u32 },
    Claim { two: bool, limit: usize },
    Answer { pick: usize, yes: bool },
    TimeOut { pick: usize },
    Begin { pick: usize },
    Connect { pick: usize },
    Settle { pick: usize, result: i32 },
    Dispose { pick: usize, result: i32 },
    Cancel { pick: usize },
    Snooze { pick: usize },
    PassOn { pick: usize, agent: i64 },
    Presence { agent: i64, ready: bool },
    TakeLapsed,
    Wait { seconds: u64 },
}

fn deed() -> impl Strategy<Value = Deed> {
    let pick = 0usize..12;
    let result = prop::sample::select(vec![0, 6, 7, 9, 10, 28, 47, 51, 53]);
    prop_oneof![
        4 => (any::<bool>(), 0u32..6).prop_map(|(by_dn, contact)| Deed::Book { by_dn, contact }),
        6 => (any::<bool>(), 2usize..20).prop_map(|(two, limit)| Deed::Claim { two, limit }),
        4 => (pick.clone(), prop::bool::weighted(0.8)).prop_map(|(pick, yes)| Deed::Answer { pick, yes }),
        1 => pick.clone().prop_map(|pick| Deed::TimeOut { pick }),
        5 => pick.clone().prop_map(|pick| Deed::Begin { pick }),
        2 => pick.clone().prop_map(|pick| Deed::Connect { pick }),
        4 => (pick.clone(), result.clone()).prop_map(|(pick, result)| Deed::Settle { pick, result }),
        2 => (pick.clone(), result).prop_map(|(pick, result)| Deed::Dispose { pick, result }),
        1 => pick.clone().prop_map(|pick| Deed::Cancel { pick }),
        1 => pick.clone().prop_map(|pick| Deed::Snooze { pick }),
        1 => (pick, 1i64..=3).prop_map(|(pick, agent)| Deed::PassOn { pick, agent }),
        2 => (1i64..=3, prop::bool::weighted(0.8)).prop_map(|(agent, ready)| Deed::Presence { agent, ready }),
        1 => Just(Deed::TakeLapsed),
        3 => (1u64..1200).prop_map(|seconds| Deed::Wait { seconds }),
    ]
}

#[test]
fn nothing_is_sold_twice() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&prop::collection::vec(deed(), 1..90), |deeds| {
            runtime
                .block_on(live_through(deeds))
                .map_err(TestCaseError::fail)
        })
        .unwrap();
}

async fn live_through(deeds: Vec<Deed>) -> Result<(), String> {
    let town = sqlite_memory().await;
    town.queue("pbx", dn_rules(u32::try_from(PLACES).unwrap()))
        .await;
    town.queue("billing", rules(serde_json::json!({}))).await;
    for agent in 1..=3 {
        town.agent(agent, &["billing"], agent == 3).await;
    }
    let mut now = monday();
    for deed in deeds {
        let what = format!("{deed:?}");
        match act(&town, deed, &mut now).await {
            // A refusal is an answer; a conflict over an agent's hands too.
            Ok(()) | Err(StoreError::Refused(_) | StoreError::Conflict { .. }) => {}
            Err(error) => return Err(format!("{what}: {error}")),
        }
        look_around(&town)
            .await
            .map_err(|fault| format!("after {what}: {fault}"))?;
    }
    let found = town
        .store
        .examine()
        .await
        .map_err(|error| error.to_string())?;
    if found.faults.is_empty() {
        Ok(())
    } else {
        Err(found.faults.join("; "))
    }
}

async fn act(town: &Town, deed: Deed, now: &mut Timestamp) -> Result<(), StoreError> {
    let at = *now;
    match deed {
        Deed::Book { by_dn, contact } => {
            town.try_book(if by_dn { "pbx" } else { "billing" }, voice(contact), at)
                .await?;
        }
        Deed::Claim { two, limit } => {
            let order = claim_order(if two { "two" } else { "one" }, at);
            town.store
                .claim_due(ringback_store::ClaimOrder {
                    limit,
                    places: limit,
                    picks: Vec::new(),
                    ..order
                })
                .await?;
        }
        Deed::Answer { pick, yes } => {
            let Some(callback) =
                chosen(town, pick, |state| matches!(state, State::Offered { .. })).await
            else {
                return Ok(());
            };
            let (offer, agent) = offer_of(&callback);
            let answer = if yes {
                Command::AcceptOffer { offer, agent }
            } else {
                Command::DeclineOffer { offer, agent }
            };
            town.apply(&callback, answer, at).await?;
        }
        Deed::TimeOut { pick } => {
            let Some(callback) =
                chosen(town, pick, |state| matches!(state, State::Offered { .. })).await
            else {
                return Ok(());
            };
            town.apply(
                &callback,
                Command::OfferTimedOut {
                    fence: callback.fence,
                },
                at,
            )
            .await?;
        }
        Deed::Begin { pick } => {
            let Some(callback) =
                chosen(town, pick, |state| matches!(state, State::Assigned { .. })).await
            else {
                return Ok(());
            };
            town.begin(&callback, at).await?;
        }
        Deed::Connect { pick } => {
            let Some(callback) =
                chosen(town, pick, |state| matches!(state, State::Dialling { .. })).await
            else {
                return Ok(());
            };
            let what = Progress::Connected { route: None };
            let connected = Command::Progress {
                fence: callback.fence,
                attempt: attempt_of(&callback),
                what,
            };
            town.apply(&callback, connected, at).await?;
        }
        Deed::Settle { pick, result } => {
            let Some(callback) = chosen(town, pick, in_call).await else {
                return Ok(());
            };
            town.apply(
                &callback,
                settle(&callback, outcome(CallResult(result))),
                at,
            )
            .await?;
        }
        Deed::Dispose { pick, result } => {
            let Some(callback) =
                chosen(town, pick, |state| matches!(state, State::WrapUp { .. })).await
            else {
                return Ok(());
            };
            let dispose = Command::Dispose {
                disposition: None,
                result: Some(CallResult(result)),
            };
            town.apply(&callback, dispose, at).await?;
        }
        Deed::Cancel { pick } => {
            let Some(callback) = chosen(town, pick, |state| !state.is_ended()).await else {
                return Ok(());
            };
            town.apply(
                &callback,
                Command::Cancel {
                    by: Canceller::Operator,
                    reason: None,
                },
                at,
            )
            .await?;
        }
        Deed::Snooze { pick } => {
            let Some(callback) = chosen(town, pick, |state| !state.is_ended()).await else {
                return Ok(());
            };
            let until =
                ringback_callbacks::wire_time::plus(at, std::time::Duration::from_secs(300));
            town.apply(&callback, Command::Snooze { until }, at).await?;
        }
        Deed::PassOn { pick, agent } => {
            let Some(callback) = chosen(town, pick, |state| !state.is_ended()).await else {
                return Ok(());
            };
            town.apply(
                &callback,
                Command::TransferToAgent {
                    agent: AgentId(agent),
                },
                at,
            )
            .await?;
        }
        Deed::Presence { agent, ready } => {
            let presence = if ready {
                Presence::Ready
            } else {
                Presence::Away
            };
            town.store
                .set_presence(&tenant(), AgentId(agent), presence, at)
                .await?;
        }
        Deed::TakeLapsed => {
            for lapsed in town
                .store
                .take_lapsed(&node("one"), at, LEASE, Whose::Anybodys, 10)
                .await?
            {
                let rescue = Command::Rescue {
                    fence: lapsed.callback.fence,
                    learned: None,
                };
                town.apply(&lapsed.callback, rescue, at).await?;
            }
        }
        Deed::Wait { seconds } => {
            *now = ringback_callbacks::wire_time::plus(at, std::time::Duration::from_secs(seconds))
        }
    }
    Ok(())
}

fn in_call(state: &State) -> bool {
    matches!(state, State::Dialling { .. } | State::Talking { .. })
}

async fn everything(town: &Town) -> Vec<Callback> {
    town.store
        .callbacks(CallbackQuery {
            limit: 1000,
            ..CallbackQuery::default()
        })
        .await
        .unwrap()
        .items
}

async fn chosen(town: &Town, pick: usize, fits: impl Fn(&State) -> bool) -> Option<Callback> {
    let mut fitting: Vec<Callback> = everything(town)
        .await
        .into_iter()
        .filter(|callback| fits(&callback.state))
        .collect();
    if fitting.is_empty() {
        return None;
    }
    let pick = pick % fitting.len();
    Some(fitting.swap_remove(pick))
}

/// What must hold after every deed.
async fn look_around(town: &Town) -> Result<(), String> {
    let (mut at_dn, mut hands, mut numbers) = (0, BTreeSet::new(), BTreeSet::new());
    for callback in everything(town).await {
        if let Some(agent) = callback.state.engages() {
            if !hands.insert(agent) {
                return Err(format!("agent {agent} has two callbacks in hand"));
            }
            if town.agent_now(agent.0).await.engaged != Some(callback.interaction.id) {
                return Err(format!("agent {agent} does not know what is in hand"));
            }
        }
        match &callback.state {
            State::Assigned {
                target: Target::Dn, ..
            }
            | State::Dialling {
                target: Target::Dn, ..
            }
            | State::Talking {
                target: Target::Dn, ..
            } => at_dn += 1,
            _ => {}
        }
        if in_call(&callback.state) && !numbers.insert(callback.contact().expose().to_owned()) {
            return Err("two calls with one number".to_owned());
        }
    }
    let engaged = town
        .store
        .agents(&tenant())
        .await
        .unwrap()
        .iter()
        .filter(|agent| agent.engaged.is_some())
        .count();
    if engaged != hands.len() {
        return Err("hands are full of nothing".to_owned());
    }
    if at_dn > PLACES {
        Err(format!("{at_dn} at {PLACES} places"))
    } else {
        Ok(())
    }
}
