//! The line protocol of the promise bench: a day told line by line on standard input, answers on standard output.
//!
//! Only `request` and `dispatch` are answered, one line each. A line that cannot be read ends the conversation: an
//! answer that rests on half of what was said would be worse than none.

use ringback_simulate::{
    Answer, Dispatch, Header, Id, Outcome, Request, ResolveError, Second, Server, View, Windows,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

/// A header with a forecast for every minute of a day has a tenth of this.
const LONGEST_LINE: u64 = 1 << 20;

/// Why the conversation could not go on.
#[derive(Debug)]
pub enum Breakdown {
    /// What was said makes no sense; the line's number counts from 1.
    Line { number: u64, reason: String },
    /// Standard input or output does not work.
    Io(io::Error),
}

impl fmt::Display for Breakdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breakdown::Line { number, reason } => write!(f, "line {number}: {reason}"),
            Breakdown::Io(error) => {
                write!(f, "standard input or output broke off: {error}")
            }
        }
    }
}

impl From<io::Error> for Breakdown {
    fn from(error: io::Error) -> Self {
        Breakdown::Io(error)
    }
}

/// Listens and answers until `end`.
pub fn converse(
    mut input: impl BufRead,
    output: impl Write,
    server: &mut dyn Server,
) -> Result<(), Breakdown> {
    let mut talk = Talk {
        server,
        output: io::BufWriter::new(output),
        windows: None,
        last: Second::MIN,
    };
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        number += 1;
        line.clear();
        let wrong = |reason: String| Breakdown::Line { number, reason };
        let read = input
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Err(wrong("the input ends before {\"ev\":\"end\"}".to_owned()));
        }
        if read as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
            return Err(wrong(format!("is longer than {LONGEST_LINE} bytes")));
        }
        let text = std::str::from_utf8(&line).map_err(|_| wrong("is not UTF-8".to_owned()))?;
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        match talk.hear(text) {
            Ok(Heard::More) => {}
            Ok(Heard::End) => return Ok(()),
            Err(Fault::Said(reason)) => return Err(wrong(reason)),
            Err(Fault::Io(error)) => return Err(error.into()),
        }
    }
}

enum Heard {
    More,
    End,
}

enum Fault {
    Said(String),
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error)
    }
}

impl From<ResolveError> for Fault {
    fn from(error: ResolveError) -> Self {
        Fault::Said(error.to_string())
    }
}

struct Talk<'s, W: Write> {
    server: &'s mut dyn Server,
    output: io::BufWriter<W>,
    /// Set by the header; resolves requests a second time, so that one that cannot be understood is told
    /// instead of declined.
    windows: Option<Windows>,
    last: Second,
}

#[derive(Deserialize)]
struct Kind<'l> {
    #[serde(borrow)]
    ev: Cow<'l, str>,
}

#[derive(Deserialize)]
struct HeaderLine {
    header: Header,
}

#[derive(Deserialize)]
struct AgentsLine {
    t: Second,
    n: u32,
}

#[derive(Deserialize)]
struct RequestLine {
    t: Second,
    request: Request,
}

#[derive(Deserialize)]
struct DispatchLine {
    t: Second,
    idle: u32,
    n: u32,
    queue: u32,
    oldest_inbound_at: Option<Second>,
}

#[derive(Deserialize)]
struct ResultLine {
    t: Second,
    id: Id,
    n: u32,
    result: Outcome,
}

#[derive(Deserialize)]
struct IdLine {
    t: Second,
    id: Id,
}

#[derive(Deserialize)]
struct WaitLine {
    t: Second,
    id: Id,
    wait: Second,
}

