//! Session descriptions as lines: we change the origin, the direction and the shape of the media list,
//! and hand everything else through untouched, because the media is between the two phones.

use std::net::IpAddr;

/// A description taken apart into its session lines and its media sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sdp {
    session: Vec<String>,
    media: Vec<Vec<String>>,
}

const DIRECTIONS: [&str; 4] = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
const MAX_MEDIA: usize = 16;

/// The `o=` line of everything we send in one dialog: one identity, a version that only grows.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    id: u64,
    version: u64,
    host: IpAddr,
    last: Option<Sdp>,
}

impl Origin {
    pub(crate) fn new(id: u64, host: IpAddr) -> Origin {
        // Kept in 31 bits: some phones read these numbers into a signed int.
        let id = id & 0x7fff_ffff;
        Origin {
            id,
            version: id,
            host,
            last: None,
        }
    }

    /// Writes `sdp` as ours: same identity as before, next version if anything changed.
    pub(crate) fn write(&mut self, sdp: &Sdp) -> String {
        let mut ours = sdp.clone();
        ours.session.retain(|l| !l.starts_with("o="));
        if self.last.as_ref() != Some(&ours) {
            self.version += 1;
            self.last = Some(ours.clone());
        }
        let kind = if self.host.is_ipv4() { "IP4" } else { "IP6" };
        let origin = format!(
            "o=ringback {} {} IN {kind} {}",
            self.id, self.version, self.host
        );
        let at = ours
            .session
            .iter()
            .position(|l| l.starts_with("v="))
            .map_or(0, |p| p + 1);
        ours.session.insert(at, origin);
        ours.to_text()
    }
}

impl Sdp {
    /// Reads a description. It must at least be version 0 and have one usable media line.
    pub(crate) fn parse(text: &str) -> Option<Sdp> {
        let mut sdp = Sdp {
            session: Vec::new(),
            media: Vec::new(),
        };
        for line in text
            .split('\n')
            .map(|l| l.trim_end_matches('\r'))
            .filter(|l| !l.is_empty())
        {
            let kind = line.as_bytes();
            if kind.len() < 2
                || kind[1] != b'='
                || line.chars().any(|c| c.is_control() && c != '\t')
            {
                return None;
            }
            if line.starts_with("m=") {
                parse_media(line)?;
                sdp.media.push(vec![line.to_owned()]);
            } else if let Some(section) = sdp.media.last_mut() {
                section.push(line.to_owned());
            } else {
                sdp.session.push(line.to_owned());
            }
        }
        let versioned = sdp.session.first().is_some_and(|l| l == "v=0");
        (versioned && !sdp.media.is_empty() && sdp.media.len() <= MAX_MEDIA).then_some(sdp)
    }

    /// The offer that holds the first phone until the second has answered: telephone audio, inactive.
    pub(crate) fn held_offer(host: IpAddr) -> Sdp {
        let kind = if host.is_ipv4() { "IP4" } else { "IP6" };
        let session = ["v=0", "s=-", &format!("c=IN {kind} {host}"), "t=0 0"]
            .map(str::to_owned)
            .to_vec();
        // Port 9 is the discard port: no media is ever sent there, the stream being inactive.
        let media = [
            "m=audio 9 RTP/AVP 0 8 101",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=fmtp:101 0-15",
            "a=inactive",
        ];
        Sdp {
            session,
            media: vec![media.map(str::to_owned).to_vec()],
        }
    }

    /// The answer that holds a phone which made the offer: its first audio stream, inactive; the rest off.
    pub(crate) fn held_answer(&self, host: IpAddr) -> Sdp {
        let held = Sdp::held_offer(host);
        let mut taken = false;
        let media = self
            .media
            .iter()
            .map(|section| {
                let usable = !taken && section[0].starts_with("m=audio ") && port_of(section) != 0;
                if !usable {
                    return vec![with_port(&section[0], 0)];
                }
                taken = true;
                let mut answer = vec![with_port(&section[0], 9)];
                answer.extend(
                    section
                        .iter()
                        .filter(|l| l.starts_with("a=rtpmap:") || l.starts_with("a=fmtp:"))
                        .cloned(),
                );
                answer.push("a=inactive".to_owned());
                answer
            })
            .collect();
        Sdp {
            session: held.session,
            media,
        }
    }

