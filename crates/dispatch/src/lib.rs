//! ringback-dispatch
