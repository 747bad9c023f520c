//! A running server: whom it lets in, what it refuses to do, and how it stops.

use crate::place::{LIMIT, Place, get, text, wait_for};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

#[test]
fn a_public_address_needs_a_key() {
    let mut place = Place::new("[server]\nlisten = \"0.0.0.0:0\"\ndata = \"data\"\n");
    let output = place.run(&["serve"]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("refusing to listen on 0.0.0.0:0")
            && errors.contains("ringback keys create"),
        "{errors}"
    );
    // A key that has been revoked does not count.
    place.ok(&[
        "keys",
        "create",
        "--name",
        "old",
        "--scope",
        "read",
        "--application",
        "1",
    ]);
    let id = place.json(&["keys", "list", "--json"])[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    place.ok(&["keys", "revoke", &id]);
    assert_eq!(place.run(&["serve"]).status.code(), Some(1));
    place.ok(&[
        "keys",
        "create",
        "--name",
        "new",
        "--scope",
        "read",
        "--application",
        "1",
    ]);
    place.start();
}

#[test]
fn one_database_has_one_server() {
    let place = Place::open(None, "");
    let output = place.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("another server is running on this database"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn seeds_are_made_once_and_then_belong_to_the_api() {
    let mut place = Place::open(None, "");
    let id = place.book(&[
        "--queue",
        "support",
        "--to",
        "+442079460018",
        "--at",
        "2027-03-09T14:05:00Z",
    ]);
    place.signal("TERM");
    assert_eq!(place.wait().code(), Some(0));
    let config = std::fs::read_to_string(place.dir.path().join("r.toml")).unwrap();
    std::fs::write(
        place.dir.path().join("r.toml"),
        config.replace("name = \"Support\"", "name = \"Changed\""),
    )
    .unwrap();
    place.start();
    let (_, queue) = get(place.address(), "/v1/queues/support");
    assert!(
        queue.contains("\"Support\"") && !queue.contains("Changed"),
        "{queue}"
    );
    assert_eq!(
        place.json(&["callbacks", "show", &id, "--json"])["callback"]["state"],
        "scheduled"
    );
}

#[test]
fn sigterm_ends_streams_and_exits_in_order() {
    let mut place = Place::open(None, "");
    let id = place.book(&[
        "--queue",
        "support",
        "--to",
        "+442079460018",
        "--at",
        "2027-03-09T14:05:00Z",
    ]);
    let mut stream = TcpStream::connect(place.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let host = place.address();
    write!(stream, "GET /v1/callbacks/{id}/events HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("accepted") {
        line.clear();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "the stream ended before its first event"
        );
    }
    place.signal("TERM");
    // The stream is cut; it does not keep the server alive.
    let mut rest = Vec::new();
    lines.read_to_end(&mut rest).unwrap();
    assert_eq!(place.wait().code(), Some(0), "{}", place.log());
    assert!(!place.listen_file().exists(), "the address is taken back");
    assert!(place.log().contains("stopped"), "{}", place.log());
}

/// A relay that greets, takes everything up to DATA, and then says nothing more.
fn silent_relay() -> (SocketAddr, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, silent) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().map_while(Result::ok) {
            let mut answers = stream.try_clone().unwrap();
            answers.write_all(b"220 relay\r\n").unwrap();
            for line in BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map_while(Result::ok)
            {
                let answer: &[u8] = if line.starts_with("DATA") {
                    b"354 go on\r\n"
                } else if line == "." {
                    // Nobody listening any more is no reason to stop.
                    let _ = sender.send(());
                    break;
                } else if ["EHLO", "MAIL", "RCPT"]
                    .iter()
                    .any(|verb| line.starts_with(verb))
                {
                    b"250 fine\r\n"
                } else {
                    continue;
                };
                if answers.write_all(answer).is_err() {
                    break;
                }
            }
            kept.push(stream);
        }
    });
    (address, silent)
}

#[test]
fn a_second_signal_ends_what_is_in_the_air_and_the_next_start_knows() {
    let (relay, silent) = silent_relay();
    let mut place = Place::open(Some(relay), "shutdown_limit = \"10m\"");
    let id = place.book(&[
        "--queue",
        "mail",
        "--to",
        "ann@example.com",
        "--subject",
        "boiler",
    ]);
    silent
        .recv_timeout(LIMIT)
        .expect("the message is handed over");
    place.signal("TERM");
    // While the message is in the air the server still answers, and says that it is stopping.
    let status = wait_for(|| {
        let (status, _) = get(place.address(), "/readyz");
        (status != 200).then_some(status)
    });
    assert_eq!(status, Some(503));
    assert!(
        place.child.as_mut().unwrap().try_wait().unwrap().is_none(),
        "it waits for what is in the air"
    );
    place.signal("TERM");
    assert_eq!(place.wait().code(), Some(3), "{}", place.log());
    place.start();
    let shown = place.json(&["callbacks", "show", &id, "--json"]);
    let attempts = shown["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "{shown:#}");
    assert!(
        attempts[0]["verdict"].is_string(),
        "the attempt is settled: {shown:#}"
    );
    assert_eq!(shown["callback"]["state"], "scheduled", "{shown:#}");
    assert!(place.ok(&["doctor"]).contains("Everything is healthy."));
}

/// Reads until the other side closes; fails if it does not.
fn closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn slow_and_idle_and_too_many_connections_are_limited() {
    let place = Place::open(None, "[http]\nheader_timeout = \"1s\"\nmax_connections = 2");
    let address = place.address();
    // Half a head, and then nothing.
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        .unwrap();
    // One request, and then nothing.
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    // A third one waits until one of these has ended, and is served then.
    let (status, _) = get(address, "/healthz");
    assert_eq!(status, 200);
    assert!(closed(&mut slow) && closed(&mut idle));
    // A head without end.
    let mut endless = TcpStream::connect(address).unwrap();
    let line = [b'x'; 1024];
    let refused = (0..1024).any(|_| {
        endless
            .write_all(b"X-Long: ")
            .and_then(|()| endless.write_all(&line))
            .and_then(|()| endless.write_all(b"\r\n"))
            .is_err()
    });
    assert!(refused || closed(&mut endless));
    assert_eq!(get(address, "/healthz").0, 200);
}

#[test]
fn metrics_of_both_sides_are_served() {
    let place = Place::open(None, "");
    assert_eq!(get(place.address(), "/healthz").0, 200);
    let (status, text) = get(place.address(), "/metrics");
    assert_eq!(status, 200);
    for name in [
        "ringback_http_requests_total{",
        "ringback_route_up{",
        "ringback_carried 0",
        "ringback_rescues_total 0",
    ] {
        assert!(text.contains(name), "{name} is missing in:\n{text}");
    }
}
