//! One callback as its events tell it: an independent reading of the life cycle. States move only along
//! this table, promises are judged by what was counted, and the chain of hashes holds.

use jiff::Timestamp;
use ringback_callbacks::callback::{Callback, PromiseState};
use ringback_callbacks::event::{Event, EventKind, chain_hash};
use ringback_callbacks::state::State;
use ringback_callbacks::wire_time;
use serde_json::Value;

/// Where the events say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    New,
    Scheduled,
    Queued,
    Transferred,
    Offered,
    Assigned,
    Dialling,
    Talking,
    /// Something has ended, and the event that says what follows stands in the same transaction.
    Between,
    WrapUp,
    Ended(EventKind),
}

pub struct Story {
    pub phase: Phase,
    events: u32,
    last_hash: String,
    /// The attempt in the air and when it began.
    live: Option<(String, Timestamp)>,
    /// When the first attempt began that counted since the promise was given.
    contact: Option<Timestamp>,
    judged: Option<PromiseState>,
    pub attempts: u32,
    pub placed: u32,
    /// It was passed on to another queue, whose rules may be narrower than what was done already.
    pub moved: bool,
}

impl Story {
    pub fn new() -> Story {
        Story {
            phase: Phase::New,
            events: 0,
            last_hash: String::new(),
            live: None,
            contact: None,
            judged: None,
            attempts: 0,
            placed: 0,
            moved: false,
        }
    }