    /// An answer that takes none of the offered streams: used for legs about to be hung up.
    pub(crate) fn refusal(&self, host: IpAddr) -> Sdp {
        let session = Sdp::held_offer(host).session;
        Sdp {
            session,
            media: self
                .media
                .iter()
                .map(|s| vec![with_port(&s[0], 0)])
                .collect(),
        }
    }

    /// The same streams, no longer held: what one phone answered to an inactive offer, offered to another.
    pub(crate) fn released(&self) -> Sdp {
        let not_direction = |l: &String| !DIRECTIONS.contains(&l.trim_end());
        let mut sdp = self.clone();
        sdp.session.retain(not_direction);
        for section in &mut sdp.media {
            section.retain(not_direction);
            if port_of(section) != 0 {
                section.push("a=sendrecv".to_owned());
            }
        }
        sdp
    }

    #[cfg(test)]
    pub(crate) fn streams(&self) -> usize {
        self.media.len()
    }

    /// Whether at least one stream is on.
    pub(crate) fn has_open_stream(&self) -> bool {
        self.media.iter().any(|s| port_of(s) != 0)
    }

    /// Fits an offer from one dialog into another, whose earlier media lines must keep their places
    /// (RFC 3264 §8). Returns the fitted offer and, for each of its lines, which line it came from.
    pub(crate) fn fitted(&self, before: Option<&Sdp>) -> (Sdp, Vec<Option<usize>>) {
        let Some(before) = before else {
            return (self.clone(), (0..self.media.len()).map(Some).collect());
        };
        let mut used = vec![false; self.media.len()];
        let mut fitted = Sdp {
            session: self.session.clone(),
            media: Vec::new(),
        };
        let mut from = Vec::new();
        for old in &before.media {
            let place = (0..self.media.len())
                .find(|i| !used[*i] && kind_of(&self.media[*i]) == kind_of(old));
            match place {
                Some(index) => {
                    used[index] = true;
                    fitted.media.push(self.media[index].clone());
                }
                None => fitted.media.push(vec![with_port(&old[0], 0)]),
            }
            from.push(place);
        }
        for (index, section) in self.media.iter().enumerate() {
            if !used[index] && fitted.media.len() < MAX_MEDIA {
                fitted.media.push(section.clone());
                from.push(Some(index));
            }
        }
        (fitted, from)
    }

    /// Takes the answer to a fitted offer back to the order of the offer it was made from.
    pub(crate) fn unfitted(&self, offer: &Sdp, from: &[Option<usize>]) -> Sdp {
        let media = offer
            .media
            .iter()
            .enumerate()
            .map(|(index, offered)| {
                from.iter()
                    .position(|f| *f == Some(index))
                    .and_then(|at| self.media.get(at))
                    .cloned()
                    .unwrap_or_else(|| vec![with_port(&offered[0], 0)])
            })
            .collect();
        Sdp {
            session: self.session.clone(),
            media,
        }
    }

    /// Where each stream wants its packets: if this differs from what the other phone was told,
    /// the other phone must be told again.
    pub(crate) fn endpoints(&self) -> Vec<(String, u16)> {
        let session = self.session.iter().find(|l| l.starts_with("c="));
        self.media
            .iter()
            .map(|section| {
                let connection = section.iter().find(|l| l.starts_with("c=")).or(session);
                (connection.cloned().unwrap_or_default(), port_of(section))
            })
            .collect()
    }

    /// The `o=` line, to tell a repeated description from a new one.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.session
            .iter()
            .find(|l| l.starts_with("o="))
            .map(String::as_str)
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for line in self.session.iter().chain(self.media.iter().flatten()) {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text
    }
}

fn parse_media(line: &str) -> Option<()> {
    let words: Vec<&str> = line[2..].split(' ').collect();
    let port = words.get(1)?.split('/').next()?;
    (words.len() >= 4 && !words[0].is_empty() && port.parse::<u16>().is_ok()).then_some(())
}

fn kind_of(section: &[String]) -> &str {
    section[0].split(' ').next().unwrap_or_default()
}

fn port_of(section: &[String]) -> u16 {
    let port = section[0]
        .split(' ')
        .nth(1)
        .and_then(|p| p.split('/').next());
    port.and_then(|p| p.parse().ok()).unwrap_or(0)
}

