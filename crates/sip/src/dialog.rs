//! What two ends of a call remember of each other (RFC 3261 §12), and the requests made from it.

use rsipstack::sip::{Method, Request, Response};

use crate::{
    message::{self, BadMessage},
    transport::Flow,
};

/// One dialog, or one about to become one.
#[derive(Clone)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: Option<String>,
    /// From as we send it, tag included.
    pub(crate) from: String,
    /// To without a tag.
    pub(crate) to: String,
    /// Where the INVITE went, and later the peer's Contact.
    pub(crate) remote_target: String,
    pub(crate) route_set: Vec<String>,
    pub(crate) cseq: u32,
    pub(crate) remote_cseq: Option<u32>,
    /// The part of every branch that says whose attempt this is.
    pub(crate) branch_stem: String,
}

impl Dialog {
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.cseq = self.cseq.saturating_add(1);
        self.cseq
    }

    pub(crate) fn branch(&self, method: Method, cseq: u32) -> String {
        format!(
            "z9hG4bK-{}-{cseq}-{}",
            self.branch_stem,
            method.to_string().to_ascii_lowercase()
        )
    }

    /// The lines every request in this dialog starts with.
    pub(crate) fn lines(
        &self,
        method: Method,
        cseq: u32,
        branch: &str,
        flow: &Flow,
    ) -> Vec<(String, String)> {
        let line = |name: &str, value: String| (name.to_owned(), value);
        let to = match &self.remote_tag {
            Some(tag) => format!("{};tag={tag}", self.to),
            None => self.to.clone(),
        };
        let mut lines = vec![
            line("Via", flow.via(branch)),
            line("Max-Forwards", "70".to_owned()),
            line("From", self.from.clone()),
            line("To", to),
            line("Call-ID", self.call_id.clone()),
            line("CSeq", format!("{cseq} {method}")),
        ];
        lines.extend(
            self.routed()
                .1
                .into_iter()
                .map(|route| line("Route", route)),
        );
        lines
    }

    /// Builds a request; for ACK the number is the INVITE's.
    pub(crate) fn request(
        &self,
        method: Method,
        cseq: u32,
        flow: &Flow,
        extra: Vec<(String, String)>,
        body: Option<&str>,
    ) -> Result<Request, BadMessage> {
        let branch = self.branch(method, cseq);
        let mut lines = self.lines(method, cseq, &branch, flow);
        lines.extend(extra);
        message::request(method, &self.routed().0, &lines, body)
    }

    /// Where the next request goes first: the nearest proxy, or the peer itself.
    pub(crate) fn next_hop(&self) -> &str {
        self.route_set
            .first()
            .map_or(&self.remote_target, String::as_str)
    }

    /// Takes tag, Contact and Record-Route from a response that makes or confirms the dialog.
    pub(crate) fn learn(&mut self, response: &Response) {
        if let Some(tag) = message::to_tag(&response.headers) {
            self.remote_tag = Some(tag);
        }
        let contact = message::header(&response.headers, "Contact").and_then(message::address_uri);
        if let Some(contact) = contact.filter(|c| is_sip(c)) {
            self.remote_target = contact;
        }
        let recorded = message::header_all(&response.headers, "Record-Route");
        let mut routes: Vec<String> = recorded
            .iter()
            .flat_map(|v| message::split_list(v))
            .filter_map(|r| message::address_uri(&r))
            .filter(|r| is_sip(r))
            .take(16)
            .collect();
        // The caller's side reads Record-Route from the far end back to itself (RFC 3261 §12.1.2).
        routes.reverse();
        // An outbound proxy that did not record itself does not want the rest of the call either.
        self.route_set = routes;
    }

    /// Request-URI and Route lines: loose routing, or the old strict kind when the first proxy wants it.
    fn routed(&self) -> (String, Vec<String>) {
        let bracketed = |uri: &String| format!("<{uri}>");
        match self.route_set.first() {
            Some(first) if !is_loose(first) => {
                let mut routes: Vec<String> = self.route_set[1..].iter().map(bracketed).collect();
                routes.push(bracketed(&self.remote_target));
                (first.clone(), routes)
            }
            Some(_) | None => (
                self.remote_target.clone(),
                self.route_set.iter().map(bracketed).collect(),
            ),
        }
    }
}

/// Whether a URI is one we can send to.
pub(crate) fn is_sip(uri: &str) -> bool {
    let scheme = uri.split(':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")
}

fn is_loose(uri: &str) -> bool {
    uri.split(';')
        .skip(1)
        .any(|p| p.eq_ignore_ascii_case("lr") || p.to_ascii_lowercase().starts_with("lr="))
}

#[cfg(test)]
mod tests {
    use rsipstack::sip::SipMessage;

    use super::*;

    fn dialog() -> Dialog {
        Dialog {
            call_id: "c".to_owned(),
            local_tag: "l".to_owned(),
            remote_tag: None,
            from: "<sip:r@h>;tag=l".to_owned(),
            to: "<sip:a@b>".to_owned(),
            remote_target: "sip:a@b".to_owned(),
            route_set: Vec::new(),
            cseq: 1,
            remote_cseq: None,
            branch_stem: "x".to_owned(),
        }
    }

    fn response(lines: &str) -> Response {
        let text = format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
        match SipMessage::try_from(text.as_bytes()).unwrap() {
            SipMessage::Response(response) => response,
            SipMessage::Request(_) => unreachable!("the text is a response"),
        }
    }

    #[test]
    fn routes_are_reversed_and_contact_taken() {
        let mut dialog = dialog();
        dialog.learn(&response(
            "To: <sip:a@b>;tag=T\r\nContact: \"A\" <sip:a@10.0.0.9:5080>\r\n\
             Record-Route: <sip:far;lr>, <sip:middle;lr>\r\nRecord-Route: <sip:near;lr>\r\n",
        ));
        assert_eq!(dialog.remote_tag.as_deref(), Some("T"));
        assert_eq!(
            dialog.route_set,
            ["sip:near;lr", "sip:middle;lr", "sip:far;lr"]
        );
        assert_eq!(dialog.next_hop(), "sip:near;lr");
        assert_eq!(dialog.routed().0, "sip:a@10.0.0.9:5080");
    }

    #[test]
    fn without_contact_the_request_target_stays() {
        let mut dialog = dialog();
        dialog.learn(&response("To: <sip:a@b>;tag=T\r\nContact: <tel:+33>\r\n"));
        assert_eq!(dialog.remote_target, "sip:a@b");
    }

    #[test]
    fn a_strict_router_gets_the_request_uri() {
        let mut dialog = dialog();
        dialog.route_set = vec!["sip:strict".to_owned(), "sip:second;lr".to_owned()];
        assert_eq!(
            dialog.routed(),
            (
                "sip:strict".to_owned(),
                vec!["<sip:second;lr>".to_owned(), "<sip:a@b>".to_owned()]
            )
        );
    }
}
