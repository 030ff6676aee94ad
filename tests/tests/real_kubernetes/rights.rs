//! The chart's account and its rights: enough, and each of them needed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strait_tests::{ApiServer as _, Collection, Program, patience, until};

use super::release::Release;
use super::{peer, peers, zone, zones};

/// A fault that is named for so long is not one that goes by itself.
const SETTLED: Duration = Duration::from_secs(2);

/// One verb on one resource of one rule.
struct Right<'a> {
    role: &'a Value,
    rule: usize,
    group: &'a str,
    resource: &'a str,
    verb: &'a str,
}

impl Right<'_> {
    fn collection(role: &Value) -> Collection {
        let plural = if role["kind"] == "Role" { "roles" } else { "clusterroles" };
        Collection::new("rbac.authorization.k8s.io", "v1", plural)
    }

    /// Puts the role there, with this right or without.
    fn put(&self, release: &Release, is_given: bool) {
        let mut role = self.role.clone();
        if !is_given {
            let rules = role["rules"].as_array_mut().unwrap();
            let mut rest = rules[self.rule].clone();
            let without = |list: &Value, word: &str| {
                json!(list.as_array().unwrap().iter().filter(|one| **one != word).collect::<Vec<_>>())
            };
            // The other resources of the rule keep the verb.
            rest["resources"] = json!([self.resource]);
            rest["verbs"] = without(&rest["verbs"], self.verb);
            rules[self.rule]["resources"] = without(&rules[self.rule]["resources"], self.resource);
            rules.push(rest);
            rules.retain(|rule| rule["resources"] != json!([]) && rule["verbs"] != json!([]));
        }
        let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let name = role["metadata"]["name"].as_str().unwrap().to_owned();
        release.api.apply(&Self::collection(&role), &namespace, &name, role);
        until(&format!("{self} to be given: {is_given}"), || self.is_given(release) == is_given);
    }

    fn is_given(&self, release: &Release) -> bool {
        let (resource, part) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let attributes = json!({ "resourceAttributes": {
            "namespace": self.role["metadata"]["namespace"], "verb": self.verb, "group": self.group,
            "resource": resource, "subresource": part, "name": self.role["rules"][self.rule]["resourceNames"][0],
        } });
        release.api.may(&release.namespace, "strait-gateway", &attributes)
    }
}

impl std::fmt::Display for Right<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the verb {:?} on the resource {:?} of API group {:?}", self.verb, self.resource, self.group)
    }
}

/// Every right of the rendered roles.
fn rights(objects: &[Value]) -> Vec<Right<'_>> {
    let mut rights = Vec::new();
    for role in objects.iter().filter(|object| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole"))) {
        for (rule, words) in role["rules"].as_array().unwrap().iter().enumerate() {
            let list = |key: &str| words[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
            for group in list("apiGroups") {
                for resource in list("resources") {
                    rights.extend(list("verbs").map(|verb| Right { role, rule, group, resource, verb }));
                }
            }
        }
    }
    rights
}

/// What does not come to pass, and what is said.
#[derive(Debug)]
struct Failure {
    step: &'static str,
    said: String,
}

/// A gateway that does everything that it does with its rights.
struct Exercise<'a> {
    release: &'a Release,
    gateway: &'a Program,
    /// What gatewayctl said of what failed.
    told: String,
}

