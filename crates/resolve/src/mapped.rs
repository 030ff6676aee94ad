//! The stage that maps names: a source of the home zone, asked and answering under the suffix.

use std::borrow::Cow;
use std::sync::Arc;

use strait_wire::{Answer, AnswerKind, ClusterPath, Ede, Flags, Name, Question, Rcode, RecordType, ZoneMapping};

use crate::{Ask, BoxFuture, Source, SourceError};

/// Puts a cluster's home zone (`cluster.local`) before the world under its suffix.
///
/// The question is mapped inward, the whole answer outward. An answer that cannot be mapped
/// exactly is an error, never a half-mapped answer: no name of the home zone leaves.
pub struct MappedSource {
    mapping: ZoneMapping,
    home: Arc<dyn Source>,
}

impl MappedSource {
    /// Maps `home`, which answers for the mapping's home zone.
    pub fn new(mapping: ZoneMapping, home: Arc<dyn Source>) -> Self {
        Self { mapping, home }
    }

    fn inward(&self, ask: &Ask) -> Result<Ask, SourceError> {
        let name = self.mapping.name_inward(&ask.question.name).map_err(unmappable)?;
        Ok(Ask { question: Question { name, ..ask.question.clone() }, ..ask.clone() })
    }

    /// The answer as it is given to the question `ask`, which is the one that it answers at home.
    fn outward(&self, answer: &Answer, ask: &Ask) -> Result<Answer, SourceError> {
        if let Some(ordinary) = answer.renamed(&ask.question) {
            return Ok(ordinary);
        }
        let mut message = answer.to_message().map_err(unmappable)?;
        // The SOA of a zone above the home zone has no name outside.
        message.authorities.retain(|record| record.name.is_within(self.mapping.home()));
        let mut mapped = self.mapping.outward(&message).map_err(unmappable)?;
        // Whatever server stands behind: under the suffix it is this cluster that has authority (RFC 1035 4.1.1).
        let says_what_is = matches!(mapped.rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
        mapped.flags = mapped.flags.with(Flags::AA, says_what_is);
        Answer::new(&mapped).map_err(unmappable)
    }
}

impl Source for MappedSource {
    /// What holds no name but the one asked for is the same at home and outside.
    fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
        let mut buffer = [0; Name::MAX_LEN];
        let inward = self.mapping.wire_inward(lower, &mut buffer)?;
        self.home.ready(inward, rtype).filter(|answer| answer.names_no_other())
    }

    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        let answer = self.home.answer_now(&self.inward(ask).ok()?)?;
        self.outward(&answer, ask).ok()
    }

    fn capacity(&self) -> Option<usize> {
        self.home.capacity()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(async move {
            let inward = self.inward(ask)?;
            let answer = self.home.answer(&inward).await.map_err(|error| without_details(&error))?;
            self.outward(&answer, ask).map(|answer| with_path(answer, &ask.path))
        })
    }
}

/// A refusal behind the home zone tells which clusters the question has passed: whoever forwards in a circle reads
/// it there. The clusters are those that the asking one has told of; a failure of a question with a path is not kept.
fn with_path(answer: Answer, path: &ClusterPath) -> Answer {
    let refused = answer.kind() == AnswerKind::Failure && answer.ede().is_some_and(|ede| ede.code == Ede::PROHIBITED);
    if !refused || path.is_empty() {
        return answer;
    }
    answer.with_ede(Ede::new(Ede::PROHIBITED, format!("refused behind this cluster; the question has passed {path}")))
}

/// What failed, without names and addresses of the home cluster: they are nobody else's business. The gateway's own
/// log and metrics have them.
pub(crate) fn without_details(error: &SourceError) -> SourceError {
    tracing::debug!(%error, "the home zone gave no answer");
    match error {
        SourceError::Unreachable(_) => SourceError::Unreachable("the cluster's own DNS did not answer".to_owned()),
        SourceError::BadAnswer(_) => SourceError::BadAnswer("the cluster's own DNS gave no usable answer".to_owned()),
        SourceError::Overloaded(_) => SourceError::Overloaded("the cluster's own DNS has too much to do".to_owned()),
        SourceError::NotReady(_) => SourceError::NotReady("the cluster's names are not known yet".to_owned()),
        SourceError::Loop(_) => SourceError::Loop("the question has been here before".to_owned()),
        SourceError::BrokenOff | SourceError::Unmappable(_) => error.clone(),
    }
}

