//! Random commands never reach a forbidden state, and events always chain.

mod support;

use proptest::prelude::*;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::event::{Event, chain_hash, verify_chain};
use ringback_callbacks::guard::Guard;
use ringback_callbacks::ids::*;
use ringback_callbacks::lifecycle::{AttemptChange, Begin, Command, Progress};
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode};
use ringback_callbacks::state::{Canceller, State, Target};
use ringback_callbacks::wire_time::plus;
use serde_json::json;
use std::time::Duration;
use support::*;
use uuid::Uuid;

/// A command with free choices; the fence is right or wrong, the attempt the live one or another.
#[derive(Clone, Debug)]
enum Wish {
    Tick,
    Assign { agent: Option<i64>, offer: bool },
    Accept,
    Decline,
    TimeOut { right: bool },
    Release { right: bool, wait: u64 },
    Begin { right: bool },
    Connected { right: bool },
    Settle { right: bool, result: i32 },
    TakeOver,
    Rescue { right: bool },
    Dispose { result: Option<i32> },
    Cancel,
    Reschedule { minutes: u64 },
    Snooze { minutes: u64 },
    Transfer { agent: i64 },
    DoNotCall,
    Pause(bool),
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        4 => Just(Wish::Tick),
        4 => (proptest::option::of(1i64..4), any::<bool>()).prop_map(|(agent, offer)| Wish::Assign { agent, offer }),
        3 => Just(Wish::Accept),
        1 => Just(Wish::Decline),
        1 => any::<bool>().prop_map(|right| Wish::TimeOut { right }),
        1 => (any::<bool>(), 0u64..200).prop_map(|(right, wait)| Wish::Release { right, wait }),
        4 => prop::bool::weighted(0.8).prop_map(|right| Wish::Begin { right }),
        2 => prop::bool::weighted(0.8).prop_map(|right| Wish::Connected { right }),
        4 => (prop::bool::weighted(0.8), 0i32..54).prop_map(|(right, result)| Wish::Settle { right, result }),
        1 => Just(Wish::TakeOver),
        1 => any::<bool>().prop_map(|right| Wish::Rescue { right }),
        1 => proptest::option::of(0i32..54).prop_map(|result| Wish::Dispose { result }),
        1 => Just(Wish::Cancel),
        1 => (0u64..3000).prop_map(|minutes| Wish::Reschedule { minutes }),
        1 => (0u64..3000).prop_map(|minutes| Wish::Snooze { minutes }),
        1 => (1i64..4).prop_map(|agent| Wish::Transfer { agent }),
        1 => prop::bool::weighted(0.1).prop_map(|_| Wish::DoNotCall),
        1 => any::<bool>().prop_map(Wish::Pause),
    ]
}

fn live(callback: &Callback) -> Option<AttemptId> {
    match &callback.state {
        State::Dialling { attempt, .. } | State::Talking { attempt, .. } => Some(*attempt),
        _ => None,
    }
}

