//! What shows that a message comes from a node of the same database: each is sealed.
//!
//! Redis tells a receiver nothing about a sender, and more than this cluster may publish on its
//! topic: a copy of the database has the same epoch, and so the same topic. A seal is three fields
//! at the end of the JSON: the database's identity, the sender's number of the message, and a MAC
//! of everything before it. They are fields so that a release without them reads the message.
//!
//! The key is derived from the secret that signs tokens, which all nodes have, and from the
//! identity. With `jwt_secret` set, a dump of the database contains nothing that forges a message;
//! without it the secret is a row of the database.
//!
//! The content is not encrypted: nodes of the release before must be able to read it, since a
//! project's stream has no sequence from which a missed event could be found. `rediss://` encrypts
//! the line, and Redis keeps no message.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// The bytes of a MAC: 128 bits.
const MAC_LEN: usize = 16;

/// Its text: 16 bytes in base64.
const MAC_TEXT: usize = 22;

/// The digits of an identity and of a number.
const DIGITS: usize = 16;

const OF: &str = ",\"of\":\"";
const NUMBER: &str = "\",\"n\":\"";
const MAC: &str = "\",\"mac\":\"";
const END: &str = "\"}";

/// What the nodes of one database have in common and no other process has.
#[derive(Debug, Clone)]
pub struct Cluster {
    epoch: Box<str>,
    /// Names the database; no secret.
    database: Box<str>,
    mac: Hmac<Sha256>,
    limits: Hmac<Sha256>,
}

/// Why a message is none of this cluster's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It has no seal: a release without seals has sent it, or anyone.
    Unsealed,
    /// It comes from a node of another database with the same epoch: a copy.
    OtherDatabase,
    /// Its MAC is wrong: it is forged, or the sender's `jwt_secret` is another one.
    Forged,
    /// It was received before.
    Repeated,
    /// Its seal is right, and the database lists no such node: the sender runs on a copy that
    /// nothing tells from it.
    Unlisted,
}

impl Stranger {
    pub(super) const ALL: [Self; 5] =
        [Self::Unsealed, Self::OtherDatabase, Self::Forged, Self::Repeated, Self::Unlisted];

    /// The reason in metrics and in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unsealed => "unsealed",
            Self::OtherDatabase => "other_database",
            Self::Forged => "forged",
            Self::Repeated => "repeated",
            Self::Unlisted => "unlisted",
        }
    }

    /// What an operator reads.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Unsealed => {
                "they have no seal: nodes of an older release, or a client of Redis that is no node"
            }
            Self::OtherDatabase => {
                "they come from a copy of this database, which needs a Redis of its own"
            }
            Self::Forged => {
                "their seal is wrong: nodes with another jwt_secret, or forged messages"
            }
            Self::Repeated => "they were received before: a client of Redis repeats them",
            Self::Unlisted => {
                "they come from nodes that the database does not list: a copy of its server needs a \
                 Redis of its own"
            }
        }
    }
}

impl Cluster {
    /// The nodes of the database with this epoch and identity, which share the secret.
    #[must_use]
    pub fn new(epoch: &str, database: &str, secret: &str) -> Self {
        let digest = Sha256::digest(database.as_bytes());
        let database: String = digest.iter().take(DIGITS / 2).map(|b| format!("{b:02x}")).collect();
        let key = |purpose: &str| {
            let mut mac = keyed(secret.as_bytes());
            for part in [purpose, epoch, &database] {
                mac.update(part.as_bytes());
                mac.update(b"\n");
            }
            keyed(&mac.finalize().into_bytes())
        };
        let (mac, limits) = (key("bellpull broker"), key("bellpull limits"));
        Self { epoch: epoch.into(), database: database.into(), mac, limits }
    }

    pub(super) fn topic(&self) -> Box<str> {
        format!("bellpull:{}", self.epoch).into()
    }

    /// The epoch.
    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Makes the names of shared limits, which a copy of the database must not have.
    pub(super) fn limits(&self) -> Hmac<Sha256> {
        self.limits.clone()
    }

