//! Load generator of the benchmark suite.
//!
//! Opens TCP connections to an echo server, keeps a fixed number of requests in flight on each,
//! and prints one JSON object: requests, latencies, and the processor time that the *server's*
//! process used in the measured window. One thread, one epoll instance, no allocation per
//! request, so that on its own core it outpaces any Python server.
//!
//! A run has three parts: the warm-up (not counted), the measured window, and the drain, in which
//! no request is added and every open one must be answered.

mod config;
mod connection;
mod histogram;
mod messages;
mod process;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    let config = match config::Config::from_arguments(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("batuta-load: {problem}\n\n{}", config::USAGE);
            return ExitCode::from(2);
        }
    };
    match run::run(&config) {
        Ok(report) => {
            println!("{}", report.to_json());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("batuta-load: {problem}");
            ExitCode::FAILURE
        }
    }
}