impl Exercise<'_> {
    /// What is said of anything that is forbidden, wherever it is said.
    fn forbidden(&self) -> Option<String> {
        let ready = self.gateway.get("/readyz").map(|(_, body)| body).unwrap_or_default();
        let all = format!("{}\n{ready}\n{}", self.gateway.log(), self.told).replace('\\', "");
        let lines: Vec<&str> = all.lines().filter(|line| line.contains("(403)")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Waits for something; that it does not come to pass is known when something is forbidden for a while.
    fn wait(&mut self, step: &'static str, mut is_done: impl FnMut(&mut Self) -> bool) -> Result<(), Failure> {
        let (end, mut named) = (Instant::now() + patience(), None);
        loop {
            if is_done(self) {
                return Ok(());
            }
            let said = self.forbidden();
            if said.is_some() && named.get_or_insert_with(Instant::now).elapsed() > SETTLED {
                return Err(Failure { step, said: said.unwrap_or_default() });
            }
            assert!(Instant::now() < end, "waited in vain, and nothing is said to be forbidden: {step}\n{}", self.told);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ctl(&mut self, arguments: &[&str]) -> bool {
        let output = self.release.ctl(arguments);
        self.told = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success()
    }

    /// Adds or changes a peer, unless it has been done.
    fn add(&mut self, more: &[&str]) -> bool {
        let add = self.release.peer_add("cluster-b");
        self.ctl(&[add.iter().map(String::as_str).collect(), more.to_vec()].concat())
    }

    fn lease_renewed_at(&self) -> Option<String> {
        let leases = Collection::new("coordination.k8s.io", "v1", "leases");
        let lease = self.release.api.get(&leases, &self.release.namespace, "strait-gateway")?;
        lease["spec"]["renewTime"].as_str().map(str::to_owned)
    }

    fn is_current(&self) -> bool {
        let Some((200, page)) = self.gateway.get("/metrics") else { return false };
        let mut kinds = page.lines().filter(|line| line.starts_with("strait_catalog_synced{")).peekable();
        let ready = self.gateway.get("/readyz").and_then(|(_, body)| serde_json::from_str::<Value>(&body).ok());
        let is_ready = |condition: &str| ready.as_ref().is_some_and(|ready| ready["conditions"][condition] == "ready");
        kinds.peek().is_some() && kinds.all(|line| line.ends_with(" 1")) && is_ready("catalog") && is_ready("peers")
    }

    fn run(&mut self) -> Result<(), Failure> {
        let release = self.release;
        self.wait("catalog and peers are current", |all| all.is_current())?;
        self.wait("gatewayctl adds a peer", |all| all.add(&[]))?;
        self.wait("gatewayctl changes it", |all| all.add(&["--replace", "--deny-namespace", "secret"]))?;
        self.wait("a peer that is applied is in force", |all| {
            let namespace = format!("--namespace={}", release.namespace);
            release.kubectl.apply(&[peer("cluster-c")], &[&namespace]).unwrap();
            all.ctl(&["peer", "show", "cluster-c"])
        })?;
        self.wait("conditions are told", |_| {
            let ready = release.condition(&peers(), "cluster-c", "Ready");
            ready.is_some_and(|(condition, _)| condition == "True InForce")
        })?;
        self.wait("conditions of zones are told", |_| {
            let namespace = format!("--namespace={}", release.namespace);
            release.kubectl.apply(&[zone("corp")], &[&namespace]).unwrap();
            let ready = release.condition(&zones(), "corp", "Ready");
            ready.is_some_and(|(condition, _)| condition == "True InForce")
        })?;
        self.wait("events are told", |_| {
            let events = release.kubectl.must(&["get", "events", "-n", &release.namespace, "-o", "name"]);
            events.contains("cluster-c")
        })?;
        let before = self.lease_renewed_at();
        self.wait("the lease is renewed", |all| before.is_some() && all.lease_renewed_at() != before)?;
        self.wait("gatewayctl removes a peer", |all| all.ctl(&["peer", "remove", "cluster-b"]))?;
        self.wait("all is still current", |all| all.is_current())
    }
}

/// Runs a gateway through everything, from nothing.
fn exercise(release: &Release) -> Result<(), Failure> {
    for plural in ["peers.strait.dev", "zones.strait.dev", "leases.coordination.k8s.io", "events"] {
        release.kubectl.must(&["delete", plural, "--all", "-n", &release.namespace, "--wait=false"]);
    }
    release.forget();
    let gateway = release.gateway();
    let mut exercise = Exercise { release, gateway: &gateway, told: String::new() };
    let outcome = exercise.run();
    if outcome.is_ok() {
        assert_eq!(exercise.forbidden(), None, "everything works, and something is forbidden");
    }
    outcome
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn the_rights_of_the_chart_are_enough_and_each_is_needed() {
    let release = Release::install("strait-system");
    let all = rights(&release.objects);
    assert!(all.len() > 15, "{}", all.len());
    for right in &all {
        until(&format!("{right} to be given"), || right.is_given(&release));
    }
    exercise(&release).unwrap();
    let mut unneeded = Vec::new();
    for right in &all {
        right.put(&release, false);
        match exercise(&release) {
            Err(Failure { step, said }) => {
                assert!(said.contains(&right.to_string()), "without {right}, which is not named: {step}: {said}");
                println!("without {right}, it is not so that {step}");
            }
            Ok(()) => unneeded.push(right.to_string()),
        }
        right.put(&release, true);
    }
    assert_eq!(unneeded, Vec::<String>::new(), "nothing fails without these");
    exercise(&release).unwrap();
}
