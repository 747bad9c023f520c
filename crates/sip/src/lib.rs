//! ringback-sip
