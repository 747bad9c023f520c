//! Ports for peers that cannot be asked to choose their own.

use std::net::{TcpListener, UdpSocket};
use std::sync::Mutex;

/// Below the range the kernel hands out for port 0, so that nobody is given one of these by chance.
const FIRST: u16 = 18_000;
const LAST: u16 = 29_000;

/// One port that is free for UDP and TCP on every loopback address.
pub fn free_port() -> u16 {
    free_port_block(1)
}

/// `size` ports in a row, for peers that take neighbours (SIPp's media, baresip's TLS).
pub fn free_port_block(size: u16) -> u16 {
    static NEXT: Mutex<u16> = Mutex::new(0);
    let mut next = NEXT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if *next == 0 {
        // Runs that follow each other start elsewhere: SIPp picks up what was meant for the run before.
        *next = FIRST + (std::process::id() % 500) as u16 * 16;
    }
    for _ in 0..(LAST - FIRST) {
        if *next + size >= LAST {
            *next = FIRST;
        }
        let first = *next;
        if (first..first + size).all(is_free) {
            *next = first + size;
            return first;
        }
        *next += 1;
    }
    panic!("no {size} free ports between {FIRST} and {LAST}");
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind(("0.0.0.0", port)).is_ok() && TcpListener::bind(("0.0.0.0", port)).is_ok()
}