fn command(world: &World, wish: Wish, fresh: u128) -> Option<Command> {
    let fence = |right: bool| world.fence() + u64::from(!right);
    let attempt = live(&world.callback).unwrap_or(AttemptId(Uuid::from_u128(1)));
    let (offer, agent) = match &world.callback.state {
        State::Offered { offer, agent, .. } => (*offer, *agent),
        _ => (OfferId(Uuid::from_u128(1)), AgentId(1)),
    };
    Some(match wish {
        Wish::Tick => Command::Tick,
        Wish::Assign { agent, offer } => Command::Assign {
            node: node(),
            lease: Duration::from_secs(30),
            target: agent.map_or(Target::Dn, |id| Target::Agent(AgentId(id))),
            offer: offer.then(|| OfferId(Uuid::from_u128(fresh))),
        },
        Wish::Accept => Command::AcceptOffer { offer, agent },
        Wish::Decline => Command::DeclineOffer { offer, agent },
        Wish::TimeOut { right } => Command::OfferTimedOut {
            fence: fence(right),
        },
        Wish::Release { right, wait } => Command::Release {
            fence: fence(right),
            guard: Guard::Route,
            until: plus(world.now, Duration::from_secs(wait)),
        },
        Wish::Begin { right } => Command::BeginAttempt {
            fence: fence(right),
            begin: Begin {
                attempt: AttemptId(Uuid::from_u128(fresh)),
                channel: "sip".into(),
                route: None,
                dn: None,
                location: None,
                server: "one".into(),
                legs: json!(null),
            },
        },
        Wish::Connected { right } => Command::Progress {
            fence: fence(right),
            attempt,
            what: Progress::Connected { route: None },
        },
        Wish::Settle { right, result } => Command::Settle {
            fence: fence(right),
            attempt,
            outcome: Outcome::new(
                CallResult(result),
                CallResult(result).verdict(),
                PlatformCode::default(),
            ),
        },
        Wish::TakeOver => Command::TakeOver {
            node: NodeId {
                name: "two".into(),
                boot: Uuid::nil(),
            },
            lease: Duration::from_secs(30),
        },
        Wish::Rescue { right } => Command::Rescue {
            fence: fence(right),
            learned: None,
        },
        Wish::Dispose { result } => Command::Dispose {
            disposition: None,
            result: result.map(CallResult),
        },
        Wish::Cancel => Command::Cancel {
            by: Canceller::Customer,
            reason: None,
        },
        Wish::Reschedule { minutes } => Command::Reschedule {
            start: plus(world.now, Duration::from_secs(minutes * 60)),
            end: None,
            local: None,
        },
        Wish::Snooze { minutes } => Command::Snooze {
            until: plus(world.now, Duration::from_secs(minutes * 60)),
        },
        Wish::Transfer { agent } => Command::TransferToAgent {
            agent: AgentId(agent),
        },
        Wish::DoNotCall | Wish::Pause(_) => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_forbidden_state_is_ever_reached(steps in prop::collection::vec((wish(), 0u64..900), 1..80)) {
        let mut world = World::book(json!({}), json!({}));
        let mut events: Vec<Event> = Vec::new();
        let mut placed: Vec<AttemptId> = Vec::new();
        let mut fresh = 100u128;
        let mut ended = None;
        chain(&mut events, &world, 0);
        for (wish, wait) in steps {
            world.later(wait);
            fresh += 1;
            match &wish {
                Wish::DoNotCall => world.customer.do_not_call = true,
                Wish::Pause(on) => world.queue.queue.dialling_paused = *on,
                _ => {}
            }
            let Some(command) = command(&world, wish, fresh) else { continue };
            let before = world.callback.clone();
            if world.act(command.clone()).is_err() {
                prop_assert_eq!(&before, &world.callback, "a refusal changes nothing");
                continue;
            }
            let step = world.steps.last().expect("it stepped");
            let after = &world.callback;
            prop_assert!(ended.is_none(), "an ended callback moved by {:?}", command);
            // An attempt is begun exactly where the state says so, with a fresh number, never twice.
            if let Some(AttemptChange::Begin(attempt)) = &step.attempt {
                prop_assert!(!placed.contains(&attempt.id));
                placed.push(attempt.id);
                prop_assert_eq!(attempt.number as usize, placed.len());
                prop_assert_eq!(live(after), Some(attempt.id));
                prop_assert!(!world.customer.do_not_call, "dialled against do-not-call");
                prop_assert!(!world.queue.queue.dialling_paused, "dialled while paused");
                prop_assert!(world.queue.hours.as_ref().unwrap().is_open(world.now), "dialled while closed");
                prop_assert!(after.window.end.is_none_or(|end| world.now < end), "dialled after the window");
            }
            prop_assert_eq!(after.placed as usize, placed.len());
            prop_assert!(after.attempts <= after.placed);
            prop_assert!(after.fence >= before.fence);
            prop_assert!(after.current < after.contacts.len());
            prop_assert_eq!(after.state.is_ended(), after.interaction.ended_at.is_some());
            prop_assert_eq!(after.state.is_ended(), after.wakes_at().is_none() && after.state.is_ended());
            if after.state.is_ended() {
                prop_assert_ne!(after.promise.state.name(), "open");
                ended = Some(command.clone());
            }
            // Leaving the air means the attempt was ended in the same step.
            if live(&before).is_some() && live(after) != live(&before) {
                let ended_here = matches!(step.attempt, Some(AttemptChange::End { .. }));
                prop_assert!(ended_here, "the attempt was left open by {:?}", command);
            }
            let stored: Callback = serde_json::from_str(&serde_json::to_string(after).unwrap()).unwrap();
            prop_assert_eq!(&stored, after, "what is stored is what is read");
            let index = world.steps.len() - 1;
            chain(&mut events, &world, index);
        }
        prop_assert_eq!(verify_chain(&events), Ok(()));
        if let Some(middle) = events.len().checked_sub(2) {
            let mut tampered = events.clone();
            tampered[middle].actor = "nobody".into();
            prop_assert!(verify_chain(&tampered).is_err());
        }
    }
}

fn chain(events: &mut Vec<Event>, world: &World, step: usize) {
    for new in &world.steps[step].events {
        let number = events.len() as u32 + 1;
        let previous = events
            .last()
            .map(|event| event.hash.clone())
            .unwrap_or_default();
        let actor = new.actor.describe();
        let hash = chain_hash(
            &previous,
            id(1),
            number,
            world.now,
            new.kind,
            &actor,
            &new.detail,
            None,
        );
        events.push(Event {
            seq: i64::from(number),
            tenant: TenantId::default(),
            callback: id(1),
            number,
            at: world.now,
            kind: new.kind,
            actor,
            detail: new.detail.clone(),
            personal: None,
            personal_hash: None,
            hash,
        });
    }
}