impl<W: Write> Talk<'_, W> {
    fn hear(&mut self, text: &str) -> Result<Heard, Fault> {
        let kind: Kind<'_> = serde_json::from_str(text)
            .map_err(|error| Fault::Said(format!("ev: {}", without_place(&error))))?;
        match &*kind.ev {
            "header" => {
                if self.windows.is_some() {
                    return Err(Fault::Said("header: there has been one already".to_owned()));
                }
                let HeaderLine { header } = read(text)?;
                check(&header)?;
                self.windows = Some(Windows::new(&header)?);
                self.server.header(&header);
                return Ok(Heard::More);
            }
            "end" => {
                self.server.end();
                self.output.flush()?;
                return Ok(Heard::End);
            }
            _ => {}
        }
        if self.windows.is_none() {
            return Err(Fault::Said(format!(
                "ev: {:?} comes before the header",
                kind.ev
            )));
        }
        match &*kind.ev {
            "agents" => {
                let AgentsLine { t, n } = read(text)?;
                let now = self.moment(t)?;
                self.server.agents(now, n);
            }
            "request" => {
                let RequestLine { t, request } = read(text)?;
                let now = self.moment(t)?;
                if let Some(windows) = &mut self.windows {
                    windows
                        .of(&request)
                        .map_err(|error| Fault::Said(format!("request.{error}")))?;
                }
                let answer = self.server.request(now, &request);
                self.answer_booking(answer)?;
            }
            "dispatch" => {
                let line: DispatchLine = read(text)?;
                let now = self.moment(line.t)?;
                let view = View {
                    idle: line.idle,
                    n: line.n,
                    queue: line.queue,
                    oldest_inbound_at: line.oldest_inbound_at,
                };
                let dispatch = self.server.dispatch(now, view);
                self.answer_dispatch(&dispatch)?;
            }
            "cancel" => {
                let IdLine { t, id } = read(text)?;
                let now = self.moment(t)?;
                self.server.cancel(now, &id);
            }
            "result" => {
                let ResultLine { t, id, n, result } = read(text)?;
                let now = self.moment(t)?;
                self.server.result(now, &id, n, result);
            }
            "done" => {
                let IdLine { t, id } = read(text)?;
                let now = self.moment(t)?;
                self.server.done(now, &id);
            }
            "inbound" => {
                let IdLine { t, id } = read(text)?;
                let now = self.moment(t)?;
                self.server.inbound(now, &id);
            }
            "inbound_answered" => {
                let WaitLine { t, id, wait } = read(text)?;
                let now = self.moment(t)?;
                self.server.inbound_answered(now, &id, wait);
            }
            "inbound_abandoned" => {
                let WaitLine { t, id, wait } = read(text)?;
                let now = self.moment(t)?;
                self.server.inbound_abandoned(now, &id, wait);
            }
            unknown => {
                return Err(Fault::Said(format!("ev: {unknown:?} is not known")));
            }
        }
        Ok(Heard::More)
    }

    /// Time never runs backwards; a line that says so belongs elsewhere.
    fn moment(&mut self, t: Second) -> Result<Second, Fault> {
        if t < self.last {
            return Err(Fault::Said(format!(
                "t: {t} lies before {}, which was told already",
                self.last
            )));
        }
        self.last = t;
        Ok(t)
    }

    fn answer_booking(&mut self, answer: Answer) -> io::Result<()> {
        serde_json::to_writer(&mut self.output, &answer)?;
        self.finish()
    }

    fn answer_dispatch(&mut self, dispatch: &Dispatch) -> io::Result<()> {
        serde_json::to_writer(&mut self.output, dispatch)?;
        self.finish()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.output.write_all(b"\n")?;
        self.output.flush()
    }
}

/// Figures on which the planner divides or counts.
fn check(header: &Header) -> Result<(), Fault> {
    let wrong = |field: &str, reason: &str| Err(Fault::Said(format!("header.{field}: {reason}")));
    if header.open.is_empty() {
        return wrong("open", "the centre is never open");
    }
    if header.open.iter().any(|(from, to)| from >= to) {
        return wrong("open", "a span ends before it begins");
    }
    if header.max_attempts == 0 {
        return wrong("max_attempts", "must be at least 1");
    }
    for (field, value) in [
        ("callback_talk", header.callback_talk),
        ("callback_wrap", header.callback_wrap),
        ("inbound_aht", header.inbound_aht),
    ] {
        if !(value.is_finite() && value >= 0.0) {
            return wrong(field, "must be a number of seconds, not negative");
        }
    }
    for (field, value) in [
        ("sl_target", header.sl_target),
        ("abandon_target", header.abandon_target),
    ] {
        if !(0.0..=1.0).contains(&value) {
            return wrong(field, "must be a share from 0 to 1");
        }
    }
    let prior = &header.reach_prior;
    let shares = [prior.fresh, prior.inside, prior.outside];
    if shares
        .iter()
        .flatten()
        .any(|share| !(0.0..=1.0).contains(share))
    {
        return wrong("reach_prior", "must hold shares from 0 to 1");
    }
    Ok(())
}

/// Reads a line; only what cannot be read is read again, with the path to what is wrong in it.
fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| {
        let again =
            serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(text));
        Fault::Said(match again {
            Err(error) => {
                let reason = without_place(error.inner());
                match error.path().to_string().as_str() {
                    "." => reason,
                    path => format!("{path}: {reason}"),
                }
            }
            // The line holds more than one value: each reads well by itself.
            Ok(_) => "holds more than one JSON value".to_owned(),
        })
    })
}

/// The reason without the place: the line's number is ours, and it is always the first of what was parsed.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
