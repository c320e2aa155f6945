//! Load generator of the benchmark suite, and the plain epoll server that is its limit.
//!
//! `echo` opens connections to a server, keeps a fixed number of requests in flight on each, and
//! prints one JSON object: requests, latencies, and the processor time that the *server's* process
//! used in the measured window. `connect` does the same with connections that are opened and
//! closed, `idle` holds connections open. `serve` is the server with nothing in it but the system
//! calls. Each runs on one thread with one epoll instance and allocates nothing per request, so
//! that on its own core it outpaces any Python server.
//!
//! A measured run has three parts: the warm-up (not counted), the measured window, and the drain,
//! in which no request is added and every open one must be answered.

mod certificate;
mod config;
mod connect;
mod connection;
mod histogram;
mod http;
mod idle;
mod limits;
mod messages;
mod peer;
mod process;
mod report;
mod run;
mod serve;
mod tls;
mod uring;
mod wire;

use std::process::ExitCode;

use config::Command;

fn main() -> ExitCode {
    let command = match Command::from_arguments(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("batuta-load: {problem}\n\n{}", config::USAGE);
            return ExitCode::from(2);
        }
    };
    let outcome = match command {
        Command::Echo(config) => run::run(&config).map(|report| println!("{}", report.to_json())),
        Command::Connect(config) => {
            connect::run(&config).map(|report| println!("{}", report.to_json()))
        }
        Command::Idle(config) => idle::run(&config),
        Command::Serve(config) => serve::run(&config),
        Command::Help => {
            println!("{}", config::USAGE);
            Ok(())
        }
        Command::Certificate(folder) => certificate::write(&folder),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("batuta-load: {problem}");
            ExitCode::FAILURE
        }
    }
}
