//! `[log]`: what is written to standard error, and in which form.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`; parts can be set apart, e.g. `info,ringback_dispatch=debug`.
    /// Libraries that would write messages, numbers or customers' domains stay quiet whatever is asked for; spans in
    /// brackets, which would let them speak, are refused.
    pub level: String,
    /// `text` for people, `json` for programs (one object per line).
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl Log {
    pub fn check(&self, complain: &mut dyn FnMut(&str, String)) {
        if crate::telemetry::filter(&self.level).is_none() {
            let reason = "must be error, warn, info, debug or trace, or a list such as info,ringback_dispatch=debug, \
                          without spans in brackets";
            complain("level", reason.to_owned());
        }
    }
}
