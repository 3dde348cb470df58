//! Names given as arguments: bytes, or base64.

use std::ffi::OsStr;

use crate::args::Args;
use crate::failure::Failure;

impl Args {
    /// The bytes of a name given as an argument.
    pub fn name(&self, arg: &OsStr) -> Result<Vec<u8>, Failure> {
        if self.base64 {
            let text = arg.to_str().ok_or_else(|| Failure::invalid("a name in base64 is plain text"))?;
            return Ok(tidelog::json::decode_base64("name", text)?);
        }
        bytes_of(arg)
    }
}

#[cfg(unix)]
fn bytes_of(arg: &OsStr) -> Result<Vec<u8>, Failure> {
    use std::os::unix::ffi::OsStrExt;
    Ok(arg.as_bytes().to_vec())
}

#[cfg(not(unix))]
fn bytes_of(arg: &OsStr) -> Result<Vec<u8>, Failure> {
    let text = arg.to_str().ok_or_else(|| Failure::invalid("a name that is not Unicode is given with --base64"))?;
    Ok(text.as_bytes().to_vec())
}
