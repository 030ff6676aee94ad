#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use prometheus::Registry;
use strait_resolve::{
    AccessList, Ask, BoxFuture, CacheSettings, Origin, QueryLog, ResolveMetrics, ResolverSettings, Respond, Route,
    RouteTable, Source, SourceError, Transit, Transport,
};
use strait_wire::{Answer, Class, Message, Rcode, Rdata, Record, RecordType};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::service::Routes;

use super::*;
use crate::{AdminSocket, connect_cache};

/// Has an address for every name.
struct Everywhere;

impl Source for Everywhere {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(async move {
            let (name, rdata) = (ask.question.name.clone(), Rdata::opaque(vec![192, 0, 2, 1]));
            let record = Record { name, rtype: RecordType::A, class: Class::IN, ttl: 60, rdata };
            let message = Message { answers: vec![record], ..Message::response(ask.question.clone(), Rcode::NOERROR) };
            Ok(Answer::new(&message).unwrap())
        })
    }
}

fn resolver() -> Arc<Resolver> {
    let route = |zone: &str| Route {
        zone: zone.parse().unwrap(),
        kind: "upstream",
        source: Arc::new(Everywhere),
        cached: true,
    };
    Arc::new(Resolver::new(ResolverSettings {
        admit: Arc::new(AccessList::local()),
        cache: CacheSettings::default(),
        routes: RouteTable::new([route("."), route("example.com")]).0,
        follow_aliases: true,
        transit: Transit::Refused,
        deadline: Duration::from_secs(3),
        metrics: Arc::new(ResolveMetrics::new(&Registry::new()).unwrap()),
        query_log: QueryLog::off(),
    }))
}

async fn ask(resolver: &Resolver, name: &str) {
    let client = SocketAddr::from(([127, 0, 0, 1], 4242));
    let origin = Origin::new(client, Transport::Udp);
    let query = Message::query(1, name.parse().unwrap(), RecordType::A).to_wire().unwrap();
    resolver.respond(&query, &origin).await.unwrap();
}

fn flush(what: Option<What>) -> v1::FlushCacheRequest {
    v1::FlushCacheRequest { what }
}

#[tokio::test]
async fn a_name_a_zone_or_all_is_flushed_over_the_socket() {
    let (folder, resolver, stop) = (tempfile::tempdir().unwrap(), resolver(), CancellationToken::new());
    let path = folder.path().join("agent.sock");
    let service = CacheService::new(Arc::clone(&resolver));
    let socket = AdminSocket::bind(&path).await.unwrap();
    let serving = tokio::spawn(socket.serve(Routes::new(service.into_server()), stop.clone()));
    for name in ["a.example.com", "b.a.example.com", "c.example.com", "example.net", "a.example.net"] {
        ask(&resolver, name).await;
    }
    let mut client = connect_cache(&path).await.unwrap();
    let held = client.show(v1::ShowCacheRequest {}).await.unwrap().into_inner();
    let zones: Vec<_> = held.zones.iter().map(|zone| (zone.zone.as_str(), zone.entries)).collect();
    assert_eq!((held.entries, zones), (5, vec![("example.com.", 3), (".", 2)]));
    assert_eq!(held.bytes, held.zones.iter().map(|zone| zone.bytes).sum::<u64>());
    assert_eq!(held.size, CacheSettings::default().size);

    let cases = [
        (What::Name("A.example.com.".to_owned()), 1),
        (What::Name("a.example.com".to_owned()), 0),
        (What::Zone("a.example.com".to_owned()), 1),
        (What::Zone("example.net".to_owned()), 2),
        (What::All(true), 1),
    ];
    for (what, entries) in cases {
        let flushed = client.flush(flush(Some(what.clone()))).await.unwrap().into_inner();
        assert_eq!(flushed.entries, entries, "{what:?}");
    }
    for what in [None, Some(What::All(false)), Some(What::Zone("a..b".to_owned()))] {
        assert_eq!(client.flush(flush(what.clone())).await.unwrap_err().code(), Code::InvalidArgument, "{what:?}");
    }
    drop(client);
    stop.cancel();
    serving.await.unwrap();
}
