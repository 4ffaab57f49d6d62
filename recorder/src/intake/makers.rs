//! Which gateways are trusted. It never trusts a key because the key says so.

use crate::Error;
use clyra_seal::key::VerifyingKey;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// The trusted gateways: some from settings, the others from a file that is read anew at each question, so that a
/// gateway can be enrolled without a restart.
#[derive(Debug)]
pub(crate) struct Makers {
    fixed: Vec<VerifyingKey>,
    file: PathBuf,
}

impl Makers {
    pub(crate) fn new(vkeys: &[String], file: PathBuf) -> Result<Self, Error> {
        let parse = |vkey: &String| {
            VerifyingKey::parse(vkey).map_err(|source| Error::Maker { origin: "settings".into(), source })
        };
        let makers = Self { fixed: vkeys.iter().map(parse).collect::<Result<_, _>>()?, file };
        makers.all()?;
        Ok(makers)
    }

    /// All trusted keys as of now.
    pub(crate) fn all(&self) -> Result<Vec<VerifyingKey>, Error> {
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(Error::file("read", &self.file))?,
        };
        let mut keys = self.fixed.clone();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let origin = || format!("{} line {number}", self.file.display());
            keys.push(VerifyingKey::parse(line).map_err(|source| Error::Maker { origin: origin(), source })?);
        }
        Ok(keys)
    }

    /// The trusted key equal to this vkey.
    pub(crate) fn find(&self, vkey: &str) -> Result<Option<VerifyingKey>, Error> {
        Ok(self.all()?.into_iter().find(|key| key.to_string() == vkey))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clyra_seal::key::SigningKey;

    #[test]
    fn keys_come_from_settings_and_file_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("makers");
        let [one, two, three] =
            [1, 2, 3].map(|seed| SigningKey::from_seed("gw", &[seed; 32]).unwrap().verifying());
        let makers = Makers::new(&[one.to_string()], file.clone()).unwrap();
        assert!(makers.find(&one.to_string()).unwrap().is_some());
        assert!(makers.find(&two.to_string()).unwrap().is_none());
        fs::write(&file, format!("# gateways\n\n{two}\n")).unwrap();
        assert!(makers.find(&two.to_string()).unwrap().is_some());
        assert!(makers.find(&three.to_string()).unwrap().is_none());
        fs::write(&file, format!("{two}\nnonsense\n")).unwrap();
        assert!(makers.find(&one.to_string()).unwrap_err().to_string().contains("line 2"));
        assert!(Makers::new(&["x".into()], folder.path().join("none")).is_err());
    }
}
