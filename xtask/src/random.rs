//! Random numbers of the system.

use std::fs::File;
use std::io::Read as _;

use anyhow::Context as _;

/// Returns random bytes.
pub(crate) fn random_bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut device = File::open("/dev/urandom").context("/dev/urandom can't be opened")?;
    device
        .read_exact(&mut bytes)
        .context("/dev/urandom can't be read")?;
    Ok(bytes)
}

/// Returns 32 random hexadecimal digits.
pub(crate) fn random_hex() -> anyhow::Result<String> {
    Ok(format!("{:032x}", u128::from_be_bytes(random_bytes()?)))
}
