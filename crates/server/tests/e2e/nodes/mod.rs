//! Several nodes on one PostgreSQL, as processes on hosts of their own: what they share, and what happens to the
//! rest when one of them is killed, frozen, cut off or restarted. SIPp is the witness of every ring.

pub mod rig;

mod cut_off;
mod frozen;
mod killed;
mod moved;
mod restarted;
mod streams;
mod together;
