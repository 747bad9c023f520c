//! The message of an e-mail attempt: the agent's answer, or the queue's template.

use crate::Parts;
use ringback_callbacks::callback::Callback;
use ringback_callbacks::queue::Queue;
use ringback_channels::Mail;
use ringback_channels::smtp::template::{Values, fill};

pub async fn compose(parts: &Parts, callback: &Callback, queue: &Queue) -> Mail {
    let from = queue.rules.email.from.clone();
    let in_reply_to = callback
        .interaction
        .external_id
        .clone()
        .filter(|id| is_message_id(id));
    if let Some(reply) = &callback.reply {
        return Mail {
            from,
            subject: reply.subject.clone(),
            text: reply.text.clone(),
            html: reply.html.clone(),
            automatic: false,
            in_reply_to,
        };
    }
    let tenant = &callback.interaction.tenant;
    let customer = parts
        .store
        .customer(tenant, &callback.interaction.customer)
        .await
        .ok()
        .flatten();
    let values = Values {
        subject: callback.interaction.subject.clone().unwrap_or_default(),
        customer_name: customer
            .and_then(|customer| customer.name)
            .unwrap_or_default(),
        queue: queue.rules.name.clone(),
        interaction_id: callback.interaction.id.to_string(),
    };
    match &queue.rules.email.template {
        Some(template) => {
            let (subject, text, html) = fill(template, &values);
            Mail {
                from,
                subject,
                text,
                html,
                automatic: true,
                in_reply_to,
            }
        }
        // Rules may have lost their template since the claim: an empty message is refused by the channel.
        None => Mail {
            from,
            subject: String::new(),
            text: String::new(),
            html: None,
            automatic: true,
            in_reply_to,
        },
    }
}

/// An integrator who received the request by mail gives that mail's Message-ID as `external_id`.
fn is_message_id(text: &str) -> bool {
    text.len() <= 250
        && text.starts_with('<')
        && text.ends_with('>')
        && text.contains('@')
        && text.chars().all(|c| c.is_ascii_graphic())
}