fn unmappable(error: impl std::fmt::Display) -> SourceError {
    tracing::debug!(%error, "an answer of the home zone cannot be mapped");
    SourceError::Unmappable("the answer cannot be given exactly under this cluster's suffix".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use strait_wire::{Class, Rdata, Record};

    use super::*;
    use crate::testing::{Scripted, a_record, answer, ask, cname_record, name, soa_record};

    fn mapped(home: Arc<Scripted>) -> MappedSource {
        MappedSource::new(ZoneMapping::new(name("cluster.local"), name("cluster-b.example.com")).unwrap(), home)
    }

    /// A home zone in which one answer lies ready.
    struct Prepared(Answer);

    impl Source for Prepared {
        fn ready(&self, lower: &[u8], rtype: RecordType) -> Option<Cow<'_, Answer>> {
            let asked = lower == name("web.apps.cluster.local").as_wire() && rtype == RecordType::A;
            asked.then_some(Cow::Borrowed(&self.0))
        }

        fn answer<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
            unreachable!("it lies ready")
        }
    }

    #[test]
    fn what_lies_ready_at_home_is_ready_outside_when_it_names_nothing_there() {
        let home = ask("*.apps.cluster.local", "A");
        let address = a_record(&home.question.name, 60, 7);
        let plain = answer(&home, Rcode::NOERROR, vec![address], vec![]).to_message().unwrap();
        let mut with_soa = plain.clone();
        with_soa.authorities.push(soa_record("cluster.local", 60, 60));
        for (message, is_ready) in [(plain, true), (with_soa, false)] {
            let mapping = ZoneMapping::new(name("cluster.local"), name("cluster-b.example.com")).unwrap();
            let source = MappedSource::new(mapping, Arc::new(Prepared(Answer::for_any_name(&message).unwrap())));
            let ready = |asked: &str| source.ready(name(asked).as_wire(), RecordType::A).is_some();
            assert_eq!(ready("web.apps.cluster-b.example.com"), is_ready);
            assert!(!ready("web.apps.cluster.local"), "at home it is called otherwise");
        }
    }

    #[tokio::test]
    async fn the_home_zone_is_asked_and_its_names_come_back_under_the_suffix() {
        let home = Scripted::new(|ask| {
            let target = name("pod-1.db.shop.svc.cluster.local");
            let rdata = Rdata::srv(0, 100, 5432, &target);
            let srv =
                Record { name: ask.question.name.clone(), rtype: RecordType::SRV, class: Class::IN, ttl: 5, rdata };
            let mut message = answer(ask, Rcode::NOERROR, vec![srv], Vec::new()).to_message().unwrap();
            message.additionals.push(a_record(&target, 5, 7));
            Ok(Answer::new(&message).unwrap())
        });
        let source = mapped(Arc::clone(&home));
        let message =
            source.answer(&ask("db.shop.svc.cluster-b.example.com", "SRV")).await.unwrap().to_message().unwrap();

        assert_eq!(home.asked.lock().unwrap()[0].question.name, name("db.shop.svc.cluster.local"));
        assert_eq!(message.questions[0].name, name("db.shop.svc.cluster-b.example.com"));
        assert_eq!(message.answers[0].name, name("db.shop.svc.cluster-b.example.com"));
        let targets: Vec<Name> = message.answers[0].rdata.names().collect();
        assert_eq!(targets, [name("pod-1.db.shop.svc.cluster-b.example.com")]);
        assert_eq!(message.additionals[0].name, targets[0]);
        assert!(message.records().all(|r| !r.name.is_within(&name("cluster.local"))));
        assert!(message.flags.has(Flags::AA), "the cluster has authority for its suffix");
    }

    #[tokio::test]
    async fn rfc2308_3_the_soa_of_a_denial_is_mapped_too() {
        let home = Scripted::local(|ask| {
            Ok(answer(ask, Rcode::NXDOMAIN, Vec::new(), vec![soa_record("cluster.local", 30, 5)]))
        });
        let message =
            mapped(home).answer_now(&ask("no.such.svc.cluster-b.example.com", "A")).unwrap().to_message().unwrap();
        assert_eq!(message.rcode, Rcode::NXDOMAIN);
        assert_eq!(message.authorities[0].name, name("cluster-b.example.com"));
        assert!(message.authorities[0].rdata.names().all(|n| n == name("cluster-b.example.com")));
    }

    #[tokio::test]
    async fn the_soa_of_a_zone_above_the_home_zone_stays_at_home() {
        let home =
            Scripted::local(|ask| Ok(answer(ask, Rcode::NXDOMAIN, Vec::new(), vec![soa_record("local", 30, 5)])));
        let question = ask("no.such.svc.cluster-b.example.com", "A");
        let message = mapped(home).answer_now(&question).unwrap().to_message().unwrap();
        assert_eq!((message.rcode, message.authorities), (Rcode::NXDOMAIN, Vec::new()));
    }

    #[tokio::test]
    async fn an_answer_that_hides_a_home_name_is_an_error() {
        let home = Scripted::new(|ask| {
            let rdata = Rdata::opaque(name("web.cluster.local").as_wire().to_vec());
            let (name, rtype) = (ask.question.name.clone(), ask.question.rtype);
            let record = Record { name, rtype, class: Class::IN, ttl: 5, rdata };
            Ok(answer(ask, Rcode::NOERROR, vec![record], Vec::new()))
        });
        let error = mapped(home).answer(&ask("web.shop.svc.cluster-b.example.com", "TYPE65280")).await.unwrap_err();
        assert!(matches!(error, SourceError::Unmappable(_)), "{error:?}");
        assert_eq!(error.rcode(), Rcode::SERVFAIL);
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_mapped_back_is_an_error() {
        // The target lies under the suffix already: outside it could not be told from a mapped name.
        let home = Scripted::new(|ask| {
            let alias = cname_record(&ask.question.name, 5, "web.shop.svc.cluster-b.example.com");
            Ok(answer(ask, Rcode::NOERROR, vec![alias], Vec::new()))
        });
        let error = mapped(home).answer(&ask("alias.shop.svc.cluster-b.example.com", "A")).await.unwrap_err();
        assert!(matches!(error, SourceError::Unmappable(_)), "{error:?}");
    }

    #[tokio::test]
    async fn what_went_wrong_is_told_without_names_of_the_home_zone() {
        let text = "web.shop.svc.cluster.local: not synced";
        let home = Scripted::new(move |ask| {
            Ok(Answer::failure(ask.question.clone(), Rcode::SERVFAIL, Some(Ede::new(Ede::NOT_READY, text))))
        });
        let answer = mapped(home).answer(&ask("web.shop.svc.cluster-b.example.com", "A")).await.unwrap();
        assert_eq!(answer.ede(), Some(&Ede::new(Ede::NOT_READY, "")));

        let home = Scripted::new(|_| {
            Err(SourceError::Unreachable("no upstream answered: 10.96.0.10:53 timed out".to_owned()))
        });
        let error = mapped(home).answer(&ask("web.shop.svc.cluster-b.example.com", "A")).await.unwrap_err();
        assert_eq!(error.to_string(), "the cluster's own DNS did not answer");
    }

    #[tokio::test]
    async fn a_refusal_names_the_clusters_passed_and_nothing_of_the_home_zone() {
        let home = Scripted::new(|ask| {
            let ede = Ede::new(Ede::PROHIBITED, "web.shop.svc.cluster.local: refused");
            Ok(Answer::failure(ask.question.clone(), Rcode::REFUSED, Some(ede)))
        });
        let source = mapped(home);
        let question = ask("web.shop.svc.cluster-b.example.com", "A");
        let told = async |path: ClusterPath| source.answer(&Ask { path, ..question.clone() }).await.unwrap();
        let passed = told(ClusterPath::default().passing("a.example").unwrap()).await;
        let text = "refused behind this cluster; the question has passed a.example";
        assert_eq!(passed.ede(), Some(&Ede::new(Ede::PROHIBITED, text)));
        assert_eq!(told(ClusterPath::default()).await.ede(), Some(&Ede::new(Ede::PROHIBITED, "")));
    }
}
