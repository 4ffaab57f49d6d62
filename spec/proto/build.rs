//! Compiles `clyra/*.proto` without protoc.

use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=clyra");
    let files = protox::compile(["clyra/evidence.proto", "clyra/admin.proto"], ["."])?;
    #[expect(clippy::disallowed_methods, reason = "cargo hands build scripts their output folder this way")]
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&files))?;
    tonic_prost_build::configure().bytes(".clyra.evidence.v1").compile_fds(files)?;
    Ok(())
}
