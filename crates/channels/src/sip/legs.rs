//! The identifiers of an attempt's two legs, as they are stored with it, and what a restarted node
//! learns by ending them.

use super::plan::{AGENT, CUSTOMER};
use crate::order::Order;
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};
use ringback_callbacks::queue::LegOrder;
use ringback_sip::{LegRecord, LegState, OrphanEnd, OrphanOutcome, SipEngine};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Stored with the attempt as JSON. Holds addresses, so it is never printed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Legs {
    attempt: String,
    leg_order: LegOrder,
    /// What both Call-IDs begin with; a peer's log can be searched for them even if nothing else was stored.
    call_ids: BTreeMap<String, String>,
    routes: Vec<String>,
    /// By Call-ID: the last that was told of each leg.
    records: BTreeMap<String, LegRecord>,
}

/// Two parties, sixteen routes, some addresses each.
const MOST_RECORDS: usize = 256;

impl Legs {
    pub(super) fn new(order: &Order) -> Legs {
        let (agent, customer) = match order.leg_order {
            LegOrder::AgentFirst => ("first", "second"),
            LegOrder::CustomerFirst => ("second", "first"),
        };
        let call_id =
            |party: &str, word: &str| (party.to_owned(), format!("{}.{word}", order.attempt));
        Legs {
            attempt: order.attempt.to_string(),
            leg_order: order.leg_order,
            call_ids: BTreeMap::from([call_id(AGENT, agent), call_id(CUSTOMER, customer)]),
            routes: order.routes.clone(),
            records: BTreeMap::new(),
        }
    }

    pub(super) fn note(&mut self, record: LegRecord) {
        if self.records.len() < MOST_RECORDS || self.records.contains_key(&record.call_id) {
            self.records.insert(record.call_id.clone(), record);
        }
    }

    /// Whether exactly this was noted last of the leg.
    pub(super) fn has(&self, record: &LegRecord) -> bool {
        self.records.get(&record.call_id) == Some(record)
    }

    pub(super) fn to_json(&self) -> Value {
        // A struct of strings and numbers always has a JSON form.
        serde_json::to_value(self).unwrap_or_default()
    }

    pub(super) fn from_json(value: Value) -> Option<Legs> {
        serde_json::from_value(value).ok()
    }

    /// Ends what is left of the legs at the peers.
    pub(super) async fn end(&self, engine: &SipEngine) -> Option<Outcome> {
        let records: Vec<LegRecord> = self.records.values().cloned().collect();
        let ends = engine.end_orphans(records).await;
        self.learned(&ends)
    }

    /// What the peers' answers prove about the customer. A record is a moment older than the call it
    /// describes, so its absence proves nothing; only a peer's own word does:
    /// - the agent's phone was still ringing (agent first): the customer was never called. Not a try.
    /// - the customer's phone was still ringing and is not any more: it rang, and nobody answered. A try.
    /// - anything else, answered or unreachable or gone: nobody can say whether they spoke.
    fn learned(&self, ends: &[OrphanEnd]) -> Option<Outcome> {
        let outcome_of = |record: &LegRecord| {
            ends.iter()
                .find(|end| end.call_id == record.call_id)
                .map(|end| end.outcome)
        };
        // Legs that ended before the crash (a route that failed) were settled then.
        let left = |party: &'static str| {
            self.records
                .values()
                .filter(move |r| r.party == party && r.state != LegState::Ended)
        };
        let all_cancelled = |party| {
            left(party).count() > 0
                && left(party).all(|r| outcome_of(r) == Some(OrphanOutcome::Cancelled))
        };
        let customer_called = self.records.values().any(|record| record.party == CUSTOMER);
        if all_cancelled(CUSTOMER) {
            return Some(ended(
                CallResult::DROPPED_NO_ANSWER,
                Verdict::NoAnswer,
                "ringing ended after a restart",
            ));
        }
        let agent_first = match self.leg_order {
            LegOrder::AgentFirst => true,
            LegOrder::CustomerFirst => false,
        };
        if agent_first && !customer_called && all_cancelled(AGENT) {
            return Some(ended(
                CallResult::DROPPED,
                Verdict::Stopped,
                "ended after a restart before the customer was called",
            ));
        }
        None
    }
}

