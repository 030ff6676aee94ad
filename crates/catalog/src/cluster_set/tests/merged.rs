//! What other clusters say, in one answer with what is here.

use super::*;

/// How a peer is in a test.
#[derive(Clone, Copy, PartialEq)]
enum Link {
    Up,
    /// Known to be down: it must not be asked.
    Down,
    /// Asked, it fails.
    Failing,
    /// It has no such zone.
    Refusing,
}

struct Peer {
    zone: ExportZone,
    link: Link,
    asked: Mutex<Vec<Ask>>,
}

impl Source for Peer {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        self.asked.lock().unwrap().push(ask.clone());
        Box::pin(async move {
            match self.link {
                Link::Up => self.zone.answer(ask).await,
                Link::Down => panic!("a peer that is down is asked"),
                Link::Failing => Err(SourceError::Unreachable("no answer".to_owned())),
                Link::Refusing => Ok(Answer::failure(ask.question.clone(), Rcode::REFUSED, None)),
            }
        })
    }
}

/// cluster-a and its peers.
struct Clusters {
    zone: ClusterSetZone,
    peers: Vec<Arc<Peer>>,
}

impl Clusters {
    fn new(own: Vec<Object>, peers: Vec<(&str, Link, Vec<Object>)>) -> Self {
        let names: Vec<&str> = peers.iter().map(|(name, ..)| *name).collect();
        let peers: Vec<Arc<Peer>> = peers
            .iter()
            .map(|(name, link, objects)| {
                Arc::new(Peer { zone: exports(name, objects.clone()), link: *link, asked: Mutex::default() })
            })
            .collect();
        let member = |(name, peer): (&&str, &Arc<Peer>)| Member {
            name: (*name).to_owned(),
            suffix: crate::testing::name(&format!("{name}.example.com")),
            standing: if peer.link == Link::Down { Standing::Gone } else { Standing::Well },
            weight: 1,
            source: Arc::clone(peer) as _,
        };
        let members = names.iter().zip(&peers).map(member).collect();
        let catalog = shared(&mut synced(CatalogSettings::default(), own));
        let members = Arc::new(Peers(Mutex::new(members)));
        Self { zone: ClusterSetZone::new(catalog, &settings("cluster-a"), members).unwrap(), peers }
    }

    fn ask(&self, ask: &Ask) -> Result<Answer, SourceError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.zone.answer(ask))
    }

    /// What is said, in one line; of a failure its kind.
    fn says(&self, at: &str, rtype: &str) -> String {
        /// An answer that was given before.
        struct Given(Answer);
        impl Source for Given {
            fn answer_now(&self, _: &Ask) -> Option<Answer> {
                Some(self.0.clone())
            }

            fn answer<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
                unreachable!("it is given at once")
            }
        }
        match self.ask(&ask(at, rtype)) {
            Ok(answer) => {
                assert!(answer.ede().is_none(), "{at} {rtype}: {:?}", answer.ede());
                assert!(answer.ttl() <= 5, "{at} {rtype}");
                said(&Given(answer), at, rtype)
            }
            Err(SourceError::Unreachable(_)) => "unreachable".to_owned(),
            Err(SourceError::Loop(_)) => "loop".to_owned(),
            Err(error) => panic!("{error}"),
        }
    }

    fn asked(&self) -> Vec<usize> {
        self.peers.iter().map(|peer| peer.asked.lock().unwrap().len()).collect()
    }
}

/// A service that is exported, with one endpoint.
fn web(address: &str, endpoint: &str) -> Vec<Object> {
    vec![
        cluster_ip("web.shop", &[address], &["http/tcp/80"]),
        slice("web.shop", "web-1", &[endpoint], &["http/tcp/8080"]),
        export("web.shop"),
    ]
}

fn db(endpoint: &str) -> Vec<Object> {
    vec![headless("db.shop"), slice("db.shop", "db-1", &[endpoint], &["pg/tcp/5432"]), export("db.shop")]
}

const WEB: &str = "web.shop.svc.clusterset.local";
const DB: &str = "db.shop.svc.clusterset.local";

