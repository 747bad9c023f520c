//! What every end-to-end test needs: a server in a process of its own, peers, ports, and bounded waits.

mod client;
mod feed;
mod installation;
mod netns;
mod peer;
mod phones;
mod ports;
mod server;
mod telephone;
mod town;

pub use client::Client;
pub use feed::Feed;
pub use installation::Installation;
pub use netns::{Host, Network};
pub use peer::Peer;
pub use phones::Phones;
pub use ports::{free_port, free_port_block};
pub use server::{Server, Setup};
pub use telephone::Telephone;
pub use town::{copy_of, customer_number, dn_queue, eventually, template_queue};
