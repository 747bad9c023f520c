//! SIP for one purpose: calling two people and joining them, without the media ever passing through us.
//!
//! The stack crate gives messages, transports and transactions; dialogs, third-party call control,
//! digest, session timers, session descriptions and the order of addresses are here. Nothing of the stack
//! shows in the public types, so that it can be replaced. This crate knows calls, not callbacks.
//!
//! ```no_run
//! # async fn example(call: ringback_sip::BridgeCall) -> Result<(), ringback_sip::StartError> {
//! use ringback_sip::{Listen, SipConfig, SipEngine, Transport};
//!
//! let listen = vec![Listen { transport: Transport::Udp, addr: ([127, 0, 0, 1], 0).into() }];
//! let engine = SipEngine::start(SipConfig { listen, ..SipConfig::default() }).await?;
//! let (events, mut told) = tokio::sync::mpsc::channel(64);
//! let watching = tokio::spawn(async move { while told.recv().await.is_some() {} });
//! let end = engine.bridge(call, events, tokio_util::sync::CancellationToken::new()).await;
//! # let _ = (end, watching);
//! # Ok(())
//! # }
//! ```

mod call;
mod config;
mod failure;
mod uri;

mod bridge;
mod dial;
mod dialog;
mod digest;
mod engine;
mod invites;
mod leg;
mod orphan;
mod registrar;
mod relay;
mod sdp;
mod session_timer;

mod front_door;
mod message;
mod srv;
mod transaction;
mod transport;
mod udp_socket;

pub use call::{
    BridgeCall, BridgeEnd, BridgeEndKind, BridgeEvent, By, ContactFlow, Credentials, Flow,
    LegRecord, LegState, Party, Receipt, Target, Trunk,
};
pub use config::{Algorithm, Listen, RegistrarConfig, SipConfig, Timers, TlsFiles, Transport};
pub use engine::SipEngine;
pub use failure::{FailureCause, LegFailure};
pub use orphan::{OrphanEnd, OrphanOutcome};
pub use registrar::{Registration, RegistrationChange};
pub use transport::StartError;
pub use uri::{SipUri, UriError};

/// Put this into every log filter: the stack logs whole messages, numbers and digests included, at INFO.
pub const QUIET: &str = "rsipstack=warn";
