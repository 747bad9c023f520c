//! The message of an e-mail attempt: the agent's answer, or the queue's template.

use crate::Parts;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::ids::AttemptId;
use ringback_callbacks::outcome::Verdict;
use ringback_callbacks::queue::Queue;
use ringback_channels::Mail;
use ringback_channels::smtp::template::{Values, fill};
use ringback_store::StoreError;

/// Fails only if the store does: a letter without what it should say is not written.
pub async fn compose(
    parts: &Parts,
    callback: &Callback,
    queue: &Queue,
) -> Result<Mail, StoreError> {
    let external = callback.interaction.external_id.clone();
    let mail = Mail {
        from: queue.rules.email.from.clone(),
        subject: String::new(),
        text: String::new(),
        html: None,
        automatic: callback.reply.is_none(),
        in_reply_to: external.filter(|id| is_message_id(id)),
        repeats: repeated(parts, callback).await?,
    };
    if let Some(reply) = &callback.reply {
        return Ok(Mail {
            subject: reply.subject.clone(),
            text: reply.text.clone(),
            html: reply.html.clone(),
            ..mail
        });
    }
    let Some(template) = &queue.rules.email.template else {
        // Rules may have lost their template since the claim: an empty message is refused by the channel.
        return Ok(mail);
    };
    let tenant = &callback.interaction.tenant;
    let customer = parts
        .store
        .customer(tenant, &callback.interaction.customer)
        .await?;
    let values = Values {
        subject: callback.interaction.subject.clone().unwrap_or_default(),
        customer_name: customer
            .and_then(|customer| customer.name)
            .unwrap_or_default(),
        queue: queue.rules.name.clone(),
        interaction_id: callback.interaction.id.to_string(),
    };
    let (subject, text, html) = fill(template, &values);
    Ok(Mail {
        subject,
        text,
        html,
        ..mail
    })
}

/// The first of the latest tries of which nobody knows whether the letter arrived: sent again under the
/// same Message-ID, a second copy is dropped by most mailboxes instead of puzzling the customer.
async fn repeated(parts: &Parts, callback: &Callback) -> Result<Option<AttemptId>, StoreError> {
    if !callback.may_have_reached {
        return Ok(None);
    }
    let tenant = &callback.interaction.tenant;
    let mut attempts = parts
        .store
        .attempts(tenant, callback.interaction.id)
        .await?;
    attempts.sort_by_key(|attempt| attempt.number);
    let mut first = None;
    for attempt in attempts.into_iter().rev() {
        if attempt.contact != callback.contact().expose() {
            break;
        }
        match attempt.outcome.map(|outcome| outcome.verdict) {
            Some(Verdict::Unknown) => first = Some(attempt.id),
            // Nothing was taken in between: it is still the same letter.
            Some(
                Verdict::RouteFault | Verdict::AgentFault | Verdict::Stopped | Verdict::Deferred,
            ) => {}
            Some(
                Verdict::Reached
                | Verdict::Busy
                | Verdict::NoAnswer
                | Verdict::Machine
                | Verdict::Invalid
                | Verdict::Declined
                | Verdict::DoNotCall,
            )
            | None => break,
        }
    }
    Ok(first)
}

/// An integrator who received the request by mail gives that mail's Message-ID as `external_id`.
fn is_message_id(text: &str) -> bool {
    text.len() <= 250
        && text.starts_with('<')
        && text.ends_with('>')
        && text.contains('@')
        && text.chars().all(|c| c.is_ascii_graphic())
}
