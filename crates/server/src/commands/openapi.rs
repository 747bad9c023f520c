//! `ringback openapi`: the API's own description, as it is served at `/openapi.json`.

use std::process::ExitCode;

pub fn run() -> ExitCode {
    match ringback_api::openapi().to_pretty_json() {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ringback: the document cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}
