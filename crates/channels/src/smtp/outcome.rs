//! What a relay's answer means: the one table from reply, step and fault to our outcome.
//!
//! Before the recipient is named, every refusal speaks of us (greeting, TLS, login, sender): a route
//! fault. From the recipient on, 4xx asks for later (`Deferred`, with `NO_ANSWER` as the nearest published
//! result) and 5xx is the recipient's (`Invalid`, with `SIT_INVALID_NUM`), unless its enhanced code says that
//! it speaks of us, of the network or of policy. Once the whole message was handed over, a refusal is the
//! last word on it, whatever the reason: the same message would be refused each minute again.

use super::session::{Ending, Fault, Step};
use crate::masked::masked;
use ringback_callbacks::outcome::{CallResult, Outcome, PlatformCode, Verdict};

/// What one relay's answer means, and whether the relay itself is unwell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meaning {
    pub(super) outcome: Outcome,
    pub(super) route_down: bool,
}

pub(super) fn of(ending: &Ending) -> Meaning {
    match ending {
        Ending::Accepted { code, words } => Meaning {
            outcome: Outcome::new(CallResult::OK, Verdict::Reached, reply(*code, words)),
            route_down: false,
        },
        Ending::Stopped => Meaning {
            outcome: stopped(),
            route_down: false,
        },
        Ending::Failed {
            step,
            fault: Fault::Reply { code, words },
        } => refused(*step, *code, words),
        Ending::Failed {
            step,
            fault: Fault::Broken(words),
        } => trouble(
            CallResult::NO_DIAL_TONE,
            &format!("{}: {}", step.name(), masked(words)),
        ),
        Ending::Failed {
            step,
            fault: Fault::TimedOut,
        } => trouble(
            CallResult::NO_PROGRESS,
            &format!("{}: no answer in time", step.name()),
        ),
        // Nobody can say whether it was delivered.
        Ending::Unanswered { message_id } => Meaning {
            outcome: Outcome::unknown(&format!(
                "handed over, but never acknowledged; it may have arrived as {message_id}"
            )),
            route_down: true,
        },
        // Every relay would have to know SMTPUTF8; asking this one again will not teach it.
        Ending::Unable(words) => Meaning {
            outcome: Outcome::new(
                CallResult::DIAL_ERROR,
                Verdict::Invalid,
                PlatformCode::new("smtp", None, words),
            ),
            route_down: false,
        },
    }
}

/// We ended it before the message was handed over.
pub(super) fn stopped() -> Outcome {
    let platform = PlatformCode::new(
        "ringback",
        None,
        "stopped by us before the message was handed over",
    );
    Outcome::new(CallResult::DROPPED, Verdict::Stopped, platform)
}

/// The settings or the message are wrong; nothing was sent.
pub(super) fn not_sent(words: &str) -> Outcome {
    Outcome::new(
        CallResult::DIAL_ERROR,
        Verdict::RouteFault,
        PlatformCode::new("ringback", None, words),
    )
}

fn refused(step: Step, code: u16, words: &str) -> Meaning {
    let verdict = match step {
        Step::Connect | Step::Starttls | Step::Login | Step::Sender => Verdict::RouteFault,
        // The service is closing, whoever the message is for.
        Step::Recipient | Step::Data | Step::Message if code == 421 => Verdict::RouteFault,
        Step::Recipient | Step::Data => match code {
            400..=499 => Verdict::Deferred,
            _ if speaks_of_us(code, words) => Verdict::RouteFault,
            _ => Verdict::Invalid,
        },
        Step::Message => match code {
            400..=499 => Verdict::Deferred,
            _ => Verdict::Invalid,
        },
    };
    let result = match verdict {
        Verdict::Deferred => CallResult::NO_ANSWER,
        Verdict::Invalid => CallResult::SIT_INVALID_NUM,
        Verdict::RouteFault
        | Verdict::Reached
        | Verdict::Busy
        | Verdict::NoAnswer
        | Verdict::Machine
        | Verdict::Declined
        | Verdict::AgentFault
        | Verdict::DoNotCall
        | Verdict::Stopped
        | Verdict::Unknown => CallResult::SWITCH_ERROR,
    };
    let ours = matches!(
        step,
        Step::Connect | Step::Starttls | Step::Login | Step::Sender
    ) || code == 421;
    Meaning {
        outcome: Outcome::new(result, verdict, reply(code, words)),
        route_down: ours,
    }
}

/// Whether a 5xx to the recipient is about us. The enhanced code decides where there is one (RFC 3463):
/// x.1.x and x.2.x are the recipient and the mailbox, except x.1.7 and x.1.8, the sender; the rest is system,
/// network, protocol, content and policy. Without one, the codes that are about login and syntax.
fn speaks_of_us(code: u16, words: &str) -> bool {
    match enhanced(words) {
        Some((1, 7 | 8)) => true,
        Some((1 | 2, _)) => false,
        Some((0, _)) | None => matches!(code, 500..=504 | 521 | 530 | 534 | 535 | 538),
        Some(_) => true,
    }
}

/// Subject and detail of `5.1.1 No such user`.
fn enhanced(words: &str) -> Option<(u16, u16)> {
    let mut parts = words.split_whitespace().next()?.split('.');
    let class = parts.next()?;
    let subject = parts.next()?.parse().ok()?;
    let detail = parts.next()?.parse().ok()?;
    (matches!(class, "2" | "4" | "5") && parts.next().is_none()).then_some((subject, detail))
}

