//! One `opening_hours` expression, split so that each day owns the hours that begin on it.
//!
//! The evaluator of the `opening-hours` crate mixes two days: the part of a night shift after
//! midnight stays open even if the evening it began on was a holiday. So the expression is split
//! in two, one for the hours of a day until midnight and one for what spills over into the next
//! day, and each half is asked about the day the shift *began* on. A third one tells whether a
//! rule closes a day altogether, which also ends the spill of the evening before: nobody is rung
//! on a holiday at half past midnight.

use std::ops::Range;
use std::sync::Arc;

use chrono::NaiveDate;
use compact_calendar::CompactCalendar;
use jiff::civil::Date;
use opening_hours::{Context, ContextHolidays, OpeningHours};
use opening_hours_syntax::rules::day::{DaySelector, HolidayKind, WeekDayRange};
use opening_hours_syntax::rules::time::{Time, TimeSelector, TimeSpan};
use opening_hours_syntax::rules::{OpeningHoursExpression, RuleOperator, RuleSequence};
use opening_hours_syntax::{ExtendedTime, RuleKind};

use super::error::HoursFault;
use crate::zone::MINUTES_PER_DAY;

/// Minutes of a day on the clock on the wall, 0..=1440.
pub(super) type Minutes = Range<u16>;

/// The weekly rules of a place.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The hours of a day until its midnight.
    today: Option<OpeningHours>,
    /// What a day leaves open after its midnight, told in times of the next day.
    spill: Option<OpeningHours>,
    /// Open on every day but those that a rule closes from end to end.
    not_shut: Option<OpeningHours>,
    /// One answer for all times, so that nobody needs to search for the next change.
    constant: bool,
}

impl Rules {
    pub(super) fn parse(
        text: &str,
        holidays: Option<Arc<CompactCalendar>>,
    ) -> Result<Rules, HoursFault> {
        let expression = parse(text)?;
        refuse_unsupported(&expression)?;
        let names_holidays = expression
            .rules
            .iter()
            .any(|rule| names(rule, HolidayKind::Public));
        match (names_holidays, &holidays) {
            (true, None) => return Err(HoursFault::HolidayRuleWithoutHolidays),
            (false, Some(_)) => return Err(HoursFault::HolidaysWithoutRule),
            (true, Some(_)) | (false, None) => {}
        }
        refuse_reopened_holidays(&expression)?;

        let context = Context::default().with_holidays(ContextHolidays::new(
            holidays.unwrap_or_default(),
            Arc::default(),
        ));
        let evaluator = |rules: Vec<RuleSequence>| evaluator(rules, &context);
        Ok(Rules {
            today: evaluator(part(&expression, 0..MINUTES_PER_DAY))?,
            spill: evaluator(part(&expression, MINUTES_PER_DAY..2 * MINUTES_PER_DAY))?,
            not_shut: evaluator(shutting(&expression))?,
            constant: expression.is_constant(),
        })
    }

    pub(super) fn is_constant(&self) -> bool {
        self.constant
    }

    /// The hours of this day until its midnight.
    pub(super) fn today(&self, date: Date) -> Vec<Minutes> {
        open_minutes(self.today.as_ref(), date)
    }

    /// What this day leaves open after its midnight, in times of the next day.
    pub(super) fn spill(&self, date: Date) -> Vec<Minutes> {
        open_minutes(self.spill.as_ref(), date)
    }

    /// Whether a rule closes this day from end to end.
    pub(super) fn is_shut(&self, date: Date) -> bool {
        match &self.not_shut {
            None => false,
            Some(_) => open_minutes(self.not_shut.as_ref(), date).is_empty(),
        }
    }
}

/// The hours that begin on one day: until its midnight, and what spills over, told in times of the
/// next day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnHours {
    pub(super) today: Vec<Minutes>,
    pub(super) spill: Vec<Minutes>,
}

/// The hours of one dated exception.
pub(super) fn exception(text: &str) -> Result<OwnHours, HoursFault> {
    let expression = parse(text)?;
    refuse_unsupported(&expression)?;
    let [rule] = expression.rules.as_slice() else {
        return Err(HoursFault::ExceptionForm);
    };
    if rule.day_selector != DaySelector::default() {
        return Err(HoursFault::ExceptionForm);
    }
    match rule.kind {
        RuleKind::Closed => return Ok(OwnHours::default()),
        RuleKind::Unknown => return Err(HoursFault::ExceptionForm),
        RuleKind::Open => {}
    }
    let window = |window: Minutes| -> Vec<Minutes> {
        let mut spans: Vec<Minutes> = fixed_spans(rule)
            .filter_map(|span| cut(&span, &window))
            .collect();
        spans.sort_by_key(|span| span.start);
        spans
    };
    Ok(OwnHours {
        today: window(0..MINUTES_PER_DAY),
        spill: window(MINUTES_PER_DAY..2 * MINUTES_PER_DAY),
    })
}

