//! After a crash: the legs somebody recorded are cancelled or hung up, and whoever answers late is too.

use std::sync::Arc;

use rsipstack::sip::Method;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    call::{LegRecord, LegState},
    dial,
    dialog::Dialog,
    engine::Inner,
    message,
    srv::Hop,
    transaction::ClientTx,
    transport::Flow,
};

/// What could be learned of one leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanEnd {
    pub call_id: String,
    pub outcome: OrphanOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanOutcome {
    /// It was still ringing and is not any more.
    Cancelled,
    /// It was answered and has been hung up.
    HungUp,
    /// The peer knows no such call.
    Gone,
    /// The peer did not answer; whoever answers the call within the next 40 s is still hung up.
    Unreachable,
}

/// How long the caller waits at most; the rest goes on behind it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(8);
const AT_ONCE: usize = 64;
/// An answer that was not acknowledged is repeated at least every 4 s (T2 of RFC 3261).
const LAST_WORD: std::time::Duration = std::time::Duration::from_millis(4500);

pub(crate) async fn end(engine: &Arc<Inner>, legs: Vec<LegRecord>) -> Vec<OrphanEnd> {
    let mut waiting = legs.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut ends = Vec::new();
    loop {
        while running.len() < AT_ONCE {
            let Some((index, leg)) = waiting.next() else {
                break;
            };
            let engine = engine.clone();
            running.spawn(async move {
                let call_id = leg.call_id.clone();
                let ending = tokio::time::timeout(PATIENCE, end_one(&engine, leg)).await;
                let outcome = ending.unwrap_or(OrphanOutcome::Unreachable);
                (index, OrphanEnd { call_id, outcome })
            });
        }
        match running.join_next().await {
            Some(Ok(end)) => ends.push(end),
            // A panic in one is reported by the runtime and must not lose the others.
            Some(Err(_)) => {}
            None => break,
        }
    }
    ends.sort_by_key(|(index, _)| *index);
    ends.into_iter().map(|(_, end)| end).collect()
}

async fn end_one(engine: &Arc<Inner>, leg: LegRecord) -> OrphanOutcome {
    if leg.state == LegState::Ended {
        return OrphanOutcome::Gone;
    }
    let hop = Hop {
        transport: leg.transport,
        address: leg.destination,
        name: leg.server_name.clone(),
    };
    let Ok(mut flow) = engine.transports.open(&hop).await else {
        return OrphanOutcome::Unreachable;
    };
    // The peer matches a CANCEL by the branch and the name in Via: both must be those of the INVITE.
    flow.sent_by.clone_from(&leg.sent_by);
    let dialog = dialog_of(&leg);
    engine
        .book
        .open(&dialog, leg.cseq, &flow, leg.offered, true);
    engine
        .book
        .close_after(&leg.call_id, leg.cseq, engine.config.timers.aftercare);
    match leg.state {
        LegState::Confirmed => hang_up(engine, &leg, dialog, &flow).await,
        LegState::Inviting | LegState::Early => let_ring_out(engine, &leg, dialog, &flow).await,
        LegState::Ended => OrphanOutcome::Gone,
    }
}

/// Cancels, and then waits for what the INVITE itself is answered. A 200 to the CANCEL proves nothing: a
/// phone that had answered already says it too, and goes on repeating its answer until it is acknowledged.
async fn let_ring_out(
    engine: &Arc<Inner>,
    leg: &LegRecord,
    dialog: Dialog,
    flow: &Flow,
) -> OrphanOutcome {
    let fate = engine.book.fate(&leg.call_id, leg.cseq);
    let Some(code) = cancel(engine, leg, &dialog, flow).await else {
        return OrphanOutcome::Unreachable;
    };
    let known = code < 300;
    match tokio::time::timeout(LAST_WORD, fate).await {
        // The book has acknowledged and hung up.
        Ok(Ok(200..=299)) => OrphanOutcome::HungUp,
        Ok(Ok(_)) => OrphanOutcome::Cancelled,
        // Not a word more: it is over, or it was answered and acknowledged, and then only a BYE ends it.
        Ok(Err(_)) | Err(_) => match hang_up(engine, leg, dialog, flow).await {
            OrphanOutcome::Gone if known => OrphanOutcome::Cancelled,
            outcome => outcome,
        },
    }
}

async fn cancel(engine: &Arc<Inner>, leg: &LegRecord, dialog: &Dialog, flow: &Flow) -> Option<u16> {
    let mut lines = dialog.lines(Method::Invite, leg.cseq, &leg.branch, flow);
    lines.push(("Contact".to_owned(), flow.contact()));
    let invite = message::request(Method::Invite, &leg.request_uri, &lines, None).ok()?;
    let mut tx = ClientTx::start(&engine.endpoint, dial::cancel_of(&invite)?, flow).ok()?;
    let received = tx.last().await?;
    (!received.is_local()).then(|| received.code())
}

async fn hang_up(
    engine: &Arc<Inner>,
    leg: &LegRecord,
    mut dialog: Dialog,
    flow: &Flow,
) -> OrphanOutcome {
    if leg.to_tag.is_none() {
        // Nobody ever answered in a way that made a dialog: there is nothing a BYE could name.
        return OrphanOutcome::Gone;
    }
    dialog.remote_tag.clone_from(&leg.to_tag);
    if let Some(target) = &leg.remote_target {
        dialog.remote_target.clone_from(target);
    }
    dialog.route_set.clone_from(&leg.route_set);
    // The dead process may have sent more requests than it recorded: count well past them.
    dialog.cseq = leg.cseq.saturating_add(1000);
    let mut flow = flow.clone();
    if let Some(hop) = engine
        .hops_of(dialog.next_hop(), &crate::call::Trunk::default())
        .await
        .into_iter()
        .next()
    {
        let same_kind = hop.transport == flow.transport;
        if let (true, Ok(better)) = (same_kind, engine.transports.open(&hop).await) {
            flow = better;
        }
    }
    let until = Instant::now() + PATIENCE;
    let Ok(bye) = dialog.request(Method::Bye, dialog.cseq, &flow, Vec::new(), None) else {
        return OrphanOutcome::Unreachable;
    };
    let Ok(mut tx) = ClientTx::start(&engine.endpoint, bye, &flow) else {
        return OrphanOutcome::Unreachable;
    };
    match tokio::time::timeout_at(until, tx.last()).await {
        Ok(Some(received)) if received.is_local() => OrphanOutcome::Unreachable,
        Ok(Some(received)) if received.code() == 481 => OrphanOutcome::Gone,
        Ok(Some(received)) if received.code() < 300 => OrphanOutcome::HungUp,
        Ok(Some(_)) | Ok(None) | Err(_) => OrphanOutcome::Unreachable,
    }
}

/// The dialog as it stood when the INVITE left.
fn dialog_of(leg: &LegRecord) -> Dialog {
    // Branches are `z9hG4bK-<stem>-<cseq>-<method>`; the stem is what the ACK of a refusal needs again.
    let stem = leg.branch.strip_prefix("z9hG4bK-").unwrap_or(&leg.branch);
    let stem = stem
        .strip_suffix(&format!("-{}-invite", leg.cseq))
        .unwrap_or(stem);
    Dialog {
        call_id: leg.call_id.clone(),
        local_tag: leg.from_tag.clone(),
        remote_tag: None,
        from: leg.from.clone(),
        to: leg.to.clone(),
        remote_target: leg.request_uri.clone(),
        route_set: leg.invite_routes.clone(),
        cseq: leg.cseq,
        remote_cseq: None,
        branch_stem: stem.to_owned(),
    }
}
