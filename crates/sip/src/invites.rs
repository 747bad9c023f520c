//! The memory of every INVITE we sent: the ACK that belongs to each 2xx, so that a repeated 2xx gets the
//! same ACK again, and the duty to end any call somebody answers after we gave it up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rsipstack::sip::{Method, Request, Response};
use tokio::sync::oneshot;

use crate::{dialog::Dialog, message, sdp::Sdp, transport::Flow};

type Key = (String, u32);

/// What to do with a 2xx to an INVITE.
pub(crate) enum Verdict {
    /// The first answer: its leg deals with it.
    Deliver,
    /// Heard before; its ACK is not written yet, and the peer will repeat.
    Wait,
    /// Heard before: send the same ACK again.
    Repeat(Box<(Request, Flow)>),
    /// An answer nobody wants any more, or a second branch: acknowledge it, then hang it up.
    End {
        ack: Box<Request>,
        bye: Box<Request>,
        flow: Box<Flow>,
    },
    /// Not an INVITE of ours.
    Unknown,
}

struct Invite {
    dialog: Dialog,
    flow: Flow,
    /// The To tag of the answer the leg took.
    chosen: Option<String>,
    given_up: bool,
    /// From before a restart: nobody else acknowledges its refusals.
    orphan: bool,
    /// Whoever waits to hear how an INVITE from before a restart was answered in the end.
    fate: Option<oneshot::Sender<u16>>,
    /// The INVITE carried an offer, so a 2xx carries the answer and its ACK nothing.
    offered: bool,
    acks: HashMap<String, (Request, Flow)>,
}

/// The book itself; cheap to share.
#[derive(Clone, Default)]
pub(crate) struct InviteBook {
    open: Arc<Mutex<HashMap<Key, Invite>>>,
}

/// Branches one INVITE may be answered by before we stop counting.
const MAX_BRANCHES: usize = 16;

impl InviteBook {
    /// Notes an INVITE about to be sent.
    pub(crate) fn open(
        &self,
        dialog: &Dialog,
        cseq: u32,
        flow: &Flow,
        offered: bool,
        orphan: bool,
    ) {
        let invite = Invite {
            dialog: dialog.clone(),
            flow: flow.clone(),
            chosen: None,
            given_up: orphan,
            orphan,
            fate: None,
            offered,
            acks: HashMap::new(),
        };
        self.lock().insert((dialog.call_id.clone(), cseq), invite);
    }

    /// The final status an INVITE from before a restart gets after all; it has been dealt with by then.
    pub(crate) fn fate(&self, call_id: &str, cseq: u32) -> oneshot::Receiver<u16> {
        let (tell, fate) = oneshot::channel();
        if let Some(invite) = self.lock().get_mut(&(call_id.to_owned(), cseq)) {
            invite.fate = Some(tell);
        }
        fate
    }

    /// The leg gave up: whoever still answers is acknowledged and hung up.
    pub(crate) fn give_up(&self, call_id: &str, cseq: u32) {
        if let Some(invite) = self.lock().get_mut(&(call_id.to_owned(), cseq)) {
            invite.given_up = true;
        }
    }

    /// Stores the ACK of the answer that was taken. It must be here before it is sent: a repeated 2xx that
    /// arrives in between would otherwise be lost.
    pub(crate) fn acknowledge(
        &self,
        call_id: &str,
        cseq: u32,
        tag: &str,
        ack: Request,
        flow: Flow,
    ) {
        if let Some(invite) = self.lock().get_mut(&(call_id.to_owned(), cseq)) {
            invite.chosen = Some(tag.to_owned());
            invite.acks.insert(tag.to_owned(), (ack, flow));
        }
    }

