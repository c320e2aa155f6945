//! Connections that do nothing: opened, asked once, and held until standard input ends.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::config::{Config, Target};
use crate::limits;

/// Descriptors that are not connections: the standard streams and some room.
const RESERVED: u64 = 16;
const QUESTION: &[u8] = b"there?\n";

pub fn run(config: &Config) -> Result<(), String> {
    limits::pin(config.core)?;
    let allowed = limits::raise_descriptors();
    let Target::Tcp(address) = config.target else {
        return Err("idle needs --address".into());
    };
    if config.connections as u64 + RESERVED > allowed {
        return Err(format!(
            "{} connections need more descriptors than the {allowed} that this machine gives",
            config.connections
        ));
    }
    let failed = |error: io::Error| error.to_string();
    let mut held = Vec::with_capacity(config.connections);
    for _ in 0..config.connections {
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        // The answer shows that the server has taken the connection and set it up.
        stream.set_read_timeout(Some(crate::run::DRAIN)).map_err(failed)?;
        stream.write_all(QUESTION).map_err(failed)?;
        let mut answer = [0; QUESTION.len()];
        stream.read_exact(&mut answer).map_err(failed)?;
        if answer != QUESTION {
            return Err("the server sent back other bytes than it received".into());
        }
        held.push(stream);
    }
    println!("{{\"connections\": {}, \"descriptors_allowed\": {allowed}}}", held.len());
    io::stdin().read_to_end(&mut Vec::new()).map_err(failed)?;
    Ok(())
}
