//! Mapping between a cluster's home zone and its suffix, in every name of every section.
//!
//! Outward, `web.shop.svc.cluster.local` becomes `web.shop.svc.cluster-b.example.com`; inward, the
//! reverse. The two are inverse to each other: a message that outward would hide a name already
//! under the suffix is an error, because the way back could not tell the two apart.

use crate::{Message, Name, Record, RecordType, option};

/// A home zone (`cluster.local`) and the suffix that stands for it outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneMapping {
    home: Name,
    suffix: Name,
    /// In wire form and in lower case.
    suffix_lower: Box<[u8]>,
}

/// Why a message cannot be mapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// A mapped name would be too long.
    #[error("{name} would be longer than 255 octets under the other zone")]
    TooLong {
        /// The name before mapping.
        name: Name,
    },
    /// A name stands already under the zone that is mapped to.
    #[error("{name} is already under {zone}, so mapping back could not be exact")]
    Ambiguous {
        /// The name before mapping.
        name: Name,
        /// The zone that is mapped to.
        zone: Name,
    },
    /// Record data holds the home zone where no name is known to be.
    #[error("the {rtype} record of {name} holds {zone} where no name is known to be, so it cannot be mapped")]
    Hidden {
        /// The owner of the record, before mapping.
        name: Name,
        /// The type.
        rtype: RecordType,
        /// The home zone.
        zone: Name,
    },
}

/// Two zones of which one lies within the other cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} and {1} overlap: neither may lie within the other")]
pub struct Overlap(pub Name, pub Name);

impl ZoneMapping {
    /// A mapping between `home` and `suffix`, of which neither may lie within the other.
    pub fn new(home: Name, suffix: Name) -> Result<Self, Overlap> {
        match home.is_within(&suffix) || suffix.is_within(&home) {
            true => Err(Overlap(home, suffix)),
            false => Ok(Self { suffix_lower: suffix.as_wire().to_ascii_lowercase().into(), home, suffix }),
        }
    }

    /// The zone at home.
    pub fn home(&self) -> &Name {
        &self.home
    }

    /// The suffix outside.
    pub fn suffix(&self) -> &Name {
        &self.suffix
    }

    /// A name of the suffix as it is called at home.
    pub fn name_inward(&self, name: &Name) -> Result<Name, MappingError> {
        map_name(name, &self.suffix, &self.home)
    }

    /// The same of a name in wire form and in lower case, written into `inward`; none when it is not under the suffix,
    /// or too long at home.
    pub fn wire_inward<'b>(&self, lower: &[u8], inward: &'b mut [u8; Name::MAX_LEN]) -> Option<&'b [u8]> {
        let (suffix, home) = (&self.suffix_lower, self.home.as_wire());
        let start = lower.len().checked_sub(suffix.len())?;
        let is_under = lower.ends_with(suffix) && is_label_start(lower, start);
        let len = start + home.len();
        let name = inward.get_mut(..len).filter(|_| is_under)?;
        name[..start].copy_from_slice(&lower[..start]);
        name[start..].copy_from_slice(home);
        name[start..].make_ascii_lowercase();
        Some(name)
    }

    /// A name of the home zone as it is called outside.
    pub fn name_outward(&self, name: &Name) -> Result<Name, MappingError> {
        map_name(name, &self.home, &self.suffix)
    }

    /// A whole message from the suffix to the home zone.
    pub fn inward(&self, message: &Message) -> Result<Message, MappingError> {
        map_message(message, &self.suffix, &self.home)
    }

    /// A whole message from the home zone to the suffix.
    ///
    /// The text of an extended error may speak of names at home; only its code goes out.
    pub fn outward(&self, message: &Message) -> Result<Message, MappingError> {
        if let Some(Record { name, rtype, .. }) = message.records().find(|r| r.rdata.hides(&self.home)) {
            return Err(MappingError::Hidden { name: name.clone(), rtype: *rtype, zone: self.home.clone() });
        }
        let mut mapped = map_message(message, &self.home, &self.suffix)?;
        let options = mapped.edns.iter_mut().flat_map(|edns| &mut edns.options);
        for ede in options.filter(|o| o.code == option::EDE) {
            ede.data.truncate(2);
        }
        Ok(mapped)
    }
}

/// Whether a label of the name begins there, or the name ends.
fn is_label_start(name: &[u8], start: usize) -> bool {
    let mut at = 0;
    while at < start {
        at += 1 + usize::from(name[at]);
    }
    at == start
}

fn map_name(name: &Name, from: &Name, to: &Name) -> Result<Name, MappingError> {
    match name.replace_suffix(from, to) {
        Some(mapped) => mapped.map_err(|_| MappingError::TooLong { name: name.clone() }),
        None if name.is_within(to) => Err(MappingError::Ambiguous { name: name.clone(), zone: to.clone() }),
        None => Ok(name.clone()),
    }
}

fn map_message(message: &Message, from: &Name, to: &Name) -> Result<Message, MappingError> {
    let map = |name: &Name| map_name(name, from, to);
    let section = |records: &[Record]| -> Result<Vec<Record>, MappingError> {
        records
            .iter()
            .map(|r| Ok(Record { name: map(&r.name)?, rdata: r.rdata.map_names(map)?, ..r.clone() }))
            .collect()
    };
    let mut mapped = message.clone();
    for question in &mut mapped.questions {
        question.name = map(&question.name)?;
    }
    mapped.answers = section(&message.answers)?;
    mapped.authorities = section(&message.authorities)?;
    mapped.additionals = section(&message.additionals)?;
    Ok(mapped)
}

#[cfg(test)]
mod tests;