    /// Forgets the INVITE once late answers can no longer come.
    pub(crate) fn close_after(&self, call_id: &str, cseq: u32, wait: Duration) {
        let (book, key) = (self.clone(), (call_id.to_owned(), cseq));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            book.lock().remove(&key);
        });
    }

    /// Whether any INVITE of this call is still remembered.
    pub(crate) fn knows(&self, call_id: &str) -> bool {
        self.lock().keys().any(|(known, _)| known == call_id)
    }

    pub(crate) fn on_success(&self, response: &Response) -> Verdict {
        let Some((key, tag)) = key_and_tag(response) else {
            return Verdict::Unknown;
        };
        let mut open = self.lock();
        let Some(invite) = open.get_mut(&key) else {
            return Verdict::Unknown;
        };
        if let Some((ack, flow)) = invite.acks.get(&tag) {
            return Verdict::Repeat(Box::new((ack.clone(), flow.clone())));
        }
        if invite.chosen.as_ref() == Some(&tag) {
            return Verdict::Wait;
        }
        if invite.chosen.is_none() && !invite.given_up {
            invite.chosen = Some(tag);
            return Verdict::Deliver;
        }
        if invite.acks.len() >= MAX_BRANCHES {
            return Verdict::Wait;
        }
        let Some((ack, bye)) = farewell(invite, key.1, response) else {
            return Verdict::Wait;
        };
        invite.acks.insert(tag, (ack.clone(), invite.flow.clone()));
        invite.decided(response.status_code.code());
        let flow = Box::new(invite.flow.clone());
        Verdict::End {
            ack: Box::new(ack),
            bye: Box::new(bye),
            flow,
        }
    }

    /// The ACK of a refusal that belongs to an INVITE sent before a restart.
    pub(crate) fn on_refusal(&self, response: &Response) -> Option<(Request, Flow)> {
        let key = key_and_tag(response).map(|(key, _)| key)?;
        let mut open = self.lock();
        let invite = open.get_mut(&key).filter(|i| i.orphan)?;
        invite.decided(response.status_code.code());
        let branch = invite.dialog.branch(Method::Invite, key.1);
        let mut dialog = invite.dialog.clone();
        dialog.remote_tag = message::to_tag(&response.headers);
        let lines = dialog.lines(Method::Ack, key.1, &branch, &invite.flow);
        let ack = message::request(Method::Ack, &dialog.remote_target, &lines, None).ok()?;
        Some((ack, invite.flow.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Invite>> {
        self.open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Invite {
    fn decided(&mut self, code: u16) {
        if let Some(fate) = self.fate.take() {
            // Whoever asked may have lost patience.
            let _ = fate.send(code);
        }
    }
}

/// ACK and BYE for an answer nobody wants. If the answer brought an offer, the ACK refuses its streams.
fn farewell(invite: &Invite, cseq: u32, response: &Response) -> Option<(Request, Request)> {
    let (mut dialog, flow) = (invite.dialog.clone(), &invite.flow);
    dialog.learn(response);
    // Each branch of a fork is a dialog of its own, and so are its Via branches.
    let tag = dialog.remote_tag.clone()?;
    dialog.branch_stem = format!("{}-{:08x}", dialog.branch_stem, fold(&tag));
    let body = message::sdp_body(&response.headers, &response.body).filter(|_| !invite.offered);
    let offered = body.and_then(Sdp::parse);
    let refusal = offered.map(|o| o.refusal(flow.media_host())).map(|r| {
        crate::sdp::Origin::new(u64::from(fold(&dialog.call_id)), flow.media_host()).write(&r)
    });
    let ack = dialog
        .request(Method::Ack, cseq, flow, Vec::new(), refusal.as_deref())
        .ok()?;
    let bye = dialog
        .request(
            Method::Bye,
            cseq.saturating_add(1000),
            flow,
            Vec::new(),
            None,
        )
        .ok()?;
    Some((ack, bye))
}

/// A short, stable number for a text (FNV-1a): not secret, only different for different texts.
pub(crate) fn fold(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, b| {
        (hash ^ u32::from(b)).wrapping_mul(0x0100_0193)
    })
}

fn key_and_tag(response: &Response) -> Option<(Key, String)> {
    let (number, method) = message::cseq(&response.headers)?;
    if !method.eq_ignore_ascii_case("INVITE") {
        return None;
    }
    let call_id = message::call_id(&response.headers)?;
    let tag = message::to_tag(&response.headers).unwrap_or_default();
    Some(((call_id.to_owned(), number), tag))
}
