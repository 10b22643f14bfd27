//! A limit on the work that decryption takes. The file itself says how often its password is hashed;
//! without a limit a file could occupy the token-sidecar for hours, or exhaust its memory.

use entra_auth_settings_input::ConfigError;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters, ScryptParams};

use crate::file::NamedFile;

/// Rounds of a hash for all parts of a file together, which take some seconds. OpenSSL's default is
/// 2048 for each part; NSS uses, and OWASP recommends, 600,000.
const MAX_ROUNDS: u64 = 5_000_000;
/// The memory that scrypt may take, in bytes. OpenSSL's default takes 16 MiB.
const MAX_MEMORY: u64 = 64 << 20;

/// The rounds that are left for a file. Each key derivation spends its rounds before it begins, also
/// for a part inside an encrypted part, and for a second try with another password.
#[derive(Debug)]
pub(super) struct Budget {
    rounds: u64,
}

/// A file needs more work than its budget.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuchWork;

impl Default for Budget {
    fn default() -> Self {
        Self { rounds: MAX_ROUNDS }
    }
}

impl Budget {
    /// Spends rounds of a hash.
    pub(super) fn spend(&mut self, rounds: u64) -> Result<(), TooMuchWork> {
        self.rounds = self.rounds.checked_sub(rounds).ok_or(TooMuchWork)?;
        Ok(())
    }

    /// Spends what PBES2 takes to derive its key (RFC 8018 §6.2).
    pub(super) fn spend_for(&mut self, encryption: &Parameters) -> Result<(), TooMuchWork> {
        self.spend(match &encryption.kdf {
            Kdf::Pbkdf2(parameters) => parameters.iteration_count.into(),
            Kdf::Scrypt(parameters) => scrypt(parameters),
            _ => return Err(TooMuchWork),
        })
    }
}

impl TooMuchWork {
    /// The error of the file.
    pub(super) fn config_error(&self, file: &NamedFile) -> ConfigError {
        file.config_error(
            "wants its password hashed so often, or with so much memory, that opening it is refused",
            "Encrypt it again with fewer iterations: OpenSSL's default will do.",
        )
    }
}

/// The work of scrypt: about a round of PBKDF2 for each block of 128 bytes. More than [`MAX_MEMORY`]
/// counts as more than any budget.
fn scrypt(parameters: &ScryptParams) -> u64 {
    let blocks = parameters
        .cost_parameter
        .saturating_mul(parameters.block_size.into());
    match blocks.saturating_mul(128) {
        ..=MAX_MEMORY => blocks.saturating_mul(parameters.parallelization.into()),
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
            let spent = Budget::default().spend_for(&parameters);
            assert_eq!(spent.is_ok(), is_fine, "{parameters:?}");
        }
    }

    #[test]
    fn the_parts_of_a_file_share_one_budget() {
        let mut budget = Budget::default();
        for _ in 0..4 {
            assert_eq!(budget.spend_for(&pbkdf2(1_000_000)), Ok(()));
        }
        assert_eq!(budget.spend(1_000_000), Ok(()));
        assert_eq!(budget.spend_for(&pbkdf2(1)), Err(TooMuchWork));
        assert_eq!(budget.spend(1), Err(TooMuchWork));
    }
}