fn trouble(result: CallResult, words: &str) -> Meaning {
    let platform = PlatformCode::new("smtp", None, words);
    Meaning {
        outcome: Outcome::new(result, Verdict::RouteFault, platform),
        route_down: true,
    }
}

fn reply(code: u16, words: &str) -> PlatformCode {
    PlatformCode::new("smtp", Some(i32::from(code)), &masked(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(step: Step, code: u16, words: &str) -> Meaning {
        of(&Ending::Failed {
            step,
            fault: Fault::Reply {
                code,
                words: words.to_owned(),
            },
        })
    }

    #[test]
    fn refusals_by_step_and_code() {
        use Verdict::{Deferred, Invalid, RouteFault};
        for (step, code, words, verdict, down) in [
            (Step::Connect, 554, "no service", RouteFault, true),
            (Step::Connect, 421, "busy", RouteFault, true),
            (Step::Starttls, 454, "TLS not available", RouteFault, true),
            (Step::Login, 535, "5.7.8 bad credentials", RouteFault, true),
            (Step::Login, 454, "4.7.0 later", RouteFault, true),
            (
                Step::Sender,
                530,
                "5.7.0 authentication required",
                RouteFault,
                true,
            ),
            (Step::Sender, 550, "5.1.8 sender unknown", RouteFault, true),
            (Step::Recipient, 450, "4.2.0 greylisted", Deferred, false),
            (Step::Recipient, 451, "", Deferred, false),
            (Step::Recipient, 452, "4.2.2 full", Deferred, false),
            (Step::Recipient, 421, "4.3.2 closing", RouteFault, true),
            (Step::Recipient, 550, "5.1.1 no such user", Invalid, false),
            (Step::Recipient, 550, "no such user", Invalid, false),
            (Step::Recipient, 551, "", Invalid, false),
            (Step::Recipient, 553, "5.1.3 bad address", Invalid, false),
            (Step::Recipient, 556, "5.1.10 null MX", Invalid, false),
            (Step::Recipient, 552, "5.2.2 full", Invalid, false),
            (Step::Recipient, 550, "5.1.7 bad sender", RouteFault, false),
            (
                Step::Recipient,
                554,
                "5.7.1 relay access denied",
                RouteFault,
                false,
            ),
            (Step::Recipient, 550, "5.4.1 no route", RouteFault, false),
            (
                Step::Recipient,
                530,
                "authentication required",
                RouteFault,
                false,
            ),
            (Step::Recipient, 503, "bad sequence", RouteFault, false),
            (Step::Data, 451, "4.3.0 later", Deferred, false),
            (Step::Data, 554, "5.1.1 no valid recipients", Invalid, false),
            (Step::Message, 451, "4.7.0 later", Deferred, false),
            (Step::Message, 554, "5.7.1 looks like spam", Invalid, false),
            (Step::Message, 552, "too large", Invalid, false),
            (Step::Message, 421, "closing", RouteFault, true),
        ] {
            let meaning = refusal(step, code, words);
            assert_eq!(
                (meaning.outcome.verdict, meaning.route_down),
                (verdict, down),
                "{step:?} {code} {words}"
            );
            assert_eq!(
                meaning.outcome.platform,
                PlatformCode::new("smtp", Some(i32::from(code)), words)
            );
        }
    }

    #[test]
    fn results_are_the_published_numbers() {
        let result = |step, code, words| refusal(step, code, words).outcome.result;
        assert_eq!(result(Step::Recipient, 550, "5.1.1"), CallResult(11));
        assert_eq!(result(Step::Recipient, 450, "4.2.0"), CallResult(7));
        assert_eq!(result(Step::Login, 535, "5.7.8"), CallResult(43));
        let accepted = of(&Ending::Accepted {
            code: 250,
            words: "2.0.0 queued".to_owned(),
        });
        assert_eq!(
            (accepted.outcome.result, accepted.outcome.verdict),
            (CallResult::OK, Verdict::Reached)
        );
    }

    #[test]
    fn trouble_is_the_routes_and_silence_after_the_message_nobodys() {
        for fault in [
            Fault::Broken("connection refused".to_owned()),
            Fault::TimedOut,
        ] {
            let meaning = of(&Ending::Failed {
                step: Step::Connect,
                fault,
            });
            assert_eq!(
                (meaning.outcome.verdict, meaning.route_down),
                (Verdict::RouteFault, true)
            );
        }
        let unanswered = of(&Ending::Unanswered {
            message_id: "<0192f0c1@example.com>".to_owned(),
        })
        .outcome;
        assert_eq!(
            (unanswered.result, unanswered.verdict),
            (CallResult::UNKNOWN, Verdict::Unknown)
        );
        assert!(unanswered.platform.text.contains("<0192f0c1@example.com>"));
    }

    #[test]
    fn what_relays_say_is_masked() {
        let meaning = refusal(
            Step::Recipient,
            550,
            "5.1.1 <anna@example.com>: Recipient address rejected",
        );
        assert_eq!(
            meaning.outcome.platform.text,
            "5.1.1 ••• Recipient address rejected"
        );
    }
}
