//! The day that is asked about, and what is known of it beforehand: hours, staff, live load, how phones are answered.

use super::Setback;
use super::record::Learned;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use ringback_callbacks::agent::Agent;
use ringback_callbacks::queue::{Delivery, Queue};
use ringback_scheduling::staffing::{Capacity, CapacityRules, StaffPlan};
use ringback_scheduling::{Hours, Zone, open_spans};
use ringback_simulate::scenario::{Interval, ReachPrior, RingTimes};
use ringback_simulate::{Header, Second};
use std::path::Path;

/// A day as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    Today,
    Yesterday,
    On(Date),
}

impl Day {
    pub fn parse(text: &str) -> Result<Day, String> {
        match text {
            "today" => Ok(Day::Today),
            "yesterday" => Ok(Day::Yesterday),
            _ => text
                .parse()
                .map(Day::On)
                .map_err(|_| "must be today, yesterday or a date such as 2026-06-16".to_owned()),
        }
    }

    /// The date on a clock.
    pub fn date(self, now: Timestamp, zone: &Zone) -> Result<Date, Setback> {
        let today = zone.tz().to_datetime(now).date();
        match self {
            Day::Today => Ok(today),
            Day::Yesterday => today.yesterday().map_err(Setback::failed),
            Day::On(date) => Ok(date),
        }
    }
}

/// A date in the queue's zone with the hours of the queue on it.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub date: Date,
    pub zone: Zone,
    /// From midnight to midnight; not always 24 hours.
    pub from: Timestamp,
    pub to: Timestamp,
    pub open: Vec<Interval>,
}

impl Calendar {
    pub fn of(queue: &Queue, day: Day, now: Timestamp) -> Result<Calendar, Setback> {
        let hours = Hours::parse(&queue.rules.hours)
            .map_err(|error| Setback::wrong(format!("hours.{}: {error}", error.field())))?;
        let zone = hours.zone().clone();
        let date = day.date(now, &zone)?;
        let midnight = |date: Date| {
            zone.tz()
                .to_zoned(date.at(0, 0, 0, 0))
                .map(|zoned| zoned.timestamp())
                .map_err(|_| Setback::wrong(format!("--day: {date} is out of range")))
        };
        let tomorrow = date
            .checked_add(1.day())
            .map_err(|_| Setback::wrong(format!("--day: {date} is out of range")))?;
        let (from, to) = (midnight(date)?, midnight(tomorrow)?);
        let open: Vec<Interval> = open_spans(&hours, from, to)
            .into_iter()
            .map(|(from, to)| (from.as_second(), to.as_second()))
            .collect();
        if open.is_empty() {
            return Err(Setback::wrong(format!(
                "--day: queue `{}` is closed on {date}",
                queue.id
            )));
        }
        Ok(Calendar {
            date,
            zone,
            from,
            to,
            open,
        })
    }
}

impl Calendar {
    /// The same steps, with nobody while the queue is closed: who is there then has nothing to do here.
    fn while_open(&self, steps: &[(Second, u32)]) -> Vec<(Second, u32)> {
        let mut within = Vec::new();
        for (from, to) in &self.open {
            let before = steps.partition_point(|step| step.0 <= *from);
            let count = before.checked_sub(1).map_or(0, |place| steps[place].1);
            within.push((*from, count));
            within.extend(steps.iter().filter(|step| *from < step.0 && step.0 < *to));
            within.push((*to, 0));
        }
        within.sort_by_key(|step| step.0);
        within
    }
}

/// Who is there, and where that is known from.
#[derive(Clone, Debug)]
pub struct Base {
    pub plan: Option<StaffPlan>,
    pub agents: Vec<(Second, u32)>,
    pub source: String,
}

impl Base {
    /// The queue's own staff plan; without one, everybody who serves the queue, all day.
    pub fn of(queue: &Queue, agents: &[Agent], calendar: &Calendar) -> Result<Base, Setback> {
        if let Some(rules) = &queue.rules.capacity {
            let capacity = Capacity::parse(rules, &calendar.zone).map_err(|faults| {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                Setback::wrong(format!("capacity.{}", faults.join("; capacity.")))
            })?;
            if let Capacity::Staff(plan) = capacity {
                return Ok(Base {
                    agents: steps(&plan, calendar),
                    plan: Some(*plan),
                    source: "the queue's staff plan".to_owned(),
                });
            }
        }
        let (count, source) = match &queue.rules.delivery {
            Delivery::Dn { max_concurrent, .. } => (
                *max_concurrent,
                format!("the {max_concurrent} places of the queue's DN"),
            ),
            Delivery::Agents => {
                let serving = agents
                    .iter()
                    .filter(|agent| agent.queues.contains(&queue.id))
                    .count();
                (
                    u32::try_from(serving).unwrap_or(u32::MAX),
                    format!("the {serving} agents who serve the queue, as if there all day"),
                )
            }
        };
        if count == 0 {
            return Err(Setback::wrong(format!(
                "queue `{}` has neither a staff plan nor agents: nobody would be there without the change",
                queue.id
            )));
        }
        Ok(Base {
            plan: None,
            agents: calendar.while_open(&[(calendar.from.as_second(), count)]),
            source,
        })
    }
}

