#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use strait_resolve::{BoxFuture, Source};
use strait_wire::Answer;

use super::*;

struct Nobody;

impl Source for Nobody {
    fn answer<'a>(&'a self, _: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        unreachable!("only its place matters")
    }
}

fn member(name: &str, standing: Standing, weight: u32) -> Member {
    let suffix = format!("{name}.example.com").parse().unwrap();
    Member { name: name.to_owned(), suffix, standing, weight, source: Arc::new(Nobody) }
}

fn order(members: &[Member], asked: &str) -> Vec<String> {
    let ordered = in_order(members.to_vec(), &asked.parse().unwrap());
    ordered.into_iter().map(|member| member.name).collect()
}

#[test]
fn health_comes_before_weight_and_who_is_gone_is_not_asked() {
    let members = [
        member("gone", Standing::Gone, 1_000),
        member("doubtful", Standing::Doubtful, 1_000),
        member("well", Standing::Well, 1),
        member("last", Standing::Well, 0),
    ];
    for number in 0..100 {
        let ordered = order(&members, &format!("web-{number}.shop.svc.clusterset.local"));
        assert_eq!(ordered, ["well", "last", "doubtful"], "{number}");
    }
}

#[test]
fn services_are_spread_by_weight() {
    let members = [member("b", Standing::Well, 1), member("c", Standing::Well, 3)];
    let first = |number: u32| order(&members, &format!("web-{number}.shop.svc.clusterset.local")).swap_remove(0);
    let of_b = (0..4_000).filter(|number| first(*number) == "b").count();
    // A quarter, and five standard deviations of 27 to either side.
    assert!((865..=1_135).contains(&of_b), "{of_b} of 4000");
}

#[test]
fn every_name_of_a_service_is_asked_in_one_order() {
    let members: Vec<Member> = (0..8).map(|number| member(&format!("cluster-{number}"), Standing::Well, 1)).collect();
    let of_service = order(&members, "web.shop.svc.clusterset.local");
    for below in ["_http._tcp", "web-0.cluster-b", "cluster-b", "_tcp"] {
        assert_eq!(order(&members, &format!("{below}.web.shop.svc.clusterset.local")), of_service, "{below}");
    }
    let mut turned = members.clone();
    turned.reverse();
    assert_eq!(order(&turned, "web.shop.svc.clusterset.local"), of_service);
    assert_ne!(order(&members, "db.shop.svc.clusterset.local"), of_service);
}
