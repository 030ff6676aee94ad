//! A group as a whole: its list, its bounds, its questions, its end.

use super::*;

#[tokio::test]
async fn questions_carry_dnssec_flags_and_the_path_and_no_client_subnet() {
    let seen: Arc<Mutex<Vec<Message>>> = Arc::default();
    let log = Arc::clone(&seen);
    let address = udp_server(move |query, _| {
        log.lock().unwrap().push(Message::parse(query).unwrap());
        vec![(NOW, wire(&answer(query, GOOD)))]
    })
    .await;
    let (group, _) = start(settings(&[address]));
    let plain = ask("www.example.com");
    let path = ClusterPath::default().passing("a.example").unwrap();
    let full = Ask { dnssec_ok: true, checking_disabled: true, path, ..plain.clone() };
    group.answer(&plain).await.unwrap();
    group.answer(&full).await.unwrap();
    let seen = seen.lock().unwrap();
    let edns: Vec<_> = seen.iter().map(|m| m.edns.clone().unwrap()).collect();
    assert!(seen.iter().all(|m| m.flags.has(Flags::RD)));
    assert_eq!(edns.iter().map(|e| (e.udp_payload, e.dnssec_ok)).collect::<Vec<_>>(), [(1232, false), (1232, true)]);
    assert_eq!(seen.iter().map(|m| m.flags.has(Flags::CD)).collect::<Vec<_>>(), [false, true]);
    assert_eq!(edns[0].options, []);
    assert_eq!(edns[1].options, [EdnsOption { code: option::CLUSTER_PATH, data: b"a.example".to_vec() }]);
}

#[tokio::test]
async fn outstanding_questions_are_bounded() {
    let address = silent().await;
    let mut settings = settings(&[address]);
    settings.max_outstanding = 2;
    let (group, registry) = start(settings);
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let group = Arc::clone(&group);
            tokio::spawn(async move { group.answer(&ask("www.example.com")).await })
        })
        .collect();
    eventually("both are outstanding", || async { group.outstanding.in_use() == 2 }).await;
    let error = group.answer(&ask("www.example.com")).await.unwrap_err();
    assert!(matches!(&error, SourceError::Overloaded(text) if text.starts_with("2 questions")), "{error}");
    assert_eq!(count(&registry, "strait_upstream_overloaded_total", &["."]), 1);
    waiting.into_iter().for_each(|task| task.abort());
    eventually("their room is free again", || async { group.outstanding.in_use() == 0 }).await;
}

#[tokio::test]
async fn a_resolv_conf_is_awaited_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let mut settings = settings(&[]);
    settings.servers = UpstreamServers::ResolvConf(path.clone());
    let (group, _) = start(settings);
    let error = group.answer(&ask("www.example.com")).await.unwrap_err();
    assert!(matches!(error, SourceError::NotReady(_)), "{error}");
    for server in ["192.0.2.1", "192.0.2.2"] {
        std::fs::write(&path, format!("nameserver {server}\n")).unwrap();
        eventually("the new list is in force", || async {
            group.list.current().iter().map(|s| s.address.to_string()).eq([format!("{server}:53")])
        })
        .await;
    }
}

#[tokio::test]
async fn dropping_a_group_ends_its_work_and_its_series() {
    let address = nowhere().await;
    let (group, registry) = start(settings(&[address]));
    let _ = group.answer(&ask("www.example.com")).await;
    assert!(!registry.gather().is_empty());
    let list = Arc::downgrade(&group.list);
    drop(group);
    eventually("the tasks are gone", || async { list.strong_count() == 0 }).await;
    eventually("the series are gone", || async { registry.gather().is_empty() }).await;
}
