//! The town's exchange: one UDP port, behind it every customer's number.

use crate::digest::Login;
use crate::endpoint::{Command, Endpoint, Lines, Setup};
use crate::script::Script;
use crate::witness::Witness;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use crate::endpoint::REALM;

/// What an exchange is started with.
#[derive(Clone)]
pub struct TrunkOptions {
    pub bind: SocketAddr,
    /// By the user part of the request's URI, as it is dialled. Others do not exist (404).
    pub lines: HashMap<String, Script>,
    /// User and password callers have to prove; the realm is [`REALM`].
    pub demands: Option<(String, String)>,
}

impl Default for TrunkOptions {
    fn default() -> Self {
        TrunkOptions {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            lines: HashMap::new(),
            demands: None,
        }
    }
}

impl TrunkOptions {
    pub fn line(mut self, number: &str, script: impl Into<Script>) -> Self {
        self.lines.insert(number.to_owned(), script.into());
        self
    }

    pub fn demanding(mut self, user: &str, password: &str) -> Self {
        self.demands = Some((user.to_owned(), password.to_owned()));
        self
    }
}

/// A running exchange. Dropping it silences it at once.
pub struct Trunk {
    endpoint: Endpoint,
}

impl Trunk {
    pub async fn start(options: TrunkOptions) -> io::Result<Trunk> {
        let demands = options
            .demands
            .map(|(user, password)| Login { user, password });
        let lines = Lines::Many(options.lines);
        let endpoint = Endpoint::start(Setup {
            bind: options.bind,
            lines,
            demands,
            registration: None,
        })
        .await?;
        Ok(Trunk { endpoint })
    }

    pub fn addr(&self) -> SocketAddr {
        self.endpoint.addr
    }

    pub fn witness(&self) -> &Witness {
        &self.endpoint.witness
    }

    /// Gives a number a new script; a new number gets a telephone.
    pub async fn behave(&self, number: &str, script: impl Into<Script>) {
        let script = script.into();
        self.endpoint
            .command(Command::Script {
                line: number.to_owned(),
                script,
            })
            .await;
    }

    /// 503 to every call and ping, until told otherwise. Calls that are up stay up.
    pub async fn out_of_order(&self, yes: bool) {
        self.endpoint.command(Command::OutOfOrder(yes)).await;
    }

    pub async fn hang_up(&self) {
        self.endpoint.command(Command::HangUp).await;
    }

    pub async fn stop(self) {
        self.endpoint.stop().await;
    }
}