fn ended(result: CallResult, verdict: Verdict, words: &str) -> Outcome {
    Outcome::new(result, verdict, PlatformCode::new("ringback", None, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::order_to;
    use ringback_sip::Transport;

    fn record(party: &str, n: u32, state: LegState) -> LegRecord {
        LegRecord {
            party: party.to_owned(),
            call_id: format!("x.{party}.{n}@host"),
            from_tag: "f".to_owned(),
            to_tag: None,
            cseq: 1,
            branch: "z9hG4bK-x".to_owned(),
            request_uri: "sip:+14155550123@trunk.example".to_owned(),
            from: "<sip:ringback@host>;tag=f".to_owned(),
            to: "<sip:+14155550123@trunk.example>".to_owned(),
            destination: ([127, 0, 0, 1], 5060).into(),
            transport: Transport::Udp,
            server_name: "trunk.example".to_owned(),
            sent_by: "host".to_owned(),
            route_set: Vec::new(),
            invite_routes: Vec::new(),
            remote_target: None,
            offered: true,
            state,
        }
    }

    #[test]
    fn only_the_peers_word_proves_anything() {
        use LegState::{Confirmed, Early, Ended, Inviting};
        use OrphanOutcome::{Cancelled, Gone, HungUp, Unreachable};
        use Verdict::{NoAnswer, Stopped};
        let agent_first = LegOrder::AgentFirst;
        let customer_first = LegOrder::CustomerFirst;
        for (order, legs, learned) in [
            (agent_first, &[][..], None),
            (agent_first, &[("agent", Early, Cancelled)], Some(Stopped)),
            (
                agent_first,
                &[("agent", Inviting, Cancelled)],
                Some(Stopped),
            ),
            (agent_first, &[("agent", Inviting, Gone)], None),
            (agent_first, &[("agent", Inviting, Unreachable)], None),
            (agent_first, &[("agent", Confirmed, HungUp)], None),
            (
                agent_first,
                &[("agent", Confirmed, HungUp), ("customer", Early, Cancelled)],
                Some(NoAnswer),
            ),
            (
                agent_first,
                &[("agent", Confirmed, HungUp), ("customer", Early, HungUp)],
                None,
            ),
            (
                agent_first,
                &[
                    ("agent", Confirmed, HungUp),
                    ("customer", Confirmed, HungUp),
                ],
                None,
            ),
            (
                agent_first,
                &[
                    ("agent", Confirmed, Gone),
                    ("customer", Ended, Gone),
                    ("customer", Inviting, Cancelled),
                ],
                Some(NoAnswer),
            ),
            (
                agent_first,
                &[("agent", Confirmed, Gone), ("customer", Ended, Gone)],
                None,
            ),
            (
                customer_first,
                &[("customer", Early, Cancelled)],
                Some(NoAnswer),
            ),
            (
                customer_first,
                &[("customer", Confirmed, HungUp), ("agent", Early, Cancelled)],
                None,
            ),
        ] {
            let mut given = order_to("+14155550123");
            given.leg_order = order;
            let mut kept = Legs::new(&given);
            let mut ends = Vec::new();
            for (n, (party, state, outcome)) in (0..).zip(legs) {
                let record = record(party, n, *state);
                ends.push(OrphanEnd {
                    call_id: record.call_id.clone(),
                    outcome: *outcome,
                });
                kept.note(record);
            }
            // As it comes back from the database.
            let kept = Legs::from_json(kept.to_json()).expect("what we wrote");
            let outcome = kept.learned(&ends);
            assert_eq!(outcome.map(|o| o.verdict), learned, "{order:?} {legs:?}");
        }
    }

    #[test]
    fn call_ids_are_known_before_anything_is_sent() {
        let order = order_to("+14155550123");
        let json = Legs::new(&order).to_json();
        assert_eq!(
            json["call_ids"]["agent"],
            format!("{}.first", order.attempt)
        );
        assert_eq!(
            json["call_ids"]["customer"],
            format!("{}.second", order.attempt)
        );
        assert!(!json.to_string().contains("4155550123"));
    }

    #[test]
    fn strange_records_are_nobodys() {
        for strange in [
            Value::Null,
            serde_json::json!({"attempt": 1}),
            serde_json::json!([]),
        ] {
            assert!(Legs::from_json(strange).is_none());
        }
    }
}