fn with_port(line: &str, port: u16) -> String {
    let words = line.split(' ').enumerate();
    let words: Vec<String> = words
        .map(|(i, w)| {
            if i == 1 {
                port.to_string()
            } else {
                w.to_owned()
            }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const PHONE: &str = "v=0\r\no=uas 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=inactive\r\n\
        m=audio 42000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=recvonly\r\n\
        m=video 42002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";

    #[test]
    fn held_offer_is_inactive_and_parses() {
        let offer = Sdp::held_offer(HOST);
        assert_eq!(Sdp::parse(&offer.to_text()).unwrap(), offer);
        assert!(offer.to_text().contains("c=IN IP4 192.0.2.1\r\n"));
        assert!(offer.to_text().ends_with("a=inactive\r\n"));
    }

    #[test]
    fn origin_keeps_its_identity_and_counts_up_only_on_change() {
        let mut origin = Origin::new(77, HOST);
        let held = Sdp::held_offer(HOST);
        let first = origin.write(&held);
        assert!(
            first.starts_with("v=0\r\no=ringback 77 78 IN IP4 192.0.2.1\r\ns=-\r\n"),
            "{first}"
        );
        assert_eq!(origin.write(&held), first);
        let second = origin.write(&Sdp::parse(PHONE).unwrap());
        assert!(second.contains("o=ringback 77 79 IN IP4 192.0.2.1\r\n"));
        assert_eq!(second.matches("o=").count(), 1);
    }

    #[test]
    fn direction_replaces_all_others() {
        let text = Sdp::parse(PHONE).unwrap().released().to_text();
        assert_eq!(text.matches("a=sendrecv").count(), 2);
        assert!(!text.contains("a=inactive") && !text.contains("a=recvonly"));
    }

    #[test]
    fn held_answer_takes_audio_and_turns_the_rest_off() {
        let answer = Sdp::parse(PHONE).unwrap().held_answer(HOST).to_text();
        assert!(answer.contains(
            "m=audio 9 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=inactive\r\n"
        ));
        assert!(answer.contains("m=video 0 RTP/AVP 96\r\n"));
    }

    #[test]
    fn offers_fit_into_the_other_dialog_and_answers_come_back() {
        let audio_only = Sdp::held_offer(HOST);
        let phone = Sdp::parse(PHONE).unwrap();
        let (fitted, from) = audio_only.fitted(Some(&phone));
        assert_eq!(from, [Some(0), None]);
        assert!(fitted.to_text().contains("m=video 0 RTP/AVP 96"));
        let back = phone.unfitted(&audio_only, &from);
        assert_eq!(back.streams(), 1);
        // The other way round: a new stream is appended, and its answer found again.
        let (fitted, from) = phone.fitted(Some(&audio_only));
        assert_eq!(from, [Some(0), Some(1)]);
        assert_eq!(fitted.streams(), 2);
    }

    #[test]
    fn endpoints_see_section_connections() {
        let mut moved = PHONE.replace("a=recvonly", "c=IN IP4 192.0.2.77");
        moved = moved.replace(
            "m=audio 42000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\nc=IN",
            "m=audio 42000 RTP/AVP 0 101\r\nc=IN",
        );
        let endpoints = Sdp::parse(&moved).unwrap().endpoints();
        assert_eq!(endpoints[0], ("c=IN IP4 192.0.2.77".to_owned(), 42000));
        assert_eq!(endpoints[1], ("c=IN IP4 192.0.2.9".to_owned(), 42002));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "v=0\r\n",
            "hello",
            "v=1\r\nm=audio 1 RTP/AVP 0\r\n",
            "v=0\r\nm=audio 99999 RTP/AVP 0\r\n",
            "v=0\r\nm=audio RTP/AVP 0\r\n",
            "m=audio 1 RTP/AVP 0\r\nv=0\r\n",
            "v=0\r\nm=audio 1 RTP/AVP\r\n",
        ] {
            assert!(Sdp::parse(text).is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(v=0\r\n)?([a-z]=[ -~]{0,20}\r?\n|m=(audio|video) [0-9]{1,6} RTP/AVP [0-9 ]{0,6}\r\n){0,12}") {
            if let Some(sdp) = Sdp::parse(&text) {
                let held = sdp.held_answer(HOST);
                prop_assert_eq!(held.streams(), sdp.streams());
                prop_assert!(Sdp::parse(&sdp.released().to_text()).is_some());
                let (fitted, from) = sdp.fitted(Some(&held));
                prop_assert_eq!(fitted.streams(), from.len());
                prop_assert_eq!(fitted.unfitted(&sdp, &from).streams(), sdp.streams());
                let _ = sdp.endpoints();
            }
        }
    }
}
