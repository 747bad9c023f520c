//! The message itself: built from parts that were checked, so that nothing written by a person can add
//! a header.

use super::template::one_line;
use crate::order::{Mail, Order};
use jiff::Timestamp;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use ringback_callbacks::contact::EmailAddress;
use ringback_callbacks::ids::AttemptId;
use std::time::{Duration, SystemTime};

/// A message ready to go.
pub(super) struct Letter {
    pub(super) message_id: String,
    pub(super) sender: Address,
    pub(super) recipient: Address,
    pub(super) bytes: Vec<u8>,
    /// The relay must know SMTPUTF8.
    pub(super) international: bool,
}

/// `<attempt@domain>`: the attempt's id travels outwards in it; of a repeated letter, the first's.
pub(super) fn message_id(attempt: AttemptId, mail: &Mail, from: &Mailbox) -> String {
    let attempt = mail.repeats.unwrap_or(attempt);
    format!("<{attempt}@{}>", from.email.domain())
}

/// The sender of a mail: its own, else the route's. The error holds no address.
pub(super) fn sender(mail: &Mail, default: &Mailbox) -> Result<Mailbox, &'static str> {
    match &mail.from {
        Some(from) => from
            .parse()
            .map_err(|_| "the queue's sender address cannot be read"),
        None => Ok(default.clone()),
    }
}

/// Writes the message, or says why it cannot be written.
pub(super) fn write(
    order: &Order,
    mail: &Mail,
    to: &EmailAddress,
    from: &Mailbox,
    now: Timestamp,
) -> Result<Letter, &'static str> {
    if mail.subject.trim().is_empty() && mail.text.trim().is_empty() {
        return Err("the message is empty");
    }
    if mail.text.len() + mail.html.as_ref().map_or(0, String::len) > LARGEST {
        return Err("the message is larger than 5 MiB");
    }
    let recipient = Address::new(to.local_part(), to.domain())
        .map_err(|_| "the recipient cannot be written in a mail")?;
    let message_id = message_id(order.attempt, mail, from);
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, recipient.clone()))
        .subject(one_line(&mail.subject))
        .date(system_time(now))
        .message_id(Some(message_id.clone()));
    let thread = mail.in_reply_to.as_deref().filter(|id| is_message_id(id));
    if let Some(id) = thread {
        builder = builder.in_reply_to(id.to_owned()).references(id.to_owned());
    }
    if mail.automatic {
        // RFC 3834: so that nobody's out-of-office answers it, and no loop begins.
        let kind = if thread.is_some() {
            "auto-replied"
        } else {
            "auto-generated"
        };
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        builder = builder.raw_header(HeaderValue::new(name, kind.to_owned()));
    }
    let message = match &mail.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(
            mail.text.clone(),
            html.clone(),
        )),
        None => builder.singlepart(SinglePart::plain(mail.text.clone())),
    };
    let message = message.map_err(|_| "the message cannot be written")?;
    let sender = from.email.clone();
    let ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    let international = !(ascii(&sender) && ascii(&recipient));
    Ok(Letter {
        message_id,
        sender,
        recipient,
        bytes: message.formatted(),
        international,
    })
}

const LARGEST: usize = 5 * 1024 * 1024;

/// Anything else in the header could begin a line of its own.
fn is_message_id(text: &str) -> bool {
    let inner = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    inner.is_some_and(|id| {
        id.len() <= 250
            && id.contains('@')
            && id
                .chars()
                .all(|c| c.is_ascii_graphic() && c != '<' && c != '>')
    })
}