    /// Reads the next event, or says what is wrong with it.
    pub fn read(&mut self, event: &Event) -> Result<(), String> {
        self.chained(event)?;
        let from = self.phase;
        let to =
            follows(from, event).ok_or_else(|| format!("{} after {from:?}", event.kind.name()))?;
        self.phase = to;
        match event.kind {
            EventKind::AttemptBegun => {
                self.placed += 1;
                let number = number(event, "number");
                if number != Some(i64::from(self.placed)) {
                    return Err(format!("attempt {number:?} is the {}th", self.placed));
                }
                self.live = Some((text(event, "attempt"), event.at));
            }
            EventKind::AttemptEnded => self.attempt_ended(event)?,
            EventKind::Transferred => self.moved |= to == Phase::Scheduled,
            EventKind::Rescheduled | EventKind::Snoozed => {
                self.contact = None;
                self.judged = None;
            }
            EventKind::PromiseKept | EventKind::PromiseLate | EventKind::PromiseBroken => {
                self.promise(event)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn chained(&mut self, event: &Event) -> Result<(), String> {
        if event.number != self.events + 1 {
            return Err(format!("event {} follows {}", event.number, self.events));
        }
        let hash = chain_hash(
            &self.last_hash,
            event.callback,
            event.number,
            event.at,
            event.kind,
            &event.actor,
            &event.detail,
            event.personal_hash.as_deref(),
        );
        if hash != event.hash {
            return Err(format!(
                "the hash of event {} does not follow",
                event.number
            ));
        }
        self.events = event.number;
        self.last_hash = hash;
        Ok(())
    }

    fn attempt_ended(&mut self, event: &Event) -> Result<(), String> {
        let (live, began) = self
            .live
            .take()
            .ok_or("an attempt ended that never began")?;
        if text(event, "attempt") != live {
            return Err("another attempt ended than the one that began".to_owned());
        }
        let verdict = text(event, "verdict");
        let counts = !["route_fault", "agent_fault", "stopped"].contains(&verdict.as_str());
        let counted = event.detail.get("counted").and_then(Value::as_bool);
        if counted != Some(counts) {
            return Err(format!("{verdict} counted: {counted:?}"));
        }
        if counts {
            self.attempts += 1;
            self.contact = self.contact.or(Some(began));
        }
        Ok(())
    }

    fn promise(&mut self, event: &Event) -> Result<(), String> {
        if let Some(judged) = self.judged {
            return Err(format!(
                "{} after it was {}",
                event.kind.name(),
                judged.name()
            ));
        }
        let to = wire_time::read(&text(event, "to")).ok_or("a promise without an end")?;
        let truth = match self.contact {
            Some(began) if began <= to => PromiseState::Kept,
            Some(_) => PromiseState::Late,
            None => PromiseState::Broken,
        };
        if event.kind.name() != format!("promise_{}", truth.name()) {
            return Err(format!(
                "{}, but in truth it was {}",
                event.kind.name(),
                truth.name()
            ));
        }
        self.judged = Some(truth);
        Ok(())
    }

    /// Compares what the events tell with what stands in the row.
    pub fn agrees(&self, callback: &Callback) -> Result<(), String> {
        let name = callback.state.name();
        let told = match self.phase {
            Phase::New => "nothing",
            Phase::Scheduled => "scheduled",
            Phase::Queued => "queued",
            Phase::Transferred => "transferred",
            Phase::Offered => "offered",
            Phase::Assigned => "assigned",
            Phase::Dialling => "dialling",
            Phase::Talking => "talking",
            Phase::Between => "between two states",
            Phase::WrapUp => "wrap_up",
            Phase::Ended(kind) => kind.name(),
        };
        if told != name {
            return Err(format!("the row says {name}, the events say {told}"));
        }
        if (self.events, self.last_hash.as_str()) != (callback.events, callback.last_hash.as_str())
        {
            return Err("the row and the chain end differently".to_owned());
        }
        if (self.attempts, self.placed) != (callback.attempts, callback.placed) {
            return Err(format!(
                "the row says {} of {} attempts counted, the events {} of {}",
                callback.attempts, callback.placed, self.attempts, self.placed
            ));
        }
        let truth = match (self.judged, &callback.state) {
            (Some(judged), _) => judged,
            (None, State::Cancelled { .. } | State::Replaced { .. }) => PromiseState::Released,
            (None, state) if state.is_ended() => return Err("nobody judged the promise".to_owned()),
            (None, _) => PromiseState::Open,
        };
        if callback.promise.state != truth {
            let stored = callback.promise.state.name();
            return Err(format!(
                "the promise is {stored}, in truth {}",
                truth.name()
            ));
        }
        Ok(())
    }
}

/// The table of moves.
fn follows(from: Phase, event: &Event) -> Option<Phase> {
    use EventKind as K;
    use Phase::{
        Assigned, Between, Dialling, New, Offered, Queued, Scheduled, Talking, Transferred, WrapUp,
    };
    let waits = matches!(from, Scheduled | Queued | Transferred);
    let in_hand = matches!(from, Offered | Assigned);
    let in_air = matches!(from, Dialling | Talking);
    let ended = matches!(from, Phase::Ended(_));
    let to = match event.kind {
        K::Accepted if from == New => Scheduled,
        K::Held if waits || in_hand || from == Between => Scheduled,
        K::Queued if from == Scheduled || in_hand || from == Between => Queued,
        K::Offered if matches!(from, Queued | Transferred) => Offered,
        K::Assigned if matches!(from, Queued | Transferred) => Assigned,
        K::OfferAccepted if from == Offered => Assigned,
        K::OfferDeclined if from == Offered => Between,
        K::OfferTimedOut if in_hand => Between,
        K::AttemptBegun if from == Assigned => Dialling,
        K::Ringing | K::Answered | K::RouteFailed if in_air => from,
        K::Connected if in_air => Talking,
        K::Rescued if in_hand => Between,
        K::Rescued if in_air => from,
        K::AttemptEnded if in_air => Between,
        K::RetryScheduled if from == Between => Scheduled,
        K::ContactChanged if from == Between => Between,
        K::WrapUp if from == Between => WrapUp,
        K::Disposed if from == WrapUp => Between,
        K::ReplyWritten if from == Assigned => Assigned,
        K::Rescheduled | K::Snoozed if waits => Scheduled,
        K::Transferred if waits || in_hand => match text(event, "to").as_str() {
            "agent" => Transferred,
            _ => Scheduled,
        },
        K::Merged if waits || in_hand || in_air => from,
        K::CancelRequested if from == Dialling => Dialling,
        K::Cancelled if waits || in_hand || from == Between => Phase::Ended(K::Cancelled),
        K::Replaced if waits || in_hand => Phase::Ended(K::Replaced),
        K::Done if matches!(from, WrapUp | Between) => Phase::Ended(K::Done),
        K::Exhausted if from == Between => Phase::Ended(K::Exhausted),
        K::Expired if waits || from == Assigned => Phase::Ended(K::Expired),
        K::Refused if waits || from == Assigned || from == Between => Phase::Ended(K::Refused),
        K::Failed if in_hand => Phase::Ended(K::Failed),
        K::PromiseKept | K::PromiseLate if from == Between => from,
        K::PromiseMoved if waits => from,
        K::PromiseBroken | K::ApologyDue if ended => from,
        _ => return None,
    };
    Some(to)
}

pub fn number(event: &Event, key: &str) -> Option<i64> {
    event.detail.get(key).and_then(Value::as_i64)
}

pub fn text(event: &Event, key: &str) -> String {
    event
        .detail
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