#[test]
fn what_is_here_comes_first_and_nobody_is_asked() {
    let clusters =
        Clusters::new(web("10.0.0.1", "10.1.0.5"), vec![("cluster-b", Link::Up, web("10.0.0.2", "10.2.0.5"))]);
    check(
        &clusters.zone,
        &[
            (WEB, "A", "A 10.0.0.1"),
            (WEB, "AAAA", "NODATA"),
            (&format!("_dns._udp.{WEB}"), "SRV", "NXDOMAIN"),
            (&format!("cluster-b.{WEB}"), "A", "NXDOMAIN"),
        ],
    );
    assert_eq!(clusters.asked(), [0]);
}

#[test]
fn what_is_not_here_is_asked_of_who_has_it() {
    // (what is here, how cluster-b is, what is said)
    let here = |objects: Vec<Object>| objects;
    let unready = || web("10.0.0.1", "!10.1.0.5");
    let cases = [
        // Not exported here: neither is what is here told.
        (here(vec![]), Link::Up, "A 10.0.0.2"),
        (here(vec![cluster_ip("web.shop", &["10.0.0.1"], &[])]), Link::Up, "A 10.0.0.2"),
        // No endpoint is ready here.
        (here(unready()), Link::Up, "A 10.0.0.2"),
        // Then what is here does, when nobody has better.
        (here(unready()), Link::Down, "A 10.0.0.1"),
        (here(unready()), Link::Failing, "A 10.0.0.1"),
        (here(unready()), Link::Refusing, "A 10.0.0.1"),
        // Nobody can say: that is no denial.
        (here(vec![]), Link::Down, "unreachable"),
        (here(vec![]), Link::Failing, "unreachable"),
        // Whoever refuses exports nothing to us.
        (here(vec![]), Link::Refusing, "NXDOMAIN"),
    ];
    for (number, (own, link, expected)) in cases.into_iter().enumerate() {
        let clusters = Clusters::new(own, vec![("cluster-b", link, web("10.0.0.2", "10.2.0.5"))]);
        assert_eq!(clusters.says(WEB, "A"), expected, "{number}");
    }
    let clusters = Clusters::new(vec![], vec![("cluster-b", Link::Up, web("10.0.0.2", "10.2.0.5"))]);
    assert_eq!(clusters.says(WEB, "AAAA"), "NODATA");
    assert_eq!(clusters.says(&format!("_http._tcp.{WEB}"), "SRV"), format!("SRV {WEB}.:80 + {WEB}. A 10.0.0.2"));
    assert_eq!(clusters.says("other.shop.svc.clusterset.local", "A"), "NXDOMAIN");
    let asked = clusters.peers[0].asked.lock().unwrap()[0].question.name.to_string();
    assert_eq!(asked, "web.shop.svc.clusterset.cluster-b.example.com.");
}

#[test]
fn a_peer_that_is_down_gives_way_to_another() {
    let b = |link| ("cluster-b", link, web("10.0.0.2", "10.2.0.5"));
    let c = |link, objects| ("cluster-c", link, objects);
    let has = || web("10.0.0.3", "10.3.0.5");
    // (how cluster-b is, how cluster-c is and what it has, what is said)
    let cases = [
        (Link::Down, c(Link::Up, has()), "A 10.0.0.3"),
        (Link::Up, c(Link::Down, has()), "A 10.0.0.2"),
        (Link::Failing, c(Link::Up, has()), "A 10.0.0.3"),
        // One has no endpoint that is ready: the other comes before it.
        (Link::Up, c(Link::Up, web("10.0.0.3", "!10.3.0.5")), "A 10.0.0.2"),
        (Link::Down, c(Link::Up, web("10.0.0.3", "!10.3.0.5")), "A 10.0.0.3"),
        // Everybody who is up says no.
        (Link::Down, c(Link::Up, vec![]), "NXDOMAIN"),
        // One could not say.
        (Link::Failing, c(Link::Up, vec![]), "unreachable"),
    ];
    for (number, (link, other, expected)) in cases.into_iter().enumerate() {
        assert_eq!(Clusters::new(vec![], vec![b(link), other]).says(WEB, "A"), expected, "{number}");
    }
}

