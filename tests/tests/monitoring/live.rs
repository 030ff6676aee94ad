//! A real Prometheus that scrapes three real clusters: every rule and every panel is evaluated there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use strait_tests::busy::{busy_clusters, kubernetes_cluster, make_traffic};
use strait_tests::program::{http_get, repository};
use strait_tests::{Cluster, Folder, Program, free_address, tool, until};

use crate::{RULES, dashboard, promql, rules, text};

/// After so many rounds of questions most queries have data: what is missing then is named when patience ends.
const ROUNDS: usize = 10;

/// Prometheus at work.
struct Prometheus {
    address: SocketAddr,
    _program: Program,
    _folder: Folder,
}

impl Prometheus {
    /// Scrapes the programs of these clusters every second, with our rules; none where it is not installed.
    fn start(clusters: &mut [&mut Cluster]) -> Option<Self> {
        let path = tool("prometheus")?;
        let (address, folder) = (free_address(), Folder::new());
        let mut config = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{}]\nscrape_configs:\n",
            repository().join(RULES).display()
        );
        for job in ["strait-gateway", "strait-node-agent"] {
            let _ = writeln!(config, "  - job_name: {job}\n    static_configs:");
            for cluster in clusters.iter_mut() {
                let admin = match job {
                    "strait-gateway" => cluster.gateway().program().admin(),
                    _ => cluster.agent().admin(),
                };
                let _ =
                    writeln!(config, "      - {{ targets: [\"{admin}\"], labels: {{ cluster: {} }} }}", cluster.name);
            }
        }
        let config = folder.write("prometheus.yaml", config);
        let mut command = Command::new(path);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let program = Program::start_command("prometheus", &mut command);
        until("prometheus to be ready", || matches!(http_get(address, "/-/ready"), Some((200, _))));
        Some(Self { address, _program: program, _folder: folder })
    }

    /// The result of an API call, which must succeed.
    #[track_caller]
    fn api(&self, path: &str) -> Value {
        let (status, body) = http_get(self.address, &format!("/api/v1/{path}")).expect("prometheus answers");
        assert_eq!(status, 200, "{path}: {body}");
        let mut body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"], "success", "{path}: {body}");
        body["data"].take()
    }

    /// Whether a query has data; an error in it is a failure.
    #[track_caller]
    fn has_data(&self, query: &str) -> bool {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.api(&format!("query?query={encoded}"));
        data["result"].as_array().is_some_and(|result| !result.is_empty())
    }

    /// The alerts that are pending or firing.
    fn alerts(&self) -> BTreeSet<String> {
        let data = self.api("alerts");
        data["alerts"].as_array().unwrap().iter().map(|alert| text(&alert["labels"], "alertname").to_owned()).collect()
    }
}

/// A panel's query as Grafana sends it with everything chosen. `> 0` at the end hides what has not happened, and is left out.
fn filled_in(expression: &str) -> String {
    let variables = ["$cluster", "$job", "$instance", "$zone", "$peer"];
    let expression = expression.strip_suffix(" > 0").unwrap_or(expression);
    variables.iter().fold(expression.replace("$__rate_interval", "1m"), |text, name| text.replace(name, ".*"))
}

#[test]
fn every_rule_and_panel_works_in_a_real_prometheus() {
    let (mut a, mut b, _servers) = busy_clusters();
    let (mut c, _api, _folder) = kubernetes_cluster();
    let Some(prometheus) = Prometheus::start(&mut [&mut a, &mut b, &mut c]) else { return };
    let dashboard = dashboard::dashboard();
    let recorded = rules().into_iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned()));
    let panels = dashboard::queries(&dashboard).into_iter().map(|(_, expression)| filled_in(&expression));
    // The metrics that alerts are made of: an alert itself has nothing to show while all is well.
    let in_alerts = rules().into_iter().filter_map(|rule| {
        let expression = rule["alert"].as_str().and(rule["expr"].as_str())?;
        Some(promql::names(expression).selectors.into_iter().map(|(metric, _)| metric).collect::<Vec<_>>())
    });
    let queries: BTreeSet<String> = recorded.chain(panels).chain(in_alerts.flatten()).collect();
    assert!(queries.len() > 100, "{} queries", queries.len());

    let mut missing = queries;
    let round = |missing: &mut BTreeSet<String>| {
        make_traffic(&a, &b);
        missing.retain(|query| !prometheus.has_data(query));
    };
    // Rates need two scrapes, rules their turn.
    for _ in 0..ROUNDS {
        round(&mut missing);
    }
    until(&format!("data for {missing:#?}"), || {
        round(&mut missing);
        missing.is_empty()
    });

    let groups = prometheus.api("rules")["groups"].take();
    let evaluated: Vec<&Value> =
        groups.as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(evaluated.len(), rules().len());
    for rule in evaluated {
        assert_eq!(rule["health"], "ok", "{rule}");
    }

    // What goes down is told, and what comes back is not.
    let told = ["StraitDown", "StraitPeerDown"].map(str::to_owned);
    assert!(told.iter().all(|alert| !prometheus.alerts().contains(alert)), "{:?}", prometheus.alerts());
    b.gateways[0].kill();
    until("the alerts on a gateway that is gone", || told.iter().all(|alert| prometheus.alerts().contains(alert)));
    b.gateways[0].revive();
    until("the alerts to end", || told.iter().all(|alert| !prometheus.alerts().contains(alert)));
}