pub(super) fn to_chrono(date: Date) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(
        i32::from(date.year()),
        u32::try_from(date.month()).ok()?,
        u32::try_from(date.day()).ok()?,
    )
}

/// A line of hours is a sentence or two; what is longer is not read at all.
const LONGEST_TEXT: usize = 2_000;
const MOST_RULES: usize = 100;

fn parse(text: &str) -> Result<OpeningHoursExpression, HoursFault> {
    if text.len() > LONGEST_TEXT {
        return Err(HoursFault::TooLong {
            limit: LONGEST_TEXT,
        });
    }
    if text.trim().is_empty() {
        return Err(HoursFault::Syntax {
            message: "nothing is written here".to_owned(),
        });
    }
    let expression = opening_hours_syntax::parse(text).map_err(|error| HoursFault::Syntax {
        message: error.to_string(),
    })?;
    if expression.rules.len() > MOST_RULES {
        return Err(HoursFault::TooMany { limit: MOST_RULES });
    }
    Ok(expression)
}

/// Refuses what could only be evaluated by pretending.
fn refuse_unsupported(expression: &OpeningHoursExpression) -> Result<(), HoursFault> {
    for rule in &expression.rules {
        for span in &rule.time_selector.spans {
            let by_the_sun = [&span.range.start, &span.range.end]
                .iter()
                .any(|time| time.as_time_event().is_some());
            if by_the_sun {
                return Err(HoursFault::Unsupported(
                    "times by the sun (dawn, sunrise, sunset, dusk)",
                ));
            }
            if span.open_end {
                return Err(HoursFault::Unsupported("times without an end (10:00+)"));
            }
            if span.repeats.is_some() {
                return Err(HoursFault::Unsupported(
                    "repeated times (10:00-16:00/01:30)",
                ));
            }
        }
        if names(rule, HolidayKind::School) {
            return Err(HoursFault::SchoolHolidays);
        }
        if fixed_spans(rule).any(|span| span.end > 2 * MINUTES_PER_DAY) {
            return Err(HoursFault::Unsupported(
                "times that end more than 48 hours after their day began",
            ));
        }
        // A fallback depends on whether the day has other hours, which cannot be told for the
        // part after midnight alone.
        let spills = fixed_spans(rule).any(|span| span.end > MINUTES_PER_DAY);
        if spills && expression.rules.iter().any(is_fallback) {
            return Err(HoursFault::Unsupported(
                "times past midnight together with a fallback rule (||)",
            ));
        }
    }
    Ok(())
}

/// In this syntax later rules win, so that `PH off; Fr 09:00-16:00` is open on a holiday that is a
/// Friday. Nobody means that.
fn refuse_reopened_holidays(expression: &OpeningHoursExpression) -> Result<(), HoursFault> {
    let closing = expression.rules.iter().position(|rule| {
        names(rule, HolidayKind::Public)
            && match rule.kind {
                RuleKind::Closed => true,
                RuleKind::Open | RuleKind::Unknown => false,
            }
    });
    let Some(closing) = closing else {
        return Ok(());
    };
    for rule in &expression.rules[closing + 1..] {
        let opens = match rule.kind {
            RuleKind::Open | RuleKind::Unknown => true,
            RuleKind::Closed => false,
        };
        // A later rule that names holidays itself is about them on purpose.
        if opens && !names(rule, HolidayKind::Public) {
            return Err(HoursFault::ReopensHoliday {
                rule: rule.to_string(),
            });
        }
    }
    Ok(())
}

fn is_fallback(rule: &RuleSequence) -> bool {
    match rule.operator {
        RuleOperator::Fallback => true,
        RuleOperator::Normal | RuleOperator::Additional => false,
    }
}

fn names(rule: &RuleSequence, wanted: HolidayKind) -> bool {
    rule.day_selector.weekday.iter().any(|day| match day {
        WeekDayRange::Holiday { kind, .. } => *kind == wanted,
        WeekDayRange::Fixed { .. } => false,
    })
}

fn fixed_spans(rule: &RuleSequence) -> impl Iterator<Item = Minutes> + '_ {
    rule.time_selector.spans.iter().filter_map(|span| {
        match (span.range.start, span.range.end) {
            (Time::Fixed(start), Time::Fixed(end)) => {
                let (start, end) = (start.mins_from_midnight(), end.mins_from_midnight());
                // `22:00-02:00` ends on the next day.
                Some(
                    start..if end > start {
                        end
                    } else {
                        end + MINUTES_PER_DAY
                    },
                )
            }
            // Refused before anything is evaluated.
            (Time::Variable(_), _) | (_, Time::Variable(_)) => None,
        }
    })
}

/// The part of a span inside a window, told from the window's start.
fn cut(span: &Minutes, window: &Minutes) -> Option<Minutes> {
    let start = span.start.max(window.start);
    let end = span.end.min(window.end);
    (start < end).then(|| start - window.start..end - window.start)
}

fn covers_a_day(rule: &RuleSequence) -> bool {
    fixed_spans(rule).any(|span| span.start == 0 && span.end >= MINUTES_PER_DAY)
}

