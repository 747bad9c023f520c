//! What a telephone does when it is called: rings, answers, refuses, follows changes, hangs up.

use super::transactions::About;
use super::{Desk, Key, LONGEST_CALL, Lines, REALM, Timer, key_of};
use crate::call::{Call, Stage};
use crate::digest;
use crate::message::{Message, user_of};
use crate::script::{Behaviour, Talk};
use crate::witness::{Happening, HungUpBy};
use std::net::SocketAddr;
use std::time::Duration;

/// What was said before hanging up is still counted for so long.
const LAST_WORDS: Duration = Duration::from_millis(100);
const MOST_CALLS: usize = 20_000;

impl Desk {
    pub(super) async fn invite(&mut self, invite: Message, from: SocketAddr) {
        let user = user_of(invite.uri()).to_owned();
        let attempt = invite.header("x-ringback-attempt").map(str::to_owned);
        let turned = |code| Happening::TurnedAway {
            line: user.clone(),
            code,
            attempt: attempt.clone(),
        };
        if self.out_of_order || self.calls.len() >= MOST_CALLS || self.stopping.is_some() {
            self.witness.tell(turned(503));
            return self.refuse(&invite, from, 503).await;
        }
        if let Some(login) = &self.demands {
            let proof = invite.header("proxy-authorization");
            if !proof
                .is_some_and(|proof| digest::proves(proof, login, REALM, &self.nonce, "INVITE"))
            {
                self.witness.tell(turned(407));
                return self.refuse(&invite, from, 407).await;
            }
        }
        if let Some(unknown) = invite
            .all("require")
            .find(|option| !["timer", "100rel"].contains(option))
        {
            let answer = self
                .dress(Message::answer(&invite, 420, Some("none")), &invite, from)
                .with("unsupported", unknown);
            return self.send_final(&invite, from, answer).await;
        }
        let (line, behaviour) = match &mut self.lines {
            Lines::One { name, script } => (name.clone(), Some(script)),
            Lines::Many(lines) => {
                let script = lines.get_mut(&user);
                (user.clone(), script)
            }
        };
        let Some(script) = behaviour else {
            self.witness.tell(turned(404));
            return self.refuse(&invite, from, 404).await;
        };
        // A person has one ear: a second call does not use up the script.
        let engaged = self.engaged.contains(&line);
        let behaviour = if engaged {
            Behaviour::busy()
        } else {
            script.next()
        };
        self.witness
            .rang(&line, invite.call_id(), attempt.as_deref());
        let key = key_of(&invite);
        match &behaviour {
            Behaviour::Silent => {
                self.witness.closed();
                self.remember(&invite, Vec::new(), from);
            }
            Behaviour::Refuse { code, after, .. } if after.is_zero() => {
                self.witness.closed();
                self.witness.tell(Happening::Refused {
                    line,
                    call_id: invite.call_id().to_owned(),
                    code: *code,
                });
                self.refuse(&invite, from, *code).await;
            }
            Behaviour::Answer { after, .. } | Behaviour::Refuse { after, .. } => {
                let after = *after;
                if self.ring(&line, behaviour, invite, from).await {
                    self.at(after, Timer::Act(key));
                }
            }
            Behaviour::RingForever => {
                self.ring(&line, behaviour, invite, from).await;
            }
        }
    }

    /// Begins to ring. False when there was no port left for the sound.
    pub(super) async fn ring(
        &mut self,
        line: &str,
        behaviour: Behaviour,
        invite: Message,
        from: SocketAddr,
    ) -> bool {
        let key = key_of(&invite);
        let Ok(call) = Call::new(line, behaviour, invite.clone(), from, self.here) else {
            self.witness.closed();
            self.refuse(&invite, from, 500).await;
            return false;
        };
        let ringing = self.dress(
            Message::answer(&invite, 180, Some(&call.local_tag)),
            &invite,
            from,
        );
        self.calls.insert(key.clone(), call);
        self.engaged.insert(line.to_owned());
        self.at(LONGEST_CALL, Timer::HangUp(key));
        self.reply(&invite, from, ringing).await;
        true
    }

    /// The telephone has rung for as long as its script says: answer or refuse.
    pub(super) async fn act(&mut self, key: &Key) {
        let Some(call) = self
            .calls
            .get_mut(key)
            .filter(|call| call.stage == Stage::Ringing)
        else {
            return;
        };
        let (invite, from) = (call.invite.clone(), call.source);
        match call.behaviour {
            Behaviour::Answer { .. } => {
                let offer = invite.body.is_empty();
                if !offer && !call.hear(&invite.body) {
                    let answer = Message::answer(&invite, 488, Some(&call.local_tag));
                    self.finish(key, None);
                    let answer = self.dress(answer, &invite, from);
                    return self.send_final(&invite, from, answer).await;
                }
                call.stage = Stage::Answered;
                let description = call.describe(offer);
                let answer = Message::answer(&invite, 200, Some(&call.local_tag));
                call.connect();
                self.witness.tell(Happening::Answered {
                    line: call.line.clone(),
                    call_id: call.call_id.clone(),
                });
                let answer = self
                    .dress(answer, &invite, from)
                    .with_body("application/sdp", description);
                self.send_final(&invite, from, answer).await;
            }
            Behaviour::Refuse { code, .. } => {
                let happening = Happening::Refused {
                    line: call.line.clone(),
                    call_id: call.call_id.clone(),
                    code,
                };
                let answer = Message::answer(&invite, code, Some(&call.local_tag));
                self.witness.tell(happening);
                self.finish(key, None);
                let answer = self.dress(answer, &invite, from);
                self.send_final(&invite, from, answer).await;
            }
            Behaviour::RingForever | Behaviour::Silent => {}
        }
    }

