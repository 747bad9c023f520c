//! The supervisor's what-if: a recorded or made-up day, with and without a change.

use super::days::{self, Base, Calendar, Day};
use super::record::{self, Learned, Tally, Whole};
use super::report::Report;
use super::{Question, Setback};
use crate::wiring;
use jiff::Timestamp;
use ringback_callbacks::agent::Agent;
use ringback_callbacks::ids::{QueueId, TenantId};
use ringback_callbacks::queue::Queue;
use ringback_scheduling::plan::Tuning;
use ringback_simulate::generate::{LiveHabits, Recipe, Wishes, generate};
use ringback_simulate::habits::Habits;
use ringback_simulate::planned::PlannedServer;
use ringback_simulate::recorded::{Drawn, Record, rebuild};
use ringback_simulate::whatif::{Change, MOST_DEMAND, Outlook, Staff};
use ringback_simulate::{Figures, Header, Scenario, World, measure};
use ringback_store::Store;

/// Load of a made-up day, if none is given.
const USUAL_LOAD: f64 = 0.9;

/// `x1.2`, or just `1.2`.
pub fn factor(text: &str) -> Result<f64, String> {
    let number = text.strip_prefix('x').unwrap_or(text);
    number
        .parse()
        .ok()
        .filter(|factor| (0.01..=MOST_DEMAND).contains(factor))
        .ok_or_else(|| format!("must be a factor from x0.01 to x{MOST_DEMAND}, such as x1.2"))
}

/// Everything read from the store; nothing is written.
struct Material {
    queue: Queue,
    agents: Vec<Agent>,
    calendar: Calendar,
    day: Vec<Whole>,
    before: Vec<Whole>,
}

pub async fn answer(question: Question) -> Result<Report, Setback> {
    let now = Timestamp::now();
    let material = read(&question, now).await?;
    let work = move || rehearse(&question, &material, now);
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Setback::failed)?
}

async fn read(question: &Question, now: Timestamp) -> Result<Material, Setback> {
    let name = question.queue.as_deref().unwrap_or_default();
    let id = QueueId::parse(name)
        .map_err(|_| Setback::wrong(format!("--queue: `{name}` is no name of a queue")))?;
    // A bad configuration has been told already.
    let config = question.config.load().map_err(|_| {
        Setback::wrong("the configuration above must be put right first".to_owned())
    })?;
    let store = wiring::open_to_read(&config)
        .await
        .map_err(Setback::failed)?;
    let material = look_up(store.as_ref(), question, &id, now).await;
    store.close().await;
    material
}

async fn look_up(
    store: &dyn Store,
    question: &Question,
    id: &QueueId,
    now: Timestamp,
) -> Result<Material, Setback> {
    let tenant = TenantId::default();
    let queues = store.queues(&tenant).await.map_err(Setback::failed)?;
    let Some(queue) = queues
        .iter()
        .find(|queue| queue.id == *id && !queue.removed)
    else {
        let known: Vec<String> = queues
            .iter()
            .filter(|queue| !queue.removed)
            .map(|queue| format!("`{}`", queue.id))
            .collect();
        let known = match known.len() {
            0 => "there are none yet".to_owned(),
            _ => format!("known are {}", known.join(", ")),
        };
        return Err(Setback::wrong(format!(
            "--queue: there is no queue `{id}`; {known}"
        )));
    };
    let usual = if question.is_generated() {
        Day::Today
    } else {
        Day::Yesterday
    };
    let calendar = Calendar::of(queue, question.day.unwrap_or(usual), now)?;
    let day = record::of_day(store, queue, &calendar).await?;
    Ok(Material {
        queue: queue.clone(),
        agents: store.agents(&tenant).await.map_err(Setback::failed)?,
        before: record::before(store, queue, &calendar).await?,
        calendar,
        day,
    })
}

impl Question {
    fn is_generated(&self) -> bool {
        self.generated || self.load.is_some()
    }

