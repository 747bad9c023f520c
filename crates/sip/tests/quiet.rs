//! With `QUIET` in the filter no number, password or description of a call reaches the log.

mod support;

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use ringback_sip::{BridgeEndKind, Credentials, QUIET, SipUri, Target, Trunk};
use support::{
    call, engine,
    phone::{Manner, Phone},
    run, target,
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_number_reaches_the_log() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(format!("trace,{QUIET}"))
        .with_writer(move || writer.clone())
        .init();
    tracing::info!("the log works");
    let engine = engine().await;
    let agent = Phone::start(Manner::default()).await;
    let customer = Phone::start(Manner::default()).await;
    let number: SipUri = format!("sip:+33612345678@127.0.0.1:{}", customer.port)
        .parse()
        .unwrap();
    let credentials = Credentials {
        user: "marker-user".to_owned(),
        password: "marker-secret".to_owned(),
        realm: None,
    };
    let trunk = Trunk {
        credentials: Some(credentials),
        ..Trunk::default()
    };
    let mut call = call(
        "quiet-1",
        target(agent.port),
        Target::new("trunk", number, trunk),
    );
    call.max_talk = Duration::from_millis(100);
    let (end, events) = run(&engine, call).await;
    assert!(matches!(end.kind, BridgeEndKind::Talked { .. }));
    assert!(customer.count("INVITE sip:+33612345678@") > 0);
    let mut written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(written.contains("the log works"));
    // What a caller may print of our own types is masked too.
    written.push_str(&format!("{events:?} {end:?}"));
    for marker in ["33612345678", "marker-user", "marker-secret", "m=audio"] {
        assert!(!written.contains(marker), "{marker} in {written}");
    }
}
