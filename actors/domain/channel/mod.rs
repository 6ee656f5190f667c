//! The channels: all that the hub knows of each, in one table ([`SPECS`]).
//!
//! A new channel is a variant of [`Channel`] and an entry of [`SPECS`], with its adapter. The
//! store, the REST interface, the command line, the metrics and the OpenAPI document derive their
//! lists from the table.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::form::check_phone;
pub use self::form::{EMAIL_BYTES_MAX, check_email};

mod form;

/// A channel: an external one, or `System`, the inbox itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// The inbox: sockets, streams and REST.
    System,
    /// SMTP.
    Email,
    /// WhatsApp's Cloud API.
    WhatsApp,
    /// Text messages.
    Sms,
    /// Web push.
    Push,
    /// HTTP calls to a user's own server.
    Webhook,
}

/// An entry of the table of channels.
#[derive(Debug)]
pub struct ChannelSpec {
    /// The channel.
    pub channel: Channel,
    /// Its name in rows, in JSON and as a label of metrics; it never changes.
    pub name: &'static str,
    /// The name that users see.
    pub label: &'static str,
    /// The kind of its addresses.
    pub address: AddressKind,
    /// Its templates; `None` where messages go out as they were sent.
    pub template: Option<TemplateSpec>,
    /// One host may have this fraction (1/n) of the attempts in progress; 1 on a channel with one
    /// provider, where no other host could be delayed.
    pub host_share: u32,
}

/// The kind of a channel's addresses.
#[derive(Debug)]
pub enum AddressKind {
    /// Nothing: the inbox itself.
    Inbox,
    /// One address at most, a field of the account.
    Account(AddressField),
    /// The browsers that the user has subscribed.
    Browsers,
    /// The webhooks of the user and of projects.
    Webhooks,
}

/// The field of an account that contains its address on a channel.
#[derive(Debug)]
pub struct AddressField {
    /// Its key in JSON.
    pub name: &'static str,
    /// Its flag of `bellpull user create`.
    pub flag: &'static str,
    /// The placeholder of the value in `--help`.
    pub value_name: &'static str,
    /// The form of an address, for `--help` and the OpenAPI document.
    pub help: &'static str,
    /// The longest address, in characters.
    pub chars_max: usize,
    /// Whether an address that is not empty is valid; if not, what is wrong, as a text for users.
    pub check: fn(&str) -> Result<(), &'static str>,
}

/// The templates of a channel.
#[derive(Debug)]
pub struct TemplateSpec {
    /// The parts: `text`, and before it `subject`, and after it `html`, where it has them.
    pub parts: &'static [&'static str],
    /// Whether an admin's template must name a subject; the default is the title.
    pub is_subject_required: bool,
    /// The default text.
    pub text: &'static str,
}

impl TemplateSpec {
    /// Whether its templates have a subject.
    #[must_use]
    pub fn has_subject(&self) -> bool {
        self.parts.contains(&"subject")
    }
}

/// All channels, in the order in which they are shown and of [`Channel`].
pub const SPECS: [ChannelSpec; 6] = [
    ChannelSpec {
        channel: Channel::System,
        name: "SYSTEM",
        label: "System Alert",
        address: AddressKind::Inbox,
        template: None,
        host_share: 1,
    },
    ChannelSpec {
        channel: Channel::Email,
        name: "EMAIL",
        label: "Email",
        address: AddressKind::Account(AddressField {
            name: "email",
            flag: "email",
            value_name: "EMAIL",
            help: "Unique",
            chars_max: EMAIL_BYTES_MAX,
            check: check_email,
        }),
        template: Some(TemplateSpec {
            parts: &["subject", "text", "html"],
            is_subject_required: true,
            text: "Hello {{ name }},\n\n{{ body }}\n\
                {% if link %}\n{{ link }}\n{% endif %}\
                {% if unsubscribe %}\n-- \nNo more e-mails of this kind: {{ unsubscribe }}\n\
                {% endif %}",
        }),
        host_share: 1,
    },
    ChannelSpec {
        channel: Channel::WhatsApp,
        name: "WHATSAPP",
        label: "WhatsApp",
        address: AddressKind::Account(phone_field("whatsapp_number", "whatsapp-number")),
        template: Some(TemplateSpec {
            parts: &["subject", "text"],
            is_subject_required: false,
            text: "*{{ title }}*\n{{ body }}{% if link %}\n{{ link }}{% endif %}",
        }),
        host_share: 1,
    },
    ChannelSpec {
        channel: Channel::Sms,
        name: "SMS",
        label: "SMS",
        address: AddressKind::Account(phone_field("phone", "phone")),
        template: Some(TemplateSpec {
            parts: &["text"],
            is_subject_required: false,
            text: "{{ title }}: {{ body }}{% if link %} {{ link }}{% endif %}",
        }),
        host_share: 1,
    },
    ChannelSpec {
        channel: Channel::Push,
        name: "PUSH",
        label: "Push",
        address: AddressKind::Browsers,
        template: Some(TemplateSpec {
            parts: &["subject", "text"],
            is_subject_required: true,
            text: "{{ body }}",
        }),
        // There are few push services, and most browsers share one.
        host_share: 2,
    },
    ChannelSpec {
        channel: Channel::Webhook,
        name: "WEBHOOK",
        label: "Webhook",
        address: AddressKind::Webhooks,
        template: None,
        // There are many hosts, and each may hang.
        host_share: 4,
    },
];