    pub(super) async fn reinvite(&mut self, request: Message, from: SocketAddr) {
        let key = key_of(&request);
        let Some(call) = self
            .calls
            .get_mut(&key)
            .filter(|call| request.to_tag() == Some(&call.local_tag))
        else {
            return self.refuse(&request, from, 481).await;
        };
        if call.stage != Stage::Answered {
            return self.refuse(&request, from, 491).await;
        }
        call.follow(&request);
        let offer = request.body.is_empty();
        if !offer && !call.hear(&request.body) {
            return self.refuse(&request, from, 488).await;
        }
        let description = call.describe(offer);
        let answer = Message::answer(&request, 200, None);
        self.connect(&key);
        let answer = self
            .dress(answer, &request, from)
            .with_body("application/sdp", description);
        self.send_final(&request, from, answer).await;
    }

    pub(super) async fn update(&mut self, request: Message, from: SocketAddr) {
        let key = key_of(&request);
        let Some(call) = self.calls.get_mut(&key) else {
            return self.answer(&request, from, 481).await;
        };
        call.follow(&request);
        let answer = Message::answer(&request, 200, None);
        if request.body.is_empty() {
            let answer = self.dress(answer, &request, from);
            return self.reply(&request, from, answer).await;
        }
        if !call.hear(&request.body) {
            return self.answer(&request, from, 488).await;
        }
        let description = call.describe(false);
        self.connect(&key);
        let answer = self
            .dress(answer, &request, from)
            .with_body("application/sdp", description);
        self.reply(&request, from, answer).await;
    }

    pub(super) async fn cancel(&mut self, request: Message, from: SocketAddr) {
        let key = key_of(&request);
        let ringing = self
            .calls
            .get(&key)
            .filter(|call| call.invite.branch() == request.branch());
        let Some(call) = ringing else {
            return self.answer(&request, from, 481).await;
        };
        let (stage, invite, source) = (call.stage, call.invite.clone(), call.source);
        let gone = Message::answer(&invite, 487, Some(&call.local_tag));
        let happening = Happening::Cancelled {
            line: call.line.clone(),
            call_id: call.call_id.clone(),
        };
        self.answer(&request, from, 200).await;
        if stage == Stage::Ringing {
            self.witness.tell(happening);
            self.finish(&key, None);
            let gone = self.dress(gone, &invite, source);
            self.send_final(&invite, source, gone).await;
        }
    }

    pub(super) async fn bye(&mut self, request: Message, from: SocketAddr) {
        let key = key_of(&request);
        let known = self
            .calls
            .get(&key)
            .is_some_and(|call| request.to_tag() == Some(&call.local_tag));
        self.answer(&request, from, if known { 200 } else { 481 })
            .await;
        if known {
            self.finish(&key, Some(HungUpBy::OtherSide));
        }
    }

    pub(super) async fn acknowledged(&mut self, ack: &Message) {
        let key = key_of(ack);
        let Some((number, _)) = ack.cseq() else {
            return;
        };
        self.unacknowledged.remove(&(key.clone(), number));
        let Some(call) = self
            .calls
            .get_mut(&key)
            .filter(|call| call.stage == Stage::Answered)
        else {
            return;
        };
        call.acknowledged = true;
        if !ack.body.is_empty() {
            call.hear(&ack.body);
        }
        self.connect(&key);
    }

    /// Lets sound flow, and starts the talk's clock when the two can first hear each other.
    pub(super) fn connect(&mut self, key: &Key) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let Some(with) = call.connect() else { return };
        let (line, call_id, talk) = (call.line.clone(), call.call_id.clone(), call.talk());
        self.witness.tell(Happening::Talking {
            line,
            call_id,
            with,
        });
        match talk {
            Talk::For(time) => self.at(time, Timer::HangUp(key.clone())),
            Talk::UntilHungUp => {}
        }
    }

    pub(super) async fn hang_up_all(&mut self) {
        let keys: Vec<Key> = self.calls.keys().cloned().collect();
        for key in keys {
            self.hang_up(&key).await;
        }
    }

    pub(super) async fn hang_up(&mut self, key: &Key) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        match call.stage {
            Stage::Leaving => {}
            Stage::Ringing => {
                let (invite, from, tag) =
                    (call.invite.clone(), call.source, call.local_tag.clone());
                self.finish(key, None);
                let answer = self.dress(Message::answer(&invite, 480, Some(&tag)), &invite, from);
                self.send_final(&invite, from, answer).await;
            }
            Stage::Answered => {
                call.stage = Stage::Leaving;
                call.connect();
                let (bye, to) = call.request("BYE", self.here);
                self.ask(bye, to, About::Bye(key.clone())).await;
            }
        }
    }

    /// A call is over: its record is written.
    pub(super) fn finish(&mut self, key: &Key, hung_up: Option<HungUpBy>) {
        let Some(call) = self.calls.remove(key) else {
            return;
        };
        self.engaged.remove(&call.line);
        self.witness.closed();
        if let Some(by) = hung_up {
            self.witness.tell(Happening::HungUp {
                line: call.line.clone(),
                call_id: call.call_id.clone(),
                by,
            });
            call.fall_silent();
            let witness = self.witness.clone();
            tokio::spawn(async move {
                // What the other said before it hung up may still be on its way.
                tokio::time::sleep(LAST_WORDS).await;
                witness.media_ended(call.media_record());
            });
        }
    }
}
