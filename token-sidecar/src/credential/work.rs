//! What it takes to open what is encrypted: the file itself says how often its password is hashed,
//! and a file that says too much would keep the token-sidecar busy for hours, or take its memory.

use pkcs8::pkcs5::pbes2::{Kdf, Parameters, ScryptParams};

use crate::file::FileName;
use crate::settings::config_error::ConfigError;

/// Rounds of a hash for all parts of a file together, which take some seconds. OpenSSL's default is
/// 2048 for each part, NSS' and OWASP's advice 600,000.
const MOST_ROUNDS: u64 = 5_000_000;
/// What scrypt may take of memory, in bytes; OpenSSL's default takes 16 MiB.
const MOST_MEMORY: u64 = 64 << 20;

/// What may still be hashed for a file. Each derivation of a key is paid for before it begins, be
/// it of what another has decrypted, or with the second of two passwords.
#[derive(Debug)]
pub(super) struct Budget {
    rounds: u64,
}

/// A file wants more than its budget.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuchWork;

impl Default for Budget {
    fn default() -> Self {
        Self {
            rounds: MOST_ROUNDS,
        }
    }
}

impl Budget {
    /// Pays for so many rounds of a hash.
    pub(super) fn spend(&mut self, rounds: u64) -> Result<(), TooMuchWork> {
        self.rounds = self.rounds.checked_sub(rounds).ok_or(TooMuchWork)?;
        Ok(())
    }

    /// Pays for the key that PBES2 makes of a password (RFC 8018 §6.2).
    pub(super) fn spend_for(&mut self, encryption: &Parameters) -> Result<(), TooMuchWork> {
        self.spend(match &encryption.kdf {
            Kdf::Pbkdf2(parameters) => parameters.iteration_count.into(),
            Kdf::Scrypt(parameters) => scrypt(parameters),
            _ => return Err(TooMuchWork),
        })
    }
}

impl TooMuchWork {
    /// What to tell the user.
    pub(super) fn config_error(&self, file: &FileName) -> ConfigError {
        file.config_error(
            "wants its password hashed so often, or with so much memory, that opening it is refused",
            "Encrypt it again with fewer iterations: OpenSSL's default will do.",
        )
    }
}

/// A round of PBKDF2 for each block of 128 bytes, which is about what it takes.
fn scrypt(parameters: &ScryptParams) -> u64 {
    let blocks = parameters
        .cost_parameter
        .saturating_mul(parameters.block_size.into());
    match blocks.saturating_mul(128) {
        ..=MOST_MEMORY => blocks.saturating_mul(parameters.parallelization.into()),
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pbkdf2(rounds: u32) -> Parameters {
        Parameters::generate_pbkdf2_sha256_aes256cbc(rounds, b"saltsalt", [0; 16]).unwrap()
    }

    fn scrypt(cost: u64, block_size: u16, parallelization: u16) -> Parameters {
        let mut parameters = pbkdf2(1);
        let salt = parameters.kdf.pbkdf2().unwrap().salt;
        parameters.kdf = Kdf::Scrypt(ScryptParams {
            salt,
            cost_parameter: cost,
            block_size,
            parallelization,
            key_length: None,
        });
        parameters
    }

    #[test]
    fn what_takes_seconds_is_opened_and_what_takes_hours_is_refused() {
        for (parameters, is_fine) in [
            (pbkdf2(2048), true),
            (pbkdf2(5_000_000), true),
            (pbkdf2(5_000_001), false),
            (pbkdf2(100_000_000), false),
            (scrypt(16_384, 8, 1), true),
            (scrypt(1 << 16, 8, 1), true),
            (scrypt(1 << 17, 8, 1), false),
            (scrypt(16_384, 8, 40), false),
            (scrypt(1 << 62, 8, 1), false),
        ] {
            let paid = Budget::default().spend_for(&parameters);
            assert_eq!(paid.is_ok(), is_fine, "{parameters:?}");
        }
    }

    #[test]
    fn the_parts_of_a_file_are_paid_for_together() {
        let mut budget = Budget::default();
        for _ in 0..4 {
            assert_eq!(budget.spend_for(&pbkdf2(1_000_000)), Ok(()));
        }
        assert_eq!(budget.spend(1_000_000), Ok(()));
        assert_eq!(budget.spend_for(&pbkdf2(1)), Err(TooMuchWork));
        assert_eq!(budget.spend(1), Err(TooMuchWork));
    }
}
