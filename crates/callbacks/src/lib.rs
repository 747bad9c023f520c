//! ringback-callbacks
