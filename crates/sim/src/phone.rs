//! One telephone on a UDP port of its own, registered with a registrar if it has one.

use crate::digest::Login;
use crate::endpoint::{Command, Endpoint, Lines, Setup};
use crate::registration::Registration;
use crate::script::Script;
use crate::witness::{Happening, Witness};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::broadcast;

/// What a telephone is started with.
#[derive(Clone)]
pub struct PhoneOptions {
    /// Its name: the user part of its address, and how the witness calls it.
    pub user: String,
    pub script: Script,
    pub bind: SocketAddr,
    pub registrar: Option<Registrar>,
}

/// Where a telephone registers.
#[derive(Clone)]
pub struct Registrar {
    pub addr: SocketAddr,
    pub password: String,
    pub expires: u32,
}

impl PhoneOptions {
    /// An unregistered telephone on a free port of loopback.
    pub fn new(user: &str, script: impl Into<Script>) -> Self {
        PhoneOptions {
            user: user.to_owned(),
            script: script.into(),
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            registrar: None,
        }
    }

    pub fn registered_at(mut self, addr: SocketAddr, password: &str) -> Self {
        self.registrar = Some(Registrar {
            addr,
            password: password.to_owned(),
            expires: 300,
        });
        self
    }
}

/// A telephone that is switched on. Dropping it pulls the plug: no good-bye is said.
pub struct Phone {
    user: String,
    endpoint: Endpoint,
}

impl Phone {
    pub async fn start(options: PhoneOptions) -> io::Result<Phone> {
        let registration = options.registrar.map(|registrar| {
            let login = Login {
                user: options.user.clone(),
                password: registrar.password,
            };
            Registration::new(registrar.addr, login, registrar.expires)
        });
        let lines = Lines::One {
            name: options.user.clone(),
            script: options.script,
        };
        let endpoint = Endpoint::start(Setup {
            bind: options.bind,
            lines,
            demands: None,
            registration,
        })
        .await?;
        Ok(Phone {
            user: options.user,
            endpoint,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.endpoint.addr
    }

    /// Its address as others dial it.
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", self.user, self.endpoint.addr)
    }

    pub fn witness(&self) -> &Witness {
        &self.endpoint.witness
    }

    /// Waits for the registrar's answer. False when it refused or `limit` passed.
    pub async fn registered(&mut self, limit: Duration) -> bool {
        let answer = async {
            loop {
                match self.endpoint.from_start.recv().await {
                    Ok(Happening::Registered { expires, .. }) => return expires > 0,
                    Ok(Happening::RegistrationFailed { .. })
                    | Err(broadcast::error::RecvError::Closed) => return false,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                }
            }
        };
        tokio::time::timeout(limit, answer).await.unwrap_or(false)
    }

    /// Behaves like this from the next call on.
    pub async fn behave(&self, script: impl Into<Script>) {
        let script = script.into();
        self.endpoint
            .command(Command::Script {
                line: self.user.clone(),
                script,
            })
            .await;
    }

    /// Ends what call it has.
    pub async fn hang_up(&self) {
        self.endpoint.command(Command::HangUp).await;
    }

    /// Switches off in order: hangs up and unregisters.
    pub async fn stop(self) {
        self.endpoint.stop().await;
    }
}
