//! TLS over a socket that does not block, for either side. Sessions are never resumed: every
//! handshake is a whole one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig};

use crate::wire::Plain;

pub struct Tls {
    session: Connection,
    socket: OwnedFd,
}

/// A client that trusts the certificates of this PEM file and nobody else.
pub fn client(certificate: &Path) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_file_iter(certificate).map_err(io::Error::other)? {
        roots.add(one.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A server with the certificate and the key of this folder.
pub fn server(folder: &Path) -> io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(folder.join(crate::certificate::CERTIFICATE))
        .map_err(io::Error::other)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(folder.join(crate::certificate::KEY))
        .map_err(io::Error::other)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(io::Error::other)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

impl Tls {
    pub fn new(session: impl Into<Connection>, socket: OwnedFd) -> Self {
        Self { session: session.into(), socket }
    }

    /// The client's end before its handshake.
    pub fn client(config: &Arc<ClientConfig>, socket: OwnedFd) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Self::new(session, socket))
    }

    /// The client's end after it, on a stream that blocked so far.
    pub fn handshake(config: &Arc<ClientConfig>, stream: TcpStream) -> io::Result<Self> {
        let switch = stream.try_clone()?;
        let mut tls = Self::client(config, stream.into())?;
        while tls.session.is_handshaking() {
            tls.session.complete_io(&mut Plain::of(&tls.socket))?;
        }
        switch.set_nonblocking(true)?;
        Ok(tls)
    }

    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A peer that ends without saying so has ended all the same.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if self.session.read_tls(&mut Plain::of(&self.socket))? > 0 {
                self.session.process_new_packets().map_err(io::Error::other)?;
                self.flush()?;
            } else {
                self.session.process_new_packets().map_err(io::Error::other)?;
                return self.session.reader().read(buffer).or(Ok(0));
            }
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(bytes)?;
        self.flush()?;
        if count == 0 && !bytes.is_empty() {
            // rustls keeps no more than so much.
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Plain::of(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