#[test]
fn section_2_4_endpoints_of_headless_services_are_those_of_every_cluster() {
    let clusters = Clusters::new(
        db("db-0=10.1.0.1"),
        vec![
            ("cluster-b", Link::Up, db("db-0=10.2.0.1")),
            ("cluster-c", Link::Down, db("db-0=10.3.0.1")),
            ("cluster-d", Link::Failing, db("db-0=10.4.0.1")),
        ],
    );
    assert_eq!(clusters.says(DB, "A"), "A 10.1.0.1, A 10.2.0.1");
    assert_eq!(clusters.says(DB, "AAAA"), "NODATA");
    let [one, two] = ["db-0.cluster-a", "db-0.cluster-b"].map(|label| format!("{label}.{DB}."));
    let expected = format!("SRV {one}:5432, SRV {two}:5432 + {one} A 10.1.0.1, {two} A 10.2.0.1");
    assert_eq!(clusters.says(&format!("_pg._tcp.{DB}"), "SRV"), expected);
    assert_eq!(clusters.says(&format!("db-0.cluster-b.{DB}"), "A"), "A 10.2.0.1");
    // Ours are nobody else's to tell.
    assert_eq!(clusters.says(&format!("db-9.cluster-a.{DB}"), "A"), "NXDOMAIN");
    // What is above endpoints exists there.
    assert_eq!(clusters.says(&format!("cluster-b.{DB}"), "A"), "NODATA");

    // Those of others alone: not exported here, or none ready here.
    for own in [vec![], db("!10.1.0.1")] {
        let peers = vec![("cluster-b", Link::Up, db("10.2.0.1")), ("cluster-c", Link::Up, db("10.3.0.1"))];
        let said = Clusters::new(own, peers).says(DB, "A");
        let mut addresses: Vec<&str> = said.split(", ").collect();
        addresses.sort_unstable();
        assert_eq!(addresses, ["A 10.2.0.1", "A 10.3.0.1"]);
    }
}

#[test]
fn what_has_passed_another_cluster_is_not_sent_on() {
    let peers = || vec![("cluster-b", Link::Up, [web("10.0.0.2", "10.2.0.5"), db("10.2.0.1")].concat())];
    let clusters = Clusters::new(db("10.1.0.1"), peers());
    let from = |at: &str| {
        let ask = ask(at, "A");
        Ask { path: ask.path.passing("cluster-c.example.com").unwrap(), ..ask }
    };
    assert!(matches!(clusters.ask(&from(WEB)), Err(SourceError::Loop(_))));
    let own = clusters.ask(&from(DB)).unwrap();
    assert_eq!(own.to_message().unwrap().answers.len(), 1);
    assert_eq!(clusters.asked(), [0]);
}

/// A peer that says whatever it likes.
struct Liar;

impl Source for Liar {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        let mut message = Message::response(ask.question.clone(), Rcode::NOERROR);
        message.flags = message.flags.with(Flags::AA, true);
        let record = |owner: &str| Record {
            name: name(owner),
            rtype: ask.question.rtype,
            class: ask.question.class,
            ttl: 86_400,
            rdata: Rdata::opaque(vec![192, 0, 2, 66]),
        };
        message.answers.push(record(&ask.question.name.to_string()));
        message.answers.push(record("bank.example.org"));
        message.additionals.push(record("bank.example.org"));
        let answer = Answer::new(&message).unwrap().with_ede(Ede::new(Ede::OTHER, "trust me"));
        Box::pin(std::future::ready(Ok(answer)))
    }
}

#[test]
fn a_peer_speaks_of_what_it_is_asked_and_never_of_one_clusters_part() {
    let clusters = Clusters::new(vec![], vec![("cluster-b", Link::Up, vec![])]);
    let catalog: Arc<ArcSwap<Catalog>> = shared(&mut synced(CatalogSettings::default(), vec![]));
    let liar = Member {
        name: "cluster-b".to_owned(),
        suffix: name("cluster-b.example.com"),
        standing: Standing::Well,
        weight: 1,
        source: Arc::new(Liar),
    };
    let members = Arc::new(Peers(Mutex::new(vec![liar])));
    let clusters =
        Clusters { zone: ClusterSetZone::new(catalog, &settings("cluster-a"), members).unwrap(), ..clusters };
    assert_eq!(clusters.says(WEB, "A"), "A 192.0.2.66");
    assert_eq!(clusters.says(&format!("cluster-b.{WEB}"), "A"), "NODATA");
    assert_eq!(clusters.says("dns-version.clusterset.local", "A"), "NODATA");
    assert_eq!(clusters.says("cluster-b.clusterset.local", "A"), "NXDOMAIN");
}
