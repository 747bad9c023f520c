//! ringback-channels