fn system_time(at: Timestamp) -> SystemTime {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::tests::order_to;
    use ringback_callbacks::contact::Contact;

    fn mail() -> Mail {
        Mail {
            from: None,
            subject: "Your boiler".to_owned(),
            text: "Dear Anna\n.\nwe shall come.\n".to_owned(),
            html: None,
            automatic: false,
            in_reply_to: None,
            repeats: None,
        }
    }

    fn written(mail: &Mail, to: &str) -> Result<(Order, Letter, String), &'static str> {
        let order = order_to(to);
        let Contact::Email(address) = order.contact.clone() else {
            panic!("not a mailbox")
        };
        let from = sender(
            mail,
            &"Heizung Müller <support@example.com>"
                .parse()
                .expect("a mailbox"),
        )?;
        let now = "2026-03-10T12:00:00Z".parse().expect("a time");
        let letter = write(&order, mail, &address, &from, now)?;
        let text = String::from_utf8(letter.bytes.clone()).expect("text");
        Ok((order, letter, text))
    }

    #[test]
    fn a_persons_answer() {
        let (order, letter, text) = written(&mail(), "anna@example.org").expect("a message");
        let id = format!("<{}@example.com>", order.attempt);
        assert_eq!(letter.message_id, id);
        for line in [
            &format!("Message-ID: {id}") as &str,
            "To: anna@example.org",
            "Subject: Your boiler",
            "Date: Tue, 10 Mar 2026 12:00:00 +0000",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
        assert!(text.is_ascii(), "the sender's name is encoded");
        assert!(
            !text.contains("Auto-Submitted")
                && !text.contains("In-Reply-To")
                && !text.contains("Reply-To")
        );
        assert!(!letter.international);
    }

    #[test]
    fn a_repeated_letter_bears_the_first_ones_id() {
        let first = AttemptId(uuid::Uuid::from_u128(42));
        let mail = Mail {
            repeats: Some(first),
            ..mail()
        };
        let (_, letter, text) = written(&mail, "anna@example.org").expect("a message");
        let id = format!("<{first}@example.com>");
        assert_eq!(letter.message_id, id);
        assert!(text.contains(&format!("Message-ID: {id}\r\n")), "{text}");
    }

    #[test]
    fn automatic_messages_say_so() {
        for (thread, kind) in [
            (None, "auto-generated"),
            (Some("<42@example.org>"), "auto-replied"),
        ] {
            let mail = Mail {
                automatic: true,
                in_reply_to: thread.map(str::to_owned),
                ..mail()
            };
            let (.., text) = written(&mail, "anna@example.org").expect("a message");
            assert!(
                text.contains(&format!("Auto-Submitted: {kind}\r\n")),
                "{text}"
            );
            assert_eq!(
                text.contains("In-Reply-To: <42@example.org>\r\n"),
                thread.is_some()
            );
            assert_eq!(
                text.contains("References: <42@example.org>\r\n"),
                thread.is_some()
            );
        }
    }

    #[test]
    fn nothing_can_add_a_header() {
        let evil = "x\r\nBcc: all@example.net\r\n\r\nbody";
        for mail in [
            Mail {
                subject: evil.to_owned(),
                ..mail()
            },
            Mail {
                in_reply_to: Some(format!("<a@b>{evil}")),
                ..mail()
            },
            Mail {
                in_reply_to: Some(format!("<{evil}@b>")),
                ..mail()
            },
        ] {
            let (.., text) = written(&mail, "anna@example.org").expect("a message");
            assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        }
        let mail = Mail {
            from: Some(format!("a@example.com{evil}")),
            ..mail()
        };
        assert!(written(&mail, "anna@example.org").is_err());
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        let empty = Mail {
            subject: " ".to_owned(),
            text: String::new(),
            ..mail()
        };
        assert_eq!(
            written(&empty, "anna@example.org").err(),
            Some("the message is empty")
        );
        let large = Mail {
            text: "x".repeat(LARGEST + 1),
            ..mail()
        };
        assert!(written(&large, "anna@example.org").is_err());
    }

    #[test]
    fn international_addresses_are_known() {
        let (_, letter, _) = written(&mail(), "ännä@example.org").expect("a message");
        assert!(letter.international);
    }
}