    /// Seals a message that ends with a JSON object which is not empty.
    pub(super) fn seal(&self, message: &mut Vec<u8>, number: u64) {
        if message.pop_if(|last| *last == b'}').is_none() {
            return;
        }
        let fields = format!("{OF}{}{NUMBER}{number:016x}", self.database);
        message.extend_from_slice(fields.as_bytes());
        let mac = self.mac.clone().chain_update(&*message).finalize().into_bytes();
        let mac = URL_SAFE_NO_PAD.encode(mac.get(..MAC_LEN).unwrap_or_default());
        for part in [MAC, &mac, END] {
            message.extend_from_slice(part.as_bytes());
        }
    }

    /// The sender's number of a message with this cluster's seal.
    pub(super) fn open(&self, message: &[u8]) -> Result<u64, Stranger> {
        let seal = Seal::of(message).ok_or(Stranger::Unsealed)?;
        if seal.database != self.database.as_bytes() {
            return Err(Stranger::OtherDatabase);
        }
        let mac = URL_SAFE_NO_PAD.decode(seal.mac).map_err(|_| Stranger::Forged)?;
        let right = self.mac.clone().chain_update(seal.signed).verify_truncated_left(&mac);
        match right {
            Ok(()) if mac.len() == MAC_LEN => Ok(seal.number),
            Ok(()) | Err(_) => Err(Stranger::Forged),
        }
    }
}

/// The fields of a seal.
struct Seal<'a> {
    signed: &'a [u8],
    database: &'a [u8],
    number: u64,
    mac: &'a [u8],
}

impl<'a> Seal<'a> {
    /// From the end, since every part has its length.
    fn of(message: &'a [u8]) -> Option<Self> {
        let rest = message.strip_suffix(END.as_bytes())?;
        let (rest, mac) = rest.split_at_checked(rest.len().checked_sub(MAC_TEXT)?)?;
        let signed = rest.strip_suffix(MAC.as_bytes())?;
        let (rest, number) = signed.split_at_checked(signed.len().checked_sub(DIGITS)?)?;
        let rest = rest.strip_suffix(NUMBER.as_bytes())?;
        let (rest, database) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
        rest.strip_suffix(OF.as_bytes())?;
        let number = u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok()?;
        Some(Self { signed, database, number, mac })
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"1\na/1\n{\"kind\":\"lost\"}";

    fn sealed(cluster: &Cluster, number: u64) -> Vec<u8> {
        let mut message = MESSAGE.to_vec();
        cluster.seal(&mut message, number);
        message
    }

    #[test]
    fn a_seal_opens_for_its_cluster_alone() {
        let own = Cluster::new("e", "7:16384", "secret");
        for number in [0, 1, u64::MAX] {
            assert_eq!(own.open(&sealed(&own, number)), Ok(number));
        }
        for (other, why) in [
            (Cluster::new("e", "7:16385", "secret"), Stranger::OtherDatabase),
            (Cluster::new("e", "7:16384", "other"), Stranger::Forged),
            (Cluster::new("f", "7:16384", "secret"), Stranger::Forged),
        ] {
            assert_eq!(other.open(&sealed(&own, 1)), Err(why));
        }
        assert_eq!(own.open(MESSAGE), Err(Stranger::Unsealed));
    }

    #[test]
    fn every_changed_byte_breaks_it() {
        let own = Cluster::new("e", "7:16384", "secret");
        let whole = sealed(&own, 9);
        for at in 0..whole.len() {
            for change in [1_u8, 0x20, 0x80] {
                let mut other = whole.clone();
                other[at] ^= change;
                assert!(own.open(&other).is_err(), "byte {at}");
            }
            assert!(own.open(&whole[..at]).is_err() && own.open(&whole[at + 1..]).is_err());
        }
    }

    #[test]
    fn a_sealed_message_is_the_same_json_with_three_more_fields() {
        let whole = String::from_utf8(sealed(&Cluster::new("e", "d", "s"), 255)).unwrap();
        let json = whole.strip_prefix("1\na/1\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!((&json["kind"], &json["n"]), (&"lost".into(), &"00000000000000ff".into()));
        assert_eq!(json.as_object().unwrap().len(), 4);
    }
}
