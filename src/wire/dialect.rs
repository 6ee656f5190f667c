//! The table of dialects: the macro that makes [`Dialect`] of it, and what the edges ask of one.

use super::Dialect;
use super::format::Format;

/// Makes the enum, its lists and the two functions that branch by dialect of a table with one line
/// per dialect: a variant and the type that implements [`Format`].
macro_rules! dialects {
    ($($(#[$doc:meta])* $variant:ident => $format:ty,)+) => {
        /// A family of clients, each with frames of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Dialect {
            $($(#[$doc])* $variant,)+
        }

        $(impl format::Listed for $format {
            const DIALECT: Dialect = Dialect::$variant;
        })+

        impl Dialect {
            const COUNT: usize = [$(Self::$variant),+].len();

            /// All of them.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant),+];

            /// Their names, in the same order.
            pub const NAMES: [&'static str; Self::COUNT] =
                [$(<$format as format::Format>::NAME),+];

            fn profile(self) -> &'static dialect::Profile {
                match self {
                    $(Self::$variant => const { &dialect::Profile::of::<$format>() },)+
                }
            }
        }

        /// Parses a client's text message.
        ///
        /// # Errors
        /// [`BadFrame`]: the error for the client, whose session stays open.
        pub fn decode(
            dialect: Dialect,
            endpoint: Endpoint,
            text: &str,
        ) -> Result<Heard, BadFrame> {
            match dialect {
                $(Dialect::$variant => <$format as format::Format>::decode(endpoint, text),)+
            }
        }

        /// Appends the frame's texts to `out`: mostly one, none where the dialect has no frame for
        /// it. `now` is called where the text depends on the time.
        pub fn encode(
            dialect: Dialect,
            frame: Outgoing<'_>,
            now: impl FnOnce() -> Timestamp,
            out: &mut impl Texts,
        ) {
            match dialect {
                $(Dialect::$variant => format::encode::<$format>(frame, now, out),)+
            }
        }
    };
}

/// The properties of a dialect that the edges need: the constants of its [`Format`].
#[derive(Debug)]
pub(super) struct Profile {
    name: &'static str,
    document: &'static str,
    follows_changes: bool,
    rejects_by_close_code: bool,
}

impl Profile {
    pub(super) const fn of<F: Format>() -> Self {
        Self {
            name: F::NAME,
            document: F::DOCUMENT,
            follows_changes: F::FOLLOWS_CHANGES,
            rejects_by_close_code: F::REJECTS_BY_CLOSE_CODE,
        }
    }
}

impl Dialect {
    /// The dialect's name in URLs, subprotocols and settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.profile().name
    }

    /// The dialect of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }

    /// Whether its sessions follow the inbox's changes, or are sent new entries.
    pub fn follows_changes(self) -> bool {
        self.profile().follows_changes
    }

    /// Whether a rejected client gets an open socket with a close code instead of an HTTP status.
    pub fn rejects_by_close_code(self) -> bool {
        self.profile().rejects_by_close_code
    }

    /// Its part of the AsyncAPI document.
    pub(super) fn document(self) -> &'static str {
        self.profile().document
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
