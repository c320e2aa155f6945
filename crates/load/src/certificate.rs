//! A certificate for this machine's loopback, made anew for each run of the suite.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub const CERTIFICATE: &str = "certificate.pem";
pub const KEY: &str = "key.pem";

pub fn write(folder: &Path) -> Result<(), String> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
    let put = |name: &str, text: String| {
        use std::io::Write as _;
        let path = folder.join(name);
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    put(CERTIFICATE, made.cert.pem())?;
    put(KEY, made.signing_key.serialize_pem())
}
