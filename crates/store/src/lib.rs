//! ringback-store
