//! What an operator has the cache forget.

use strait_wire::Name;

use super::Entry;

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flush {
    /// Everything.
    All,
    /// Answers to questions for this name, or that hold records of it.
    Name(Name),
    /// Answers to questions for this name or one below it, or that hold records of such.
    Zone(Name),
}

impl Flush {
    /// Whether the entry is to be forgotten.
    pub(super) fn is_meant(&self, entry: &Entry) -> bool {
        if *self == Self::All {
            return true;
        }
        let told = |name: &Name| match self {
            Self::All => true,
            Self::Name(meant) => name == meant,
            Self::Zone(meant) => name.is_within(meant),
        };
        // Most entries speak of the name asked for only. What cannot be read is of no use to anybody.
        let question = entry.answer.question_wire();
        let asked = question.split_last_chunk::<4>().and_then(|(name, _)| Name::from_wire(name).ok());
        asked.is_none_or(|name| told(&name))
            || entry.via.iter().any(|(name, _)| told(name))
            || entry.answer.tells_of_others()
                && entry.answer.to_message().map_or(true, |message| {
                    message.answers.iter().chain(&message.additionals).any(|record| told(&record.name))
                })
    }
}