/// A staff plan on a day, while the queue is open.
fn steps(plan: &StaffPlan, calendar: &Calendar) -> Vec<(Second, u32)> {
    let steps: Vec<(Second, u32)> = plan
        .steps(calendar.from, calendar.to)
        .into_iter()
        .map(|(at, count)| (at.as_second(), count))
        .collect();
    calendar.while_open(&steps)
}

/// Another staff plan from a file: the keys of a queue's `capacity`.
pub fn other_plan(path: &Path, calendar: &Calendar) -> Result<Vec<(Second, u32)>, Setback> {
    let wrong = |reason: String| {
        Setback::wrong(format!(
            "--capacity-plan: {}: {}",
            path.display(),
            reason.trim_end()
        ))
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let rules: CapacityRules = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    match Capacity::parse(&rules, &calendar.zone) {
        Ok(Capacity::Staff(plan)) => {
            let steps = steps(&plan, calendar);
            let anybody = steps.iter().any(|(_, count)| *count > 0);
            if anybody {
                return Ok(steps);
            }
            Err(wrong(format!(
                "has nobody there while the queue is open on {}",
                calendar.date
            )))
        }
        Ok(Capacity::PerSlot(_)) => Err(wrong(
            "per_slot: a number per slot says nothing of agents; give weekly or steps".to_owned(),
        )),
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Err(wrong(faults.join("; ")))
        }
    }
}

/// What a planner would be told in the morning.
pub fn header(queue: &Queue, calendar: &Calendar, base: &Base, learned: &Learned) -> Header {
    let rules = &queue.rules;
    let live = base.plan.as_ref().and_then(StaffPlan::live);
    let forecast = base.plan.as_ref().map_or_else(Vec::new, |plan| {
        plan.live_forecast(calendar.from, calendar.to)
            .into_iter()
            .map(|(at, calls)| (at.as_second(), calls))
            .collect()
    });
    let reach = learned.reach;
    // Of those who answer some do so only because they expect the call, of the others some are on the phone.
    let shares = |reach: f64| {
        [
            0.9 * reach,
            0.1 * reach,
            0.2 * (1.0 - reach),
            0.8 * (1.0 - reach),
        ]
    };
    let gaps = [
        &rules.retry.busy,
        &rules.retry.no_answer,
        &rules.retry.machine,
    ];
    let min_gap = gaps
        .iter()
        .filter(|rule| rule.times > 0)
        .map(|rule| i64::from(rule.after.as_secs()))
        .min();
    Header {
        name: queue.id.to_string(),
        seed: 0,
        t1: calendar.open.last().map_or(0, |span| span.1) + 4 * 3600,
        tz: calendar.zone.clone(),
        date: calendar.date,
        open: calendar.open.clone(),
        agents_plan: base.agents.clone(),
        inbound_forecast: forecast,
        inbound_aht: live.map_or(0.0, |live| f64::from(live.handling.as_secs())),
        callback_talk: learned.talk,
        callback_wrap: learned.wrap,
        ring: RingTimes {
            answer: 14,
            busy: 5,
            no_answer: i64::from(rules.ring_customer.as_secs()),
            machine: 15,
            invalid: 5,
            failed: 4,
        },
        reach_prior: ReachPrior {
            fresh: shares((reach * 1.1).min(0.95)),
            inside: shares(reach),
            outside: shares(reach * 0.7),
        },
        legal_local: (
            rules.customer_hours.from().strftime("%H:%M").to_string(),
            rules.customer_hours.to().strftime("%H:%M").to_string(),
        ),
        asap_patience: i64::from(rules.promise_within.as_secs()),
        max_attempts: rules.retry.max_attempts.max(1),
        min_gap: min_gap.unwrap_or(0).max(1),
        attention: 1800,
        notice: 60,
        sl_target: live.map_or(0.0, |live| live.target),
        sl_seconds: live.map_or(20, |live| i64::from(live.within.as_secs())),
        abandon_target: live.map_or(1.0, |live| live.abandon),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_there_while_the_queue_is_closed() {
        let calendar = Calendar {
            date: jiff::civil::date(2026, 6, 16),
            zone: Zone::utc(),
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH,
            open: vec![(100, 200), (300, 400)],
        };
        type Steps = &'static [(Second, u32)];
        let table: [(Steps, Steps); 3] = [
            (&[(0, 2)], &[(100, 2), (200, 0), (300, 2), (400, 0)]),
            (
                &[(50, 1), (150, 2), (250, 3), (350, 4), (450, 5)],
                &[(100, 1), (150, 2), (200, 0), (300, 3), (350, 4), (400, 0)],
            ),
            (&[], &[(100, 0), (200, 0), (300, 0), (400, 0)]),
        ];
        for (steps, expected) in table {
            assert_eq!(calendar.while_open(steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn days_are_those_of_the_queues_clock() {
        let zone = Zone::parse("Asia/Tokyo").unwrap();
        let now: Timestamp = "2026-06-15T20:00:00Z".parse().unwrap();
        let table = [
            ("today", "2026-06-16"),
            ("yesterday", "2026-06-15"),
            ("2025-12-24", "2025-12-24"),
        ];
        for (text, expected) in table {
            let date = Day::parse(text).unwrap().date(now, &zone).unwrap();
            assert_eq!(date.to_string(), expected, "{text}");
        }
        for text in ["", "tomorrow", "16.6.2026", "2026-02-30"] {
            assert!(Day::parse(text).is_err(), "{text}");
        }
    }
}
