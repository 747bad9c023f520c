//! What an operator may set about the HTTP side; becomes the `[api]` section of the configuration.

use ringback_callbacks::ids::QueueId;
use serde::{Deserialize, Serialize};

/// Settings of the HTTP API. Every field has a default that is safe on a public address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSettings {
    /// How clients reach this server, e.g. `https://callbacks.example.com`. URLs in answers begin with
    /// it; without it they are paths, which every client resolves against the URL it asked.
    pub public_url: Option<String>,
    /// Queue of bookings that name none. Without it they go to the only queue, if there is just one.
    pub default_queue: Option<QueueId>,
    /// Requests from this machine's own loopback need no key and may do everything. For trying things
    /// out; a proxy on the same machine is told apart by its forwarding headers.
    pub open_on_loopback: bool,
    /// `/metrics` needs no key.
    pub open_metrics: bool,
    /// Requests worked on at one time; one more is answered 503.
    pub concurrent_requests: usize,
    /// Event streams, long polls and uploads at one time; one more is answered 503.
    pub concurrent_streams: usize,
    /// Requests per second from one address, in the long run; 0 switches the limit off. Behind a proxy
    /// everybody has the proxy's address: limit there, and switch it off here.
    pub requests_per_second: u32,
    /// Requests an address may send at once before that limit bites.
    pub burst: u32,
    /// A request that takes longer is answered 503. Streams, long polls and uploads have their own limits.
    pub request_timeout_seconds: u32,
}

impl Default for ApiSettings {
    fn default() -> Self {
        ApiSettings {
            public_url: None,
            default_queue: None,
            open_on_loopback: false,
            open_metrics: false,
            concurrent_requests: 512,
            concurrent_streams: 1024,
            requests_per_second: 200,
            burst: 1000,
            request_timeout_seconds: 30,
        }
    }
}

impl ApiSettings {
    /// `path` (which begins with `/`) as clients should write it.
    pub fn url(&self, path: &str) -> String {
        match &self.public_url {
            Some(base) => format!("{}{path}", base.trim_end_matches('/')),
            None => path.to_owned(),
        }
    }
}
