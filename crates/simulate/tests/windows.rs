//! What the public record says of a window is the truth about it, also on the days on which clocks
//! change and for customers in other zones.

use ringback_simulate::{Header, Interval, Request, ResolveError, Resolved, Second, Windows};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Header(Box<Header>),
    Case {
        request: Request,
        start: Second,
        end: Second,
        dialable: Vec<Interval>,
    },
}

fn lines() -> impl Iterator<Item = Line> {
    include_str!("data/windows.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn windows_and_dialable_moments_are_those_of_the_truth() {
    let mut days = 0;
    let mut cases = 0;
    let mut windows = None;
    for line in lines() {
        match line {
            Line::Header(header) => {
                days += 1;
                windows = Some(Windows::new(&header).unwrap());
            }
            Line::Case {
                request,
                start,
                end,
                dialable,
            } => {
                cases += 1;
                let expected = Resolved {
                    start,
                    end,
                    dialable,
                };
                let resolved = windows.as_mut().unwrap().of(&request).unwrap();
                assert_eq!(resolved, expected, "{request:?}");
            }
        }
    }
    assert_eq!((days, cases), (4, 197));
}

fn first_day() -> (Header, Request) {
    let mut lines = lines();
    let Some(Line::Header(header)) = lines.next() else {
        panic!("the first line is a header");
    };
    let request = lines.find_map(|line| match line {
        Line::Case { request, .. } if request.local_start.is_some() => Some(request),
        _ => None,
    });
    (*header, request.unwrap())
}

#[test]
fn what_cannot_be_read_is_refused_with_its_field() {
    let (header, request) = first_day();
    for text in ["", "8", "25:00", "24:01", "08:60", "-1:00", "08:00:00"] {
        let mut header = header.clone();
        header.legal_local.0 = text.to_owned();
        let text = text.to_owned();
        assert_eq!(
            Windows::new(&header).err(),
            Some(ResolveError::TimeOfDay { text })
        );
    }
    let mut windows = Windows::new(&header).unwrap();
    for (field, without) in [
        (
            "local_start",
            Request {
                local_start: None,
                ..request.clone()
            },
        ),
        (
            "local_end",
            Request {
                local_end: None,
                ..request.clone()
            },
        ),
    ] {
        assert_eq!(
            windows.of(&without),
            Err(ResolveError::Missing { field }),
            "{field}"
        );
    }
}

#[test]
fn after_closing_nothing_can_be_dialled() {
    let (header, request) = first_day();
    let mut windows = Windows::new(&header).unwrap();
    let closes = header.open[0].1;
    for (at, expected) in [
        (closes - 1, vec![(closes - 1, closes)]),
        (closes, vec![]),
        (closes + 3600, vec![]),
    ] {
        let request = Request {
            at,
            kind: ringback_simulate::Kind::Asap,
            local_start: None,
            local_end: None,
            ..request.clone()
        };
        let resolved = windows.of(&request).unwrap();
        assert_eq!(resolved.dialable, expected, "{at}");
    }
}
