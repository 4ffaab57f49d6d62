//! Certificates for a test: a root, and what it signs. They are worth nothing elsewhere.

use std::{path::PathBuf, process::Command};
use tempfile::TempDir;

/// A root and the folder of everything that it signed.
pub(crate) struct Papers {
    folder: TempDir,
}

impl Papers {
    /// A new root.
    pub(crate) fn new() -> Self {
        let papers = Self { folder: clyra_tests::open_folder().unwrap() };
        papers.openssl(&["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=root"], "ca", &[]);
        papers
    }

    /// A file of the folder, as text for a command line.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate for this subject and these alternative names: `NAME.pem` and `NAME.key`.
    pub(crate) fn sign(&self, name: &str, subject: &str, names: &str) {
        let names = format!("subjectAltName={names}");
        let (ca, key) = (self.file("ca.pem"), self.file("ca.key"));
        let words = ["req", "-x509", "-nodes", "-days", "2", "-CA", &ca, "-CAkey", &key, "-subj", subject];
        self.openssl(&words, name, &["-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"]);
    }

    /// Gives a key to the user that PostgreSQL runs as.
    pub(crate) fn hand_to_postgres(&self, name: &str) {
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown").args(["postgres", &self.file(name)]).status().unwrap();
            assert!(owned.success());
        }
    }

    fn openssl(&self, words: &[&str], name: &str, more: &[&str]) {
        let made = Command::new("openssl")
            .args(words)
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha256"])
            .args(["-out", &self.file(&format!("{name}.pem")), "-keyout", &self.file(&format!("{name}.key"))])
            .args(more)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}
