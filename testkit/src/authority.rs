//! Certificates of one's own.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// An authority that nobody trusts unless told to. It is made by `openssl`.
pub struct Authority {
    folder: TempDir,
}

/// What a server shows, and what it proves it with, as PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new one; `None` when `openssl` is not installed, after [`crate::skipped`] said so.
    ///
    /// # Panics
    /// When `openssl` fails.
    pub fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            crate::skipped("openssl");
            return None;
        }
        let folder =
            tempfile::Builder::new().prefix("flow-authority-").tempdir().expect("a folder");
        let authority = Self { folder };
        authority.request("authority", &["-subj", "/CN=An authority of the tests"]);
        Some(authority)
    }

    /// Its certificate, as PEM.
    ///
    /// # Panics
    /// When somebody has taken its files away.
    pub fn certificate(&self) -> String {
        self.read("authority.crt")
    }

    /// Signs a certificate for a server of this name, such as `IP:127.0.0.1` or `DNS:db.example`.
    ///
    /// # Panics
    /// When `openssl` fails.
    pub fn sign(&self, name: &str) -> Identity {
        let named = format!("subjectAltName={name}");
        self.request(
            "server",
            &[
                "-CA",
                "authority.crt",
                "-CAkey",
                "authority.key",
                "-subj",
                "/CN=A server",
                "-addext",
                &named,
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ],
        );
        Identity { certificate: self.read("server.crt"), key: self.read("server.key") }
    }

    /// Makes a key and a certificate for it.
    fn request(&self, name: &str, more: &[&str]) {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "2", "-keyout", &format!("{name}.key")]);
        openssl.args(["-out", &format!("{name}.crt")]).args(more);
        let made = openssl.current_dir(self.folder.path()).output().expect("openssl starts");
        assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn read(&self, file: &str) -> String {
        let path = Path::new(self.folder.path()).join(file);
        std::fs::read_to_string(path).expect("openssl has made it")
    }
}
