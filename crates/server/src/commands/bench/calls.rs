//! Calls that one node holds at one time, with both legs of each at a SIPp of its own, and the memory they take.

use super::ground::Server;
use super::process;
use super::setback::Setback;
use super::town;
use super::wire::{Load, Until, drive, request};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

pub const QUEUE: &str = "calls";
/// 200 calls are due in a second.
const APART: SignedDuration = SignedDuration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(30);
/// Memory is looked at when so many calls are up.
pub const CALLS_OF_MEMORY: u64 = 1000;

pub struct Calls {
    pub most: u64,
    pub per_second: f64,
    /// With [`CALLS_OF_MEMORY`] calls up, or as many as there were.
    pub memory: u64,
    pub memory_at: u64,
}

/// Calls that stay up until the server ends them after so long.
pub fn rules(talk: Duration) -> Value {
    let mut rules = town::plain();
    rules["leg_order"] = json!("agent_first");
    rules["max_talk"] = json!(format!("{}s", talk.as_secs()));
    rules
}

/// A SIPp that answers every call and waits to be hung up on.
pub struct Phones {
    pub address: SocketAddr,
    _child: Child,
}

impl Phones {
    pub fn start(directory: &Path) -> Result<Phones, Setback> {
        let failed = Setback::while_doing("SIPp cannot be prepared");
        // Taken for a moment to learn a free port.
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(&failed)?;
        let address = free.local_addr().map_err(&failed)?;
        drop(free);
        let scenario = directory.join("phones.xml");
        std::fs::write(&scenario, SCENARIO).map_err(&failed)?;
        let child = Command::new("sipp")
            .arg("-sf")
            .arg(&scenario)
            .args(["-i", "127.0.0.1", "-p", &address.port().to_string()])
            // One socket, no keyboard, and nothing written.
            .args(["-t", "u1", "-nostdin", "-buff_size", "8388608"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Setback::Absent(format!("sipp cannot be run: {error}")))?;
        Ok(Phones {
            address,
            _child: child,
        })
    }
}

/// Books `count` calls, 200 due per second, and watches how many are up.
pub async fn measure(server: &Server, count: u64, talk: Duration) -> Result<Calls, Setback> {
    let ahead = Duration::from_millis(3000 + count);
    let first = Timestamp::now() + SignedDuration::try_from(ahead).unwrap_or_default();
    let load = Load {
        address: server.address,
        connections: 16,
        until: Until::Count(count),
        expected: 201,
        maker: Arc::new(move |index| {
            let at = first + APART * i32::try_from(index).unwrap_or(i32::MAX);
            request(
                "POST",
                "/v1/callbacks",
                "",
                &town::due(QUEUE, at, index).to_string(),
            )
        }),
    };
    drive(load).await?;
    let wait = Timestamp::now().duration_until(first);
    tokio::time::sleep(
        wait.unsigned_abs()
            .saturating_sub(Duration::from_millis(500)),
    )
    .await;

    let limit = Instant::now() + Duration::from_millis(count * 5) + PATIENCE;
    let (mut most, mut memory) = (0, None);
    let mut risen: Vec<(Instant, u64)> = Vec::new();
    while Instant::now() < limit {
        let up = server.count(QUEUE, "talking").await?;
        risen.push((Instant::now(), up));
        most = most.max(up);
        if memory.is_none() && up >= CALLS_OF_MEMORY.min(count) {
            memory = Some((process::resident(server.pid)?, up));
        }
        // All are up; or the first ones have ended, and more than now there will not be.
        if up >= count || up + count / 20 < most {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (memory, memory_at) = match memory {
        Some(seen) => seen,
        None => (process::resident(server.pid)?, most),
    };
    if most == 0 {
        return Err(Setback::Broken("no call came to be".to_owned()));
    }
    // The server ends them, so that nothing of this is left for what is measured next; those that found no place at
    // first come after them.
    let ended = Instant::now() + talk * 3 + PATIENCE;
    while server.open(QUEUE).await? > 0 {
        if Instant::now() > ended {
            return Err(Setback::Broken("calls did not end".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(Calls {
        most,
        per_second: slope(&risen, most),
        memory,
        memory_at,
    })
}

/// Calls per second between a tenth and nine tenths of the most.
fn slope(risen: &[(Instant, u64)], most: u64) -> f64 {
    let reached = |part: u64| risen.iter().find(|(_, up)| *up >= part);
    let (Some((began, low)), Some((ended, high))) =
        (reached(most.div_ceil(10)), reached(most * 9 / 10))
    else {
        return 0.0;
    };
    let took = ended.duration_since(*began).as_secs_f64();
    if took > 0.0 {
        (high - low) as f64 / took
    } else {
        0.0
    }
}

const SCENARIO: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="phones">
  <recv request="INVITE"/>
  <send><![CDATA[

      SIP/2.0 180 Ringing
      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]b[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:phone@[local_ip]:[local_port];transport=[transport]>
      Content-Length: 0

  ]]></send>
  <send retrans="500"><![CDATA[

      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]b[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:phone@[local_ip]:[local_port];transport=[transport]>
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=phone [pid] 1 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000

  ]]></send>
  <recv request="ACK"/>
  <label id="held"/>
  <recv request="INVITE" optional="true" next="joined"/>
  <recv request="BYE"/>
  <send><![CDATA[

      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:phone@[local_ip]:[local_port];transport=[transport]>
      Content-Length: 0

  ]]></send>
  <nop next="end"/>
  <label id="joined"/>
  <send retrans="500"><![CDATA[

      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:phone@[local_ip]:[local_port];transport=[transport]>
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=phone [pid] 2 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000

  ]]></send>
  <recv request="ACK"/>
  <nop next="held"/>
  <label id="end"/>
</scenario>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_taken_in_the_middle() {
        let began = Instant::now();
        let at = |second: u64, up: u64| (began + Duration::from_secs(second), up);
        let risen = [
            at(0, 0),
            at(1, 100),
            at(2, 300),
            at(3, 500),
            at(5, 900),
            at(9, 1000),
        ];
        assert_eq!(slope(&risen, 1000), 200.0);
        assert_eq!(slope(&[], 10), 0.0);
    }
}
