//! Reverse zones of a cluster before the world: the question is the same at home, the names it leads to are not.

use std::sync::Arc;

use strait_wire::{Answer, Flags, Message, Rcode, Record, RecordType, ZoneMapping};

use crate::{Ask, BoxFuture, Source, SourceError};

/// Puts the reverse zones of a cluster before the world: PTR records to names of the home zone lead to the same names
/// under the suffix. What leads elsewhere is not this cluster's to tell, and stays at home.
pub struct MappedReverse {
    mapping: ZoneMapping,
    home: Arc<dyn Source>,
}

impl MappedReverse {
    /// Maps what `home` says of addresses.
    pub fn new(mapping: ZoneMapping, home: Arc<dyn Source>) -> Self {
        Self { mapping, home }
    }

    fn outward(&self, answer: &Answer) -> Result<Answer, SourceError> {
        let message = answer.to_message().map_err(unusable)?;
        let had_answers = !message.answers.is_empty();
        let answers = message.answers.iter().filter_map(|record| self.record_outward(record)).collect::<Vec<_>>();
        if had_answers && answers.is_empty() {
            return Err(SourceError::Unmappable("the address has no name under this cluster's suffix".to_owned()));
        }
        // Of the zone's SOA only the time for which a denial holds is of use outside; its names are those of home.
        let ttl = answer.ttl();
        let authorities = message.authorities.iter().filter(|record| record.rtype == RecordType::SOA);
        let authorities = authorities.filter_map(|record| self.soa_outward(record, ttl)).collect();
        let says_what_is = matches!(message.rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
        let flags = message.flags.with(Flags::AA, says_what_is);
        let mapped = Message { answers, authorities, additionals: Vec::new(), flags, edns: None, ..message };
        Answer::new(&mapped).map_err(unusable)
    }

    /// A PTR record to a name at home, as it is outside.
    fn record_outward(&self, record: &Record) -> Option<Record> {
        let target = record.rdata.names().next().filter(|_| record.rtype == RecordType::PTR)?;
        let target = target.is_within(self.mapping.home()).then(|| self.mapping.name_outward(&target).ok())??;
        Some(Record { rdata: strait_wire::Rdata::name(&target), ..record.clone() })
    }

    fn soa_outward(&self, record: &Record, ttl: u32) -> Option<Record> {
        let server = self.mapping.suffix();
        let rdata = strait_wire::Rdata::soa(server, server, [1, 7_200, 1_800, 86_400, ttl]);
        (!record.name.is_root()).then(|| Record { rdata, ttl, ..record.clone() })
    }
}

impl Source for MappedReverse {
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.outward(&self.home.answer_now(ask)?).ok()
    }

    fn capacity(&self) -> Option<usize> {
        self.home.capacity()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(async move {
            let answer = self.home.answer(ask).await.map_err(|error| crate::mapped::without_details(&error))?;
            self.outward(&answer)
        })
    }
}

fn unusable(error: impl std::fmt::Display) -> SourceError {
    tracing::debug!(%error, "what is said of an address cannot be told outside");
    SourceError::Unmappable("what the cluster's own DNS says of the address cannot be told outside".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use strait_wire::{Class, Name, Rdata};

    use super::*;
    use crate::testing::{Scripted, answer, ask, name, soa_record};

    const ADDRESS: &str = "1.0.96.10.in-addr.arpa";

    fn pointer(target: &str) -> Record {
        let rdata = Rdata::name(&name(target));
        Record { name: name(ADDRESS), rtype: RecordType::PTR, class: Class::IN, ttl: 5, rdata }
    }

    async fn told(home: Arc<Scripted>) -> Result<Message, SourceError> {
        let mapping = ZoneMapping::new(name("cluster.local"), name("cluster-b.example.com")).unwrap();
        let told = MappedReverse::new(mapping, home).answer(&ask(ADDRESS, "PTR")).await?;
        Ok(told.to_message().unwrap())
    }

    #[tokio::test]
    async fn names_at_home_are_told_under_the_suffix_and_others_stay_at_home() {
        let home = Scripted::new(|ask| {
            let records = vec![pointer("web.shop.svc.cluster.local"), pointer("ip-10-96-0-1.ec2.internal")];
            Ok(answer(ask, Rcode::NOERROR, records, Vec::new()))
        });
        let message = told(home).await.unwrap();
        let targets: Vec<Name> = message.answers.iter().flat_map(|record| record.rdata.names()).collect();
        assert_eq!(targets, [name("web.shop.svc.cluster-b.example.com")]);
    }

    #[tokio::test]
    async fn an_address_with_names_elsewhere_only_is_not_said_to_have_none() {
        let home = Scripted::new(|ask| {
            Ok(answer(ask, Rcode::NOERROR, vec![pointer("ip-10-96-0-1.ec2.internal")], Vec::new()))
        });
        let error = told(home).await.unwrap_err();
        assert_eq!(error.rcode(), Rcode::SERVFAIL);
        assert!(!error.to_string().contains("ec2"), "{error}");
    }

    #[tokio::test]
    async fn the_soa_of_a_denial_holds_no_name_of_home() {
        let home = Scripted::new(|ask| {
            let mut soa = soa_record("96.10.in-addr.arpa", 30, 7);
            soa.rdata = Rdata::soa(&name("ns.dns.cluster.local"), &name("hostmaster.cluster.local"), [1, 2, 3, 4, 7]);
            Ok(answer(ask, Rcode::NXDOMAIN, Vec::new(), vec![soa]))
        });
        let message = told(home).await.unwrap();
        let [soa] = &message.authorities[..] else { panic!("{:?}", message.authorities) };
        assert_eq!((message.rcode, &soa.name), (Rcode::NXDOMAIN, &name("96.10.in-addr.arpa")));
        assert!(soa.rdata.names().all(|name| name.to_string() == "cluster-b.example.com."));
    }
}
