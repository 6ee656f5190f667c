//! A user's addresses: at most one on each channel whose address is a field of the account.

use std::collections::BTreeMap;
use std::fmt;

use compact_str::CompactString;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::channel::{Channel, Channels};

/// The addresses of an account. None is empty.
///
/// A slice: there is one for each connected user, and most have one address or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(Box<[(Channel, CompactString)]>);

impl Addresses {
    /// These; empty ones are left out, and the last one of a channel counts.
    #[must_use]
    pub fn of<A: Into<CompactString>>(all: impl IntoIterator<Item = (Channel, A)>) -> Self {
        let all: BTreeMap<Channel, CompactString> =
            all.into_iter().map(|(channel, address)| (channel, address.into())).collect();
        Self(all.into_iter().filter(|(_, address)| !address.is_empty()).collect())
    }

    /// An e-mail address alone; none if it is empty.
    #[must_use]
    pub fn email(address: impl Into<CompactString>) -> Self {
        Self::of([(Channel::Email, address)])
    }

    /// The address on a channel; empty for none.
    #[must_use]
    pub fn get(&self, channel: Channel) -> &str {
        let found = self.0.iter().find(|(of, _)| *of == channel);
        found.map_or("", |(_, address)| address.as_str())
    }

    /// The channels with an address.
    #[must_use]
    pub fn channels(&self) -> Channels {
        self.0.iter().map(|(channel, _)| *channel).collect()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Channel, &str)> {
        self.0.iter().map(|(channel, address)| (*channel, address.as_str()))
    }

    /// With these changes.
    #[must_use]
    pub fn with(&self, changes: &AddressChanges) -> Self {
        let kept = self.0.iter().map(|(channel, address)| (*channel, address.clone()));
        let new = changes.0.iter().map(|(channel, address)| (*channel, address.as_str().into()));
        Self::of(kept.chain(new))
    }
}

impl<'de> Deserialize<'de> for Addresses {
    /// From an object with the channels' names as keys. Names of channels that only a later
    /// version of the hub has are left out.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Addresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("addresses by channel")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Addresses, M::Error> {
                let mut all = Vec::new();
                while let Some((name, address)) = map.next_entry::<CompactString, _>()? {
                    all.extend(Channel::from_name(&name).map(|channel| (channel, address)));
                }
                all.sort_unstable_by_key(|(channel, _)| *channel);
                Ok(Addresses(all.into()))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// New addresses by channel; an empty one removes the address. What is not there stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressChanges(BTreeMap<Channel, String>);

impl AddressChanges {
    /// A new e-mail address, and no other change.
    #[must_use]
    pub fn email(address: impl Into<String>) -> Self {
        Self(BTreeMap::from([(Channel::Email, address.into())]))
    }

    /// Sets the new address on a channel.
    pub fn set(&mut self, channel: Channel, address: impl Into<String>) {
        self.0.insert(channel, address.into());
    }

    /// The new address on a channel, if it changes.
    #[must_use]
    pub fn get(&self, channel: Channel) -> Option<&str> {
        self.0.get(&channel).map(String::as_str)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Channel, &str)> {
        self.0.iter().map(|(channel, address)| (*channel, address.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_replace_and_remove_addresses() {
        let both =
            Addresses::of([(Channel::Sms, "+4915112345678"), (Channel::Email, "a@b.example")]);
        assert_eq!(both.channels(), Channels::of(&[Channel::Email, Channel::Sms]));
        let mut changes = AddressChanges::email("");
        changes.set(Channel::Sms, "+4915112345679");
        let after = both.with(&changes);
        assert_eq!(after.iter().collect::<Vec<_>>(), [(Channel::Sms, "+4915112345679")]);
        assert_eq!((after.get(Channel::Email), both.get(Channel::Email)), ("", "a@b.example"));
        assert_eq!(Addresses::email(""), Addresses::default());
    }

    #[test]
    fn rows_are_read_as_an_object_by_channel() {
        let text = r#"{"SMS":"+4915112345678","EMAIL":"a@b.example"}"#;
        let read: Addresses = serde_json::from_str(text).unwrap();
        let of = [(Channel::Email, "a@b.example"), (Channel::Sms, "+4915112345678")];
        assert_eq!(read, Addresses::of(of));
        assert_eq!(serde_json::from_str::<Addresses>("{}").unwrap(), Addresses::default());
        let later = serde_json::from_str::<Addresses>(r#"{"PIGEON":"x","EMAIL":"a@b.example"}"#);
        assert_eq!(later.unwrap(), Addresses::email("a@b.example"));
    }
}
