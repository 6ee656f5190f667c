//! The flags for a new account's addresses: one for each channel whose address is a field of the
//! account, from the table of channels.

use bellpull_domain::address::{AddressChanges, Addresses};
use bellpull_domain::channel::{AddressField, Channel};
use clap::error::Error;
use clap::{Arg, ArgMatches, Command, FromArgMatches};

use super::CliError;

/// The addresses that were given, not yet validated.
#[derive(Debug, Default)]
pub(super) struct AddressFlags(Vec<(Channel, String)>);

impl AddressFlags {
    /// The addresses, if all are valid.
    pub(super) fn checked(&self) -> Result<Addresses, CliError> {
        for (channel, address) in self.0.iter().filter(|(_, address)| !address.is_empty()) {
            if let Some(field) = channel.address_field() {
                let wrong = |why| CliError::wrong(format!("--{}: {why}", field.flag));
                (field.check)(address).map_err(wrong)?;
            }
        }
        Ok(Addresses::of(self.0.iter().cloned()))
    }
}

impl AddressFlags {
    /// The addresses that were given as changes, if all are valid; `None` if none was given.
    pub(super) fn changes(&self) -> Result<Option<AddressChanges>, CliError> {
        self.checked()?;
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut changes = AddressChanges::default();
        for (channel, address) in &self.0 {
            changes.set(*channel, address.clone());
        }
        Ok(Some(changes))
    }
}

impl clap::Args for AddressFlags {
    fn augment_args(command: Command) -> Command {
        let flag = |command: Command, (_, field): (Channel, &'static AddressField)| {
            let flag = Arg::new(field.flag).long(field.flag).value_name(field.value_name);
            command.arg(flag.help(field.help))
        };
        Channel::address_fields().fold(command, flag)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for AddressFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = Channel::address_fields().filter_map(|(channel, field)| {
            Some((channel, matches.get_one::<String>(field.flag)?.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
