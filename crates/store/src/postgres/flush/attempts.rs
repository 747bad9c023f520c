//! Attempts, and the calls of the last day.

use super::super::session::Value;
use super::super::set::{Fresh, Set, Written};
use super::sql::*;
use super::statement::Order;
use crate::Result;
use crate::rows::{int, ms, unwritable};
use ringback_callbacks::attempt::Attempt;
use ringback_callbacks::outcome::Verdict;

pub(super) fn attempts<'a>(
    set: &'a Set,
    written: &'a Written,
    orders: &mut Vec<Order<'a>>,
) -> Result<()> {
    let rows: Vec<_> = written
        .attempts
        .iter()
        .filter_map(|key| set.attempts.get(key))
        .filter_map(|row| Some((row.attempt.as_deref()?, row)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let outcomes = |rows: &[&'a Attempt]| {
        rows.iter()
            .map(|attempt| {
                let outcome = attempt.outcome.as_ref();
                outcome
                    .map(serde_json::to_string)
                    .transpose()
                    .map_err(unwritable)
            })
            .collect::<Result<Vec<Option<String>>>>()
    };
    let fresh = |fresh: Fresh| -> Vec<&'a Attempt> {
        let of = rows.iter().filter(|(_, row)| row.fresh == fresh);
        of.map(|(attempt, _)| *attempt).collect()
    };
    let new = fresh(Fresh::New);
    if !new.is_empty() {
        let by_mail = rows.iter().filter(|(_, row)| row.fresh == Fresh::New);
        orders.push(Order::new(
            NEW_ATTEMPTS,
            values![
                new.iter()
                    .map(|one| one.tenant.as_str())
                    .collect::<Vec<_>>(),
                new.iter().map(|one| one.id.0).collect::<Vec<_>>(),
                new.iter().map(|one| one.callback.0).collect::<Vec<_>>(),
                new.iter()
                    .map(|one| i32::try_from(one.number).unwrap_or(i32::MAX))
                    .collect::<Vec<_>>(),
                new.iter()
                    .map(|one| one.channel.as_str())
                    .collect::<Vec<_>>(),
                new.iter()
                    .map(|one| one.route.as_deref())
                    .collect::<Vec<_>>(),
                new.iter()
                    .map(|one| one.agent.map(|agent| agent.0))
                    .collect::<Vec<_>>(),
                new.iter().map(|one| one.dn.as_deref()).collect::<Vec<_>>(),
                new.iter()
                    .map(|one| one.contact.as_str())
                    .collect::<Vec<_>>(),
                by_mail.map(|(_, row)| row.by_mail).collect::<Vec<_>>(),
                new.iter().map(|one| int(one.fence)).collect::<Vec<_>>(),
                new.iter().map(|one| ms(one.began_at)).collect::<Vec<_>>(),
                new.iter()
                    .map(|one| one.answered_at.map(ms))
                    .collect::<Vec<_>>(),
                new.iter()
                    .map(|one| one.ended_at.map(ms))
                    .collect::<Vec<_>>(),
                new.iter().map(|one| one.counted).collect::<Vec<_>>(),
                new.iter().map(|one| verdict(one)).collect::<Vec<_>>(),
                outcomes(&new)?,
                new.iter()
                    .map(|one| one.legs.to_string())
                    .collect::<Vec<_>>(),
            ],
        ));
    }
    let changed = fresh(Fresh::Changed);
    if !changed.is_empty() {
        orders.push(Order::new(
            CHANGED_ATTEMPTS,
            values![
                changed
                    .iter()
                    .map(|one| one.tenant.as_str())
                    .collect::<Vec<_>>(),
                changed.iter().map(|one| one.id.0).collect::<Vec<_>>(),
                changed
                    .iter()
                    .map(|one| one.route.as_deref())
                    .collect::<Vec<_>>(),
                changed
                    .iter()
                    .map(|one| one.answered_at.map(ms))
                    .collect::<Vec<_>>(),
                changed
                    .iter()
                    .map(|one| one.ended_at.map(ms))
                    .collect::<Vec<_>>(),
                changed.iter().map(|one| one.counted).collect::<Vec<_>>(),
                changed.iter().map(|one| verdict(one)).collect::<Vec<_>>(),
                outcomes(&changed)?,
            ],
        ));
    }
    let legs: Vec<&Attempt> = rows
        .iter()
        .filter(|(_, row)| row.legs && row.fresh != Fresh::New)
        .map(|(attempt, _)| *attempt)
        .collect();
    if !legs.is_empty() {
        let order = Order::new(
            NEW_LEGS,
            values![
                legs.iter()
                    .map(|one| one.tenant.as_str())
                    .collect::<Vec<_>>(),
                legs.iter().map(|one| one.id.0).collect::<Vec<_>>(),
                legs.iter()
                    .map(|one| one.legs.to_string())
                    .collect::<Vec<_>>(),
                legs.iter().map(|one| one.callback.0).collect::<Vec<_>>(),
                legs.iter().map(|one| int(one.fence)).collect::<Vec<_>>(),
            ],
        )
        .exactly(legs.len());
        let again = rows
            .iter()
            .any(|(_, row)| row.legs && row.fresh == Fresh::Changed);
        orders.push(if again { order.apart() } else { order });
    }
    let calls: Vec<&Attempt> = rows
        .iter()
        .filter(|(_, row)| row.fresh != Fresh::Same && !row.by_mail)
        .map(|(attempt, _)| *attempt)
        .collect();
    if !calls.is_empty() {
        orders.push(Order::new(
            CALLS,
            values![
                calls
                    .iter()
                    .map(|one| one.tenant.as_str())
                    .collect::<Vec<_>>(),
                calls
                    .iter()
                    .map(|one| one.contact.as_str())
                    .collect::<Vec<_>>(),
                calls.iter().map(|one| one.id.0).collect::<Vec<_>>(),
                calls.iter().map(|one| one.callback.0).collect::<Vec<_>>(),
                calls.iter().map(|one| ms(one.began_at)).collect::<Vec<_>>(),
                calls
                    .iter()
                    .map(|one| one.ended_at.is_none())
                    .collect::<Vec<_>>(),
                calls.iter().map(|one| rang(one)).collect::<Vec<_>>(),
            ],
        ));
    }
    Ok(())
}

fn verdict(attempt: &Attempt) -> Option<&'static str> {
    attempt
        .outcome
        .as_ref()
        .map(|outcome| outcome.verdict.name())
}

/// Whether it rang at the customer's, or may have: a try that a trunk or the agent's own phone failed at is no call,
/// unless the customer picked up.
pub(in super::super) fn rang(attempt: &Attempt) -> bool {
    let Some(outcome) = &attempt.outcome else {
        return true;
    };
    attempt.answered_at.is_some()
        || !matches!(outcome.verdict, Verdict::RouteFault | Verdict::AgentFault)
}