    fn change(&self, calendar: &Calendar) -> Result<Change, Setback> {
        let staff = match (&self.agents, &self.capacity_plan) {
            (Some(count), _) => Some(Staff::Flat(*count)),
            (None, Some(path)) => Some(Staff::Steps(days::other_plan(path, calendar)?)),
            (None, None) => None,
        };
        Ok(Change {
            staff,
            demand: self.demand,
        })
    }
}

/// Where the days come from.
enum Source {
    Recorded(Box<Record>),
    Generated(Box<Recipe>),
}

impl Source {
    fn day(&self, habits: &Habits, seed: u64) -> Result<(Scenario, Option<Drawn>), Setback> {
        match self {
            Source::Recorded(record) => {
                let (day, drawn) = rebuild(record, habits, &LiveHabits::default(), seed)
                    .map_err(|error| Setback::failed(format!("the record: {error}")))?;
                Ok((day, Some(drawn)))
            }
            Source::Generated(recipe) => {
                let day = generate(recipe, seed)
                    .map_err(|error| Setback::wrong(format!("no day can be made: {error}")))?;
                Ok((day, None))
            }
        }
    }
}

fn rehearse(question: &Question, material: &Material, now: Timestamp) -> Result<Report, Setback> {
    let Material {
        queue,
        calendar,
        day,
        ..
    } = material;
    let change = question.change(calendar)?;
    let base = Base::of(queue, &material.agents, calendar)?;
    let taught: Vec<&Whole> = day.iter().chain(&material.before).collect();
    let learned = Learned::from(queue, &base, &taught);
    let header = days::header(queue, calendar, &base, &learned);
    let habits = Habits::usual(&header);
    let tally = Tally::of(day);
    let source = source(question, material, header, &habits, &tally)?;

    let seeds: Vec<u64> = (0..u64::from(question.runs))
        .map(|run| question.seed.wrapping_add(run))
        .collect();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let mut drawn = None;
    for seed in &seeds {
        let (day, what) = source.day(&habits, *seed)?;
        drawn = drawn.or(what);
        if !change.is_none() {
            let changed = change
                .apply(&day, &habits, *seed)
                .map_err(|error| Setback::failed(format!("the change: {error}")))?;
            with.push(lived(changed));
        }
        without.push(lived(day));
    }
    let with = (!change.is_none()).then(|| Outlook::of(&with));
    Ok(Report {
        queue: queue.id.to_string(),
        date: calendar.date,
        over: calendar.to <= now,
        generated: question.is_generated(),
        load: question.load.unwrap_or(USUAL_LOAD),
        seeds,
        change,
        staff: base.source,
        learned,
        record: tally,
        drawn,
        without: Outlook::of(&without),
        with,
        json: question.json,
    })
}

fn source(
    question: &Question,
    material: &Material,
    header: Header,
    habits: &Habits,
    tally: &Tally,
) -> Result<Source, Setback> {
    let Material {
        queue, calendar, ..
    } = material;
    if question.is_generated() {
        let recipe = Recipe {
            load: question.load.unwrap_or(USUAL_LOAD),
            habits: habits.clone(),
            wishes: Wishes::default(),
            live: LiveHabits::default(),
            zones: vec![(header.tz.clone(), 1.0)],
            header,
        };
        return Ok(Source::Generated(Box::new(recipe)));
    }
    if tally.callbacks == 0 {
        let reason = format!(
            "--day: there is no record of {}: no callback of queue `{}` wanted its call by telephone on that day; \
             --generated makes a day up",
            calendar.date, queue.id
        );
        return Err(Setback::wrong(reason));
    }
    let record = Record {
        header,
        callbacks: record::callbacks(&material.day, calendar)?,
    };
    Ok(Source::Recorded(Box::new(record)))
}

/// A day with what the planner made of it.
fn lived(day: Scenario) -> (Scenario, Figures) {
    let lived = World::new(&day).run(&mut PlannedServer::new(Tuning::default()));
    let figures = measure(&day, &lived);
    (day, figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_is_a_factor() {
        assert_eq!(factor("x1.2"), Ok(1.2));
        assert_eq!(factor("0.5"), Ok(0.5));
        for text in ["", "x", "x0", "-1", "x1000", "NaN", "inf", "20%"] {
            assert!(factor(text).is_err(), "{text}");
        }
    }
}
