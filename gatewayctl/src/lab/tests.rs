//! What needs none of the programs; the whole lab is run by the end-to-end tests.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::rr::RecordType;

use super::question::Question;
use super::*;

fn planned(folder: &Path, ports: &mut Ports) -> Cluster {
    Cluster::plan("cluster-a", 1, folder, ports).unwrap()
}

/// The cluster DNS of cluster-a, and where it is.
fn played(folder: &Path) -> (ClusterDns, SocketAddr) {
    let mut ports = Ports::default();
    let cluster = planned(folder, &mut ports);
    let port = cluster.ports.cluster_dns;
    let served = ClusterDns::start(ports.take(port).unwrap(), &cluster.zone_text()).unwrap();
    (served, (Ipv4Addr::LOCALHOST, port).into())
}

/// A cluster's DNS gives at home exactly what the other cluster must see under the suffix.
#[tokio::test]
async fn the_played_cluster_dns_answers_like_a_cluster_s() {
    let folder = tempfile::tempdir().unwrap();
    let (_served, server) = played(folder.path());
    let name = |service: &str| format!("{service}.svc.cluster.local");
    let srv = "_http._tcp.web.shop.svc.cluster.local. SRV 0 100 80 web.shop.svc.cluster.local.";
    for question in [
        Question::records(name("web.shop"), RecordType::A, vec!["web.shop.svc.cluster.local. A 10.1.0.20".into()]),
        Question::records(name("_http._tcp.web.shop"), RecordType::SRV, vec![srv.into()]),
        Question::records(
            name("db.shop"),
            RecordType::A,
            ["1.11", "1.12"].map(|host| format!("db.shop.svc.cluster.local. A 10.1.{host}")).into(),
        ),
        // Kubernetes answers an alias with its target.
        Question::records(
            name("docs.shop"),
            RecordType::A,
            vec![
                "docs.shop.svc.cluster.local. CNAME web.shop.svc.cluster.local.".into(),
                "web.shop.svc.cluster.local. A 10.1.0.20".into(),
            ],
        ),
        Question::nothing(name("nosuch.shop")),
        // A service of the other cluster's.
        Question::nothing(name("stock.depot")),
    ] {
        let reply = question.ask(server).await.unwrap();
        assert_eq!(question.check(&reply), Ok(()), "{}: {reply:?}", question.name);
    }
}

#[tokio::test]
async fn a_wrong_answer_is_told_from_a_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_served, server) = played(folder.path());
    let web = "web.shop.svc.cluster.local";
    for (question, difference) in [
        // Another address, one address too few, an answer where there should be none, none where there should be one.
        (Question::records(web.into(), RecordType::A, vec![format!("{web}. A 10.2.0.20")]), "10.2.0.20 was expected"),
        (
            Question::records(
                "db.shop.svc.cluster.local".into(),
                RecordType::A,
                vec!["db.shop.svc.cluster.local. A 10.1.1.11".into()],
            ),
            "10.1.1.11 was expected",
        ),
        (Question::nothing(web.into()), "NXDOMAIN was expected"),
        (
            Question::records(
                "nosuch.cluster.local".into(),
                RecordType::A,
                vec!["nosuch.cluster.local. A 10.1.0.1".into()],
            ),
            "10.1.0.1 was expected",
        ),
    ] {
        let reply = question.ask(server).await.unwrap();
        let told = question.check(&reply).unwrap_err();
        assert!(told.ends_with(difference), "{told}");
    }
}

#[test]
fn certificates_and_configurations_are_where_the_files_say() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = planned(folder.path(), &mut Ports::default());
    for line in cluster.pki_lines() {
        run_pki(&line).unwrap();
    }
    cluster.write_configurations().unwrap();
    for file in [cluster.gateway_configuration(), cluster.node_agent_configuration()] {
        let text = std::fs::read_to_string(&file).unwrap();
        let paths: Vec<_> = text.split_whitespace().filter(|word| word.starts_with("pki/")).collect();
        assert_eq!(paths.len(), 3, "{text}");
        for path in paths {
            assert!(file.with_file_name(path).is_file(), "{path}");
        }
    }
}

#[test]
fn the_folder_goes_unless_it_is_to_stay() {
    let parent = tempfile::tempdir().unwrap();
    let wanted = parent.path().join("lab");
    let folder = Folder::create(Some(&wanted), false).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    folder.finish().unwrap();
    assert!(!wanted.exists());

    drop(Folder::create(Some(&wanted), false).unwrap());
    assert!(!wanted.exists(), "an error on the way leaves nothing either");

    let folder = Folder::create(Some(&wanted), true).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    folder.finish().unwrap();
    assert!(wanted.join("file").exists());

    let error = Folder::create(Some(&wanted), false).err().unwrap().to_string();
    assert_eq!(error, format!("{}: not empty; choose a new --dir, or empty it first", wanted.display()));
    assert!(wanted.join("file").exists());
}