/// The names of the channels that need deliveries: the labels of their metrics.
pub const OUTGOING_NAMES: [&str; SPECS.len() - 1] = {
    let mut names = [""; SPECS.len() - 1];
    let mut at = 0;
    while at < names.len() {
        names[at] = SPECS[at + 1].name;
        at += 1;
    }
    names
};

// The table is in the order of the variants, the inbox first, and a set has a bit for each.
const _: () = {
    let mut at = 0;
    while at < SPECS.len() {
        assert!(SPECS[at].channel as usize == at);
        at += 1;
    }
    assert!(Channel::System as usize == 0 && SPECS.len() <= u16::BITS as usize);
};

const fn phone_field(name: &'static str, flag: &'static str) -> AddressField {
    AddressField {
        name,
        flag,
        value_name: "NUMBER",
        help: "International: + and 7 to 15 digits",
        // A plus sign and 15 digits (E.164).
        chars_max: 16,
        check: check_phone,
    }
}

impl Channel {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; SPECS.len()] = {
        let mut all = [Self::System; SPECS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = SPECS[at].channel;
            at += 1;
        }
        all
    };

    /// Its entry in the table.
    #[must_use]
    pub fn spec(self) -> &'static ChannelSpec {
        static TABLE: [ChannelSpec; SPECS.len()] = SPECS;
        &TABLE[self as usize]
    }

    /// The channel's name in rows and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.spec().name
    }

    /// The channel's label.
    #[must_use]
    pub fn display(self) -> &'static str {
        self.spec().label
    }

    /// The channel with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == name)
    }

    /// The field of accounts with the address, where an account has one at most.
    #[must_use]
    pub fn address_field(self) -> Option<&'static AddressField> {
        match &self.spec().address {
            AddressKind::Account(field) => Some(field),
            AddressKind::Inbox | AddressKind::Browsers | AddressKind::Webhooks => None,
        }
    }

    /// The channels with an address in the account, each with its field.
    pub fn address_fields() -> impl Iterator<Item = (Self, &'static AddressField)> {
        Self::ALL.into_iter().filter_map(|channel| Some((channel, channel.address_field()?)))
    }

    /// The channels with templates.
    pub fn templated() -> impl Iterator<Item = (Self, &'static TemplateSpec)> {
        let of = |channel: Self| Some((channel, channel.spec().template.as_ref()?));
        Self::ALL.into_iter().filter_map(of)
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Channel;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a channel's name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Channel, E> {
                let unknown = || E::custom(format_args!("unknown channel {name:?}"));
                Channel::from_name(name).ok_or_else(unknown)
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// A set of channels, one bit each; in memory only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Channels(u16);

impl Channels {
    /// No channel.
    pub const NONE: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub const fn of(channels: &[Channel]) -> Self {
        let (mut bits, mut rest) = (0, channels);
        while let [channel, others @ ..] = rest {
            bits |= 1 << *channel as u16;
            rest = others;
        }
        Self(bits)
    }

    /// Whether the channel is in the set.
    #[must_use]
    pub fn contains(self, channel: Channel) -> bool {
        self.0 & (1 << channel as u16) != 0
    }

    /// With one more.
    #[must_use]
    pub fn with(self, channel: Channel) -> Self {
        Self(self.0 | 1 << channel as u16)
    }

    /// Those in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that need a delivery row: all but the inbox itself.
    pub fn outgoing(self) -> impl Iterator<Item = Channel> {
        Channel::ALL.into_iter().filter(move |&c| c != Channel::System && self.contains(c))
    }
}

impl FromIterator<Channel> for Channels {
    fn from_iter<I: IntoIterator<Item = Channel>>(channels: I) -> Self {
        channels.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_those_of_the_rows_and_each_is_one_channels() {
        let names = Channel::ALL.map(Channel::as_str);
        assert_eq!(names[..6], ["SYSTEM", "EMAIL", "WHATSAPP", "SMS", "PUSH", "WEBHOOK"]);
        assert_eq!(names[1..], OUTGOING_NAMES);
        assert_eq!(BTreeSet::from(names).len(), names.len());
        for channel in Channel::ALL {
            let json = serde_json::to_string(&channel).unwrap();
            assert_eq!(json, format!("\"{}\"", channel.as_str()));
            assert_eq!(serde_json::from_str::<Channel>(&json).unwrap(), channel);
            assert_eq!(
                Channels::of(&[channel]).with(Channel::System).outgoing().count(),
                usize::from(channel != Channel::System)
            );
        }
        assert!(serde_json::from_str::<Channel>("\"email\"").is_err());
    }

    #[test]
    fn the_addresses_of_an_account_have_the_keys_of_the_interface() {
        let fields: Vec<&str> = Channel::address_fields().map(|(_, field)| field.name).collect();
        assert_eq!(fields[..3], ["email", "whatsapp_number", "phone"]);
        assert_eq!(fields.iter().collect::<BTreeSet<_>>().len(), fields.len());
    }

    #[test]
    fn a_template_has_a_text_and_a_required_subject_is_a_part() {
        for (channel, template) in Channel::templated() {
            assert!(template.parts.contains(&"text"), "{channel:?}");
            assert!(template.has_subject() || !template.is_subject_required, "{channel:?}");
        }
    }
}
