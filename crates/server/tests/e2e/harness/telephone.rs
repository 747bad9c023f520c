//! baresip, a real softphone, on a host of the test's network: registers, answers by itself, plays a tone.

use super::netns::Host;
use super::{Peer, eventually};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// baresip takes its media ports from here.
const MEDIA_PORTS: &str = "10000-10100";
/// UDP whose first two bits are 2 (RTP's version) and whose second byte names payload type 0 (PCMU).
const VOICE: &str = "meta l4proto udp @th,64,2 2 @th,73,7 0";
const CONTROL: u16 = 4444;

pub struct Telephone {
    pub host: Host,
    peer: Peer,
}

impl Telephone {
    /// `account` is baresip's own account line, like `<sip:1001@10.0.0.1>;auth_pass=…`.
    pub fn start(name: &str, host: &Host, account: &str, dir: &Path) -> Telephone {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).expect("a directory");
        let at = dir.display();
        let modules = modules();
        // `aufile` needs 8 kHz on both ends: it does not convert.
        let config = format!(
            "poll_method epoll\nsip_listen {address}:5060\nnet_interface eth0\ncall_max_calls 4\n\
             audio_source aufile,{at}/tone.wav\naudio_player aufile,{at}/heard.wav\naudio_alert aufile,{at}/alert.wav\n\
             ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\nrtp_ports {MEDIA_PORTS}\n\
             module_path {modules}\nmodule g711.so\nmodule aufile.so\nmodule_tmp uuid.so\nmodule_tmp account.so\n\
             module_app ctrl_tcp.so\nmodule_app menu.so\nctrl_tcp_listen 0.0.0.0:{CONTROL}\n",
            address = host.address,
        );
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(dir.join(name), bytes).expect("a file can be written")
        };
        write("config", config.as_bytes());
        write(
            "accounts",
            format!("{account};answermode=auto\n").as_bytes(),
        );
        write("contacts", b"");
        write("tone.wav", &tone());
        let mut command = host.command("baresip");
        command.arg("-f").arg(&dir).arg("-s");
        let peer = Peer::start(
            &format!("baresip ({name})"),
            &mut command,
            &dir.join("baresip.log"),
        );
        Telephone {
            host: host.clone(),
            peer,
        }
    }

    /// Counts this phone's media by whom it is exchanged with. Only voice: RTP version 2 with payload type 0.
    /// (Before it is joined a phone sends an RTCP report to the address of the held offer.)
    pub fn count_media(&self, other: &Host, server: &str) {
        let other = &other.address;
        self.host.count(&[
            ("heard_direct", "input", format!("ip saddr {other} {VOICE}")),
            ("sent_direct", "output", format!("ip daddr {other} {VOICE}")),
            (
                "heard_relayed",
                "input",
                format!("ip saddr {server} {VOICE}"),
            ),
            (
                "sent_relayed",
                "output",
                format!("ip daddr {server} {VOICE}"),
            ),
        ]);
    }

    /// Waits until the phone's own log says it, e.g. that it has registered.
    pub async fn says(&self, words: &str, limit: Duration) {
        eventually(&format!("baresip saying {words:?}"), limit, || async {
            let log = self.peer.log();
            if log.contains(words) {
                Ok(())
            } else {
                Err(log)
            }
        })
        .await;
    }

    pub fn hang_up(&self) {
        let json = r#"{"command":"hangup","params":"","token":"e2e"}"#;
        let address: SocketAddr = format!("{}:{CONTROL}", self.host.address)
            .parse()
            .expect("an address");
        let mut control = TcpStream::connect_timeout(&address, Duration::from_secs(5))
            .expect("baresip's control port");
        control
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a limit");
        control
            .write_all(format!("{}:{json},", json.len()).as_bytes())
            .expect("the command is sent");
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        // Its events come on the same line; ours is the one with the token.
        while !String::from_utf8_lossy(&answer).contains("\"token\":\"e2e\"") {
            match control.read(&mut part) {
                Ok(0) => break,
                Ok(length) => answer.extend_from_slice(&part[..length]),
                Err(error) => panic!("baresip did not answer the hang-up: {error}"),
            }
        }
    }

    pub fn log(&self) -> String {
        self.peer.log()
    }
}

/// Debian puts the modules beside the other libraries, or in a directory of baresip's own.
fn modules() -> &'static str {
    [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/local/lib/baresip/modules",
    ]
    .into_iter()
    .find(|path| Path::new(path).join("g711.so").exists())
    .expect("baresip's modules; script/test installs baresip-core")
}

/// Thirty seconds of 440 Hz, 16 bit, mono, 8 kHz.
fn tone() -> Vec<u8> {
    const RATE: u32 = 8000;
    let samples: Vec<u8> = (0..RATE * 30)
        .flat_map(|n| {
            let turn = f64::from(n) * 440.0 / f64::from(RATE) * std::f64::consts::TAU;
            ((turn.sin() * 8000.0) as i16).to_le_bytes()
        })
        .collect();
    let mut wav = Vec::new();
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + samples.len() as u32).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16u32.to_le_bytes());
    wav.extend_from_slice(&1u16.to_le_bytes());
    wav.extend_from_slice(&1u16.to_le_bytes());
    wav.extend_from_slice(&RATE.to_le_bytes());
    wav.extend_from_slice(&(RATE * 2).to_le_bytes());
    wav.extend_from_slice(&2u16.to_le_bytes());
    wav.extend_from_slice(&16u16.to_le_bytes());
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&(samples.len() as u32).to_le_bytes());
    wav.extend_from_slice(&samples);
    wav
}
