//! Connections that do nothing: opened, asked once, and held until standard input ends.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with};

use crate::config::{Config, Target};
use crate::limits;

/// Descriptors that are not connections: the standard streams and some room.
const RESERVED: u64 = 16;
/// Connections from one address to one port: the kernel gives out about 28,000 ports.
const PER_ADDRESS: usize = 20_000;
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
    for index in 0..config.connections {
        let mut stream = connect_from(source(index), address).map_err(failed)?;
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

/// Loopback has 16 million addresses.
fn source(index: usize) -> Ipv4Addr {
    let number = u32::try_from(index / PER_ADDRESS).unwrap_or(0);
    Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number)
}

fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = Some(ipproto::TCP);
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, tcp)?;
    if source != Ipv4Addr::LOCALHOST {
        bind(&socket, &SocketAddr::from((source, 0)))?;
    }
    connect(&socket, &address)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_source_address_before_the_ports_of_one_run_out() {
        assert_eq!(source(0), Ipv4Addr::LOCALHOST);
        assert_eq!(source(PER_ADDRESS - 1), Ipv4Addr::LOCALHOST);
        assert_eq!(source(PER_ADDRESS), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(source(99_999), Ipv4Addr::new(127, 0, 0, 5));
    }
}
