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

    /// Writes `crl.pem`, the list of these certificates as revoked.
    pub(crate) fn revoke(&self, names: &[&str]) {
        let folder = self.folder.path().display();
        let config = format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\ncrlnumber={folder}/number\ndefault_md=sha256\n\
             default_crl_days=2\n"
        );
        std::fs::write(self.path("ca.conf"), config).unwrap();
        std::fs::write(self.path("index"), "").unwrap();
        std::fs::write(self.path("number"), "01\n").unwrap();
        let (config, key, ca) = (self.file("ca.conf"), self.file("ca.key"), self.file("ca.pem"));
        let own = ["ca", "-config", &config, "-keyfile", &key, "-cert", &ca];
        let run = |words: &[&str]| {
            let done = Command::new("openssl").args(own).args(words).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        };
        for name in names {
            run(&["-revoke", &self.file(&format!("{name}.pem"))]);
        }
        run(&["-gencrl", "-out", &self.file("crl.pem")]);
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