/// The rules cut to a window of the days they are for. A rule without hours in the window still
/// counts: it takes the place of earlier rules for its days.
fn part(expression: &OpeningHoursExpression, window: Minutes) -> Vec<RuleSequence> {
    let spill = window.start > 0;
    expression
        .rules
        .iter()
        .filter_map(|rule| {
            let spans: Vec<TimeSpan> = fixed_spans(rule)
                .filter_map(|span| cut(&span, &window))
                .filter_map(|span| time_span(&span))
                .collect();
            let closes = match rule.kind {
                RuleKind::Closed => true,
                RuleKind::Open | RuleKind::Unknown => false,
            };
            // `Mo off` closes Monday and with it the night that begins on Monday.
            let closed_day = spill && closes && covers_a_day(rule);
            if !spans.is_empty() && !closed_day {
                return Some(with(rule, spans, rule.kind, rule.operator));
            }
            match rule.operator {
                RuleOperator::Normal if !closes || closed_day => Some(with(
                    rule,
                    TimeSelector::default().spans,
                    RuleKind::Closed,
                    rule.operator,
                )),
                RuleOperator::Additional if closed_day => Some(with(
                    rule,
                    TimeSelector::default().spans,
                    RuleKind::Closed,
                    rule.operator,
                )),
                RuleOperator::Normal | RuleOperator::Additional | RuleOperator::Fallback => None,
            }
        })
        .collect()
}

/// The rules reduced to whether they close a whole day, over a place that is otherwise always open.
fn shutting(expression: &OpeningHoursExpression) -> Vec<RuleSequence> {
    let closes_some_day = expression.rules.iter().any(|rule| match rule.kind {
        RuleKind::Closed => covers_a_day(rule),
        RuleKind::Open | RuleKind::Unknown => false,
    });
    if !closes_some_day {
        return Vec::new();
    }
    let always = RuleSequence {
        day_selector: DaySelector::default(),
        time_selector: TimeSelector::default(),
        kind: RuleKind::Open,
        operator: RuleOperator::Normal,
        comment: Arc::default(),
    };
    let mut rules = vec![always];
    rules.extend(expression.rules.iter().filter_map(|rule| {
        let all_day = |kind| {
            let operator = match rule.operator {
                RuleOperator::Normal | RuleOperator::Additional => RuleOperator::Normal,
                RuleOperator::Fallback => RuleOperator::Fallback,
            };
            with(rule, TimeSelector::default().spans, kind, operator)
        };
        match rule.kind {
            RuleKind::Open | RuleKind::Unknown => Some(all_day(RuleKind::Open)),
            RuleKind::Closed if covers_a_day(rule) => Some(all_day(RuleKind::Closed)),
            RuleKind::Closed => None,
        }
    }));
    rules
}

fn with(
    rule: &RuleSequence,
    spans: Vec<TimeSpan>,
    kind: RuleKind,
    operator: RuleOperator,
) -> RuleSequence {
    RuleSequence {
        day_selector: rule.day_selector.clone(),
        time_selector: TimeSelector::new(spans),
        kind,
        operator,
        comment: Arc::default(),
    }
}

fn time_span(minutes: &Minutes) -> Option<TimeSpan> {
    Some(TimeSpan::fixed_range(
        ExtendedTime::from_mins_from_midnight(minutes.start)?,
        ExtendedTime::from_mins_from_midnight(minutes.end)?,
    ))
}

/// The evaluator takes only text, so the rules are written down and read again. If they do not
/// come back as they went, the hours are refused rather than evaluated wrongly.
fn evaluator(
    mut rules: Vec<RuleSequence>,
    context: &Context,
) -> Result<Option<OpeningHours>, HoursFault> {
    // What stands first has nothing to be added to, nor to fall back from.
    if let Some(first) = rules.first_mut() {
        first.operator = RuleOperator::Normal;
    } else {
        return Ok(None);
    }
    let written = OpeningHoursExpression { rules }.to_string();
    let read: OpeningHours = written
        .parse()
        .map_err(|_| HoursFault::Unsupported("this combination of rules"))?;
    if read.to_string() != written {
        return Err(HoursFault::Unsupported("this combination of rules"));
    }
    Ok(Some(read.with_context(context.clone())))
}

fn open_minutes(hours: Option<&OpeningHours>, date: Date) -> Vec<Minutes> {
    let (Some(hours), Some(date)) = (hours, to_chrono(date)) else {
        return Vec::new();
    };
    hours
        .schedule_at(date)
        .into_iter()
        .filter(|range| match range.kind {
            RuleKind::Open => true,
            // "Unknown" (by appointment, say) is not a promise that somebody is there.
            RuleKind::Closed | RuleKind::Unknown => false,
        })
        .map(|range| {
            let end = range.range.end.mins_from_midnight().min(MINUTES_PER_DAY);
            range.range.start.mins_from_midnight().min(end)..end
        })
        .filter(|minutes| minutes.start < minutes.end)
        .collect()
}
