//! The two zones of the set: what others are told, and what our own are.

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use strait_resolve::{Ask, BoxFuture, Source, SourceError};
use strait_wire::{Answer, AnswerKind, Name, NameError, Rcode, RecordType};

use super::ask::ask_members;
use super::local::{LocalPart, Said};
use super::lookup::Shown;
use super::member::{EXPORTS, Mark, Members};
use super::merge::{Merge, denial};
use crate::lookup::Relative;
use crate::{Catalog, Label};

/// The zone of the set (KEP-1645, DNS specification 2.1: it is this and no other).
const ZONE: [&[u8]; 2] = [b"clusterset", b"local"];

/// Which cluster of the set this is.
#[derive(Debug, Clone)]
pub struct ClusterSetSettings {
    /// The suffix under which others know it.
    pub suffix: Name,
    /// What it is called in names of endpoints (`<clusterid>`).
    pub cluster: Label,
}

/// What this cluster exports, under `clusterset.<suffix>`: nothing of it is another's, whoever asks.
pub struct ExportZone(LocalPart);

/// Every service of the set, under `clusterset.local`: for agents of this cluster.
pub struct ClusterSetZone {
    local: LocalPart,
    members: Arc<dyn Members>,
}

impl ExportZone {
    /// What `catalog` exports. An error: nothing fits below that suffix.
    pub fn new(catalog: Arc<ArcSwap<Catalog>>, settings: &ClusterSetSettings) -> Result<Self, NameError> {
        let apex = settings.suffix.child(EXPORTS)?;
        LocalPart::new(catalog, &apex, settings.cluster.clone(), Shown::Exports).map(Self)
    }

    /// The zone.
    pub fn apex(&self) -> &Name {
        &self.0.authority.apex
    }

    fn look_up(&self, ask: &Ask) -> Result<Answer, SourceError> {
        Ok(match self.0.say(&ask.question)? {
            Said::Whole(answer) => answer,
            Said::Part(answer) => Mark::Headless.put(answer),
            Said::Unready(answer) => Mark::Unready.put(answer),
            Said::Nothing => denial(&self.0.authority, &ask.question, Rcode::NXDOMAIN),
        })
    }
}

impl Source for ExportZone {
    fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        self.0.ready(lower, rtype)
    }

    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.look_up(ask).ok()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(std::future::ready(self.look_up(ask)))
    }
}

impl ClusterSetZone {
    /// Every service of the set, of which `catalog` has this cluster's part.
    pub fn new(
        catalog: Arc<ArcSwap<Catalog>>,
        settings: &ClusterSetSettings,
        members: Arc<dyn Members>,
    ) -> Result<Self, NameError> {
        let apex = Name::from_labels(ZONE)?;
        let local = LocalPart::new(catalog, &apex, settings.cluster.clone(), Shown::All)?;
        Ok(Self { local, members })
    }

    /// The zone.
    pub fn apex(&self) -> &Name {
        &self.local.authority.apex
    }

    async fn look_up(&self, ask: &Ask) -> Result<Answer, SourceError> {
        let question = &ask.question;
        let local = match self.local.say(question)? {
            Said::Whole(answer) => return Ok(answer),
            other => other,
        };
        let members = self.members.members();
        let is_alone = members.is_empty();
        let mut merge = Merge::new(&self.local.authority, question, local);
        match ask.path.is_empty() {
            true => ask_members(members, ask, self.apex(), &mut merge).await,
            // What has passed another cluster is not sent on to a third.
            false => merge.fail(SourceError::Loop(format!("this question has passed {} and is not sent on", ask.path))),
        }
        let answer = match merge.finish() {
            // There is nobody who could know more.
            Err(SourceError::Unreachable(_)) if is_alone => {
                return Ok(denial(&self.local.authority, question, Rcode::NXDOMAIN));
            }
            other => other?,
        };
        match self.is_reserved(&question.name) && answer.kind() == AnswerKind::Positive {
            // Nobody is to be led to the endpoints of one cluster (2.3.4, 2.4.4), whatever a peer says.
            true => Ok(denial(&self.local.authority, question, Rcode::NOERROR)),
            false => Ok(answer),
        }
    }

    /// Whether a name is `<clusterid>.<service>.<ns>.svc.<zone>`, which has no records.
    fn is_reserved(&self, name: &Name) -> bool {
        const LABELS: usize = 4;
        let lower = name.to_lowercase();
        let relative = Relative::new(lower.as_wire(), self.apex().as_wire());
        relative.is_some_and(|relative| relative.count() == LABELS && !relative.label(0).starts_with(b"_"))
    }
}

impl Source for ClusterSetZone {
    fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        self.local.ready(lower, rtype)
    }

    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        match self.local.say(&ask.question).ok()? {
            Said::Whole(answer) => Some(answer),
            Said::Part(_) | Said::Unready(_) | Said::Nothing => None,
        }
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(self.look_up(ask))
    }
}
