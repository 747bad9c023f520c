//! ringback-api
