//! ringback-scheduling
