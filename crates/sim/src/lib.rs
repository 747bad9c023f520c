//! ringback-sim
