//! `gatewayctl node-address`, in a network namespace of its own.

use std::process::Command;

use strait_tests::program::{binary, run};
use strait_tests::tool;
use strait_tests::tools::skip;

/// Runs a script with `gatewayctl` as `$0` in a network namespace that ends with it; none where that is not allowed.
fn in_a_network_of_its_own(script: &str) -> Option<String> {
    let unshare = tool("unshare")?;
    let mut command = Command::new(unshare);
    // As root of a user namespace as well, so that root is not needed where the system lets users have one.
    command.args(["--net", "--user", "--map-root-user", "sh", "-euc", script]).arg(binary("gatewayctl"));
    let output = run(&mut command);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if text.contains("unshare:") {
        skip(&format!("no network namespace: {text}"));
        return None;
    }
    assert!(output.status.success(), "{text}");
    Some(text)
}

#[test]
fn a_link_with_addresses_is_made_found_and_removed() {
    let Some(made) = in_a_network_of_its_own("\"$0\" node-address add 169.254.20.53 || true") else { return };
    if made.contains("error:") {
        // A kernel without such links: it is said, and what to do.
        assert!(made.contains("cannot make the link strait-dns"), "{made}");
        assert!(made.contains("the kernel's module `dummy`; without the module use --link lo"), "{made}");
        return;
    }
    let Some(told) = in_a_network_of_its_own(
        "\"$0\" node-address add 169.254.20.53 fd00::53
         # Again, as the next agent does, with one more.
         \"$0\" node-address add 169.254.20.53 169.254.20.54 fd00::53
         cat /proc/net/fib_trie | grep -B1 'host LOCAL' | grep -o '169.254.20.5[0-9]' | sort -u
         grep strait-dns /proc/net/if_inet6 | grep -o '^fd00[0-9a-f]* [0-9a-f]* [0-9a-f]* [0-9a-f]* [0-9a-f]*'
         \"$0\" node-address remove
         \"$0\" node-address remove
         ! grep -q strait-dns /proc/net/dev",
    ) else {
        return;
    };
    let once = "strait-dns has 169.254.20.53\n";
    assert_eq!(
        told,
        format!(
            "{once}strait-dns has fd00::53\n{once}strait-dns has 169.254.20.54\nstrait-dns has fd00::53\n\
             169.254.20.53\n169.254.20.54\n\
             fd000000000000000000000000000053 02 80 00 82\n\
             strait-dns is gone\nthere is no strait-dns\n"
        )
    );
}

#[test]
fn an_address_can_be_answered_on_at_once() {
    // An IPv6 address that is still looked for on the link cannot be bound; this one can (IFA_F_NODAD).
    let agent = binary("node-agent");
    let script = format!(
        "\"$0\" node-address add --link lo fd00::53 169.254.20.53
         # Again, as the next agent does, with one more.
         \"$0\" node-address add --link lo fd00::53 169.254.20.53 169.254.20.54
         grep -o '^fd00[0-9a-f]* [0-9a-f]* [0-9a-f]* [0-9a-f]* [0-9a-f]*' /proc/net/if_inet6
         printf 'node: n\\nlisten: [\"[fd00::53]:53\", 169.254.20.53]\\nlameduck: 0s\\n' > \"$PWD/agent.yaml\"
         {} --config \"$PWD/agent.yaml\" 2>agent.log &
         tries=0
         until grep -q answering agent.log; do
             tries=$((tries + 1)); [ $tries -lt 200 ] || {{ cat agent.log; exit 1; }}; sleep 0.05
         done
         \"$0\" query localhost --server '[fd00::53]:53' -o json | grep -o NOERROR
         \"$0\" query localhost --server 169.254.20.53 -o json | grep -o NOERROR
         kill $!",
        agent.display()
    );
    let folder = strait_tests::Folder::new();
    let Some(told) = in_a_network_of_its_own(&format!("cd '{}'\n{script}", folder.path("").display())) else { return };
    assert_eq!(
        told,
        "lo has fd00::53\nlo has 169.254.20.53\nlo has fd00::53\nlo has 169.254.20.53\nlo has 169.254.20.54\n\
         fd000000000000000000000000000053 01 80 00 82\nNOERROR\nNOERROR\n"
    );
}

#[test]
fn a_link_that_serves_something_else_is_neither_used_nor_removed() {
    // A bridge, as a network plug-in has one, and one end of a pair, as pods have them.
    let Some(told) = in_a_network_of_its_own(
        "ip link add cni0 type bridge 2>/dev/null && ip link add pod0 type veth peer name pod1 2>/dev/null ||
             { echo no such links; exit; }
         for link in cni0 pod0; do
             ! \"$0\" node-address add --link $link 169.254.20.53
             ip address add 169.254.20.54/16 dev $link
             ! \"$0\" node-address remove --link $link
             # An address of a network is not one that was given by `add`.
             \"$0\" node-address remove --link $link 169.254.20.54
             ip address add 169.254.20.53/32 dev $link
             \"$0\" node-address remove --link $link 169.254.20.53
             ip -4 -oneline address show dev $link | grep -o '169[0-9./]*' | head -n 1
             ip -oneline link show dev $link | grep -o UP || echo down
             ip link delete $link
         done",
    ) else {
        return;
    };
    if told.contains("no such links") {
        return skip("a kernel without bridges and pairs");
    }
    let (mut lines, mut expected) = (told.lines().collect::<Vec<_>>(), Vec::new());
    for (link, kind) in [("cni0", "bridge"), ("pod0", "veth")] {
        expected.extend([
            format!("{link} does not have 169.254.20.54 by itself"),
            format!("{link} has 169.254.20.53 no more"),
            "169.254.20.54/16".to_owned(),
            "down".to_owned(),
            format!("error: {link} is a link of kind {kind}, which serves something else; name a link that there is not yet, or lo, with --link (`nodeLocal.link` of the chart)"),
            format!("error: {link} is a link of kind {kind} and stays; name the addresses to take away from it: node-address remove --link {link} ADDR..."),
        ]);
    }
    // What is said and what is told come over two pipes.
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn the_loopback_link_gives_its_addresses_back_and_stays() {
    let Some(told) = in_a_network_of_its_own(
        "\"$0\" node-address add --link lo 169.254.20.53 fd00::53
         \"$0\" node-address remove --link lo 2>&1 || true
         \"$0\" node-address remove --link lo 169.254.20.53 fd00::53
         \"$0\" node-address remove --link lo fd00::53
         \"$0\" node-address remove --link lo ::1 >/dev/null 2>&1 || echo refused
         cut -d' ' -f1 /proc/net/if_inet6
         grep -c 169.254 /proc/net/fib_trie || true",
    ) else {
        return;
    };
    assert_eq!(
        told,
        "lo has 169.254.20.53\nlo has fd00::53\n\
         error: lo is the loopback link and stays; name the addresses to take away from it: node-address remove --link lo ADDR...\n\
         lo has 169.254.20.53 no more\nlo has fd00::53 no more\n\
         lo does not have fd00::53 by itself\nrefused\n\
         00000000000000000000000000000001\n0\n"
    );
}

#[test]
fn without_the_capability_it_says_so() {
    let output = run(Command::new(binary("gatewayctl")).args([
        "node-address",
        "add",
        "--link",
        "x".repeat(16).as_str(),
        "fd00::53",
    ]));
    assert_eq!(output.status.code(), Some(2));
    let Some(unshare) = tool("unshare") else { return };
    // Nobody's root: an unprivileged user where we are root, ourselves elsewhere.
    let mut command = Command::new(unshare);
    command.args(["--user", "--"]).arg(binary("gatewayctl")).args(["node-address", "add", "169.254.20.53"]);
    let output = run(&mut command);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.contains("unshare:") {
        return skip(&format!("no user namespace: {text}"));
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("needs the capability CAP_NET_ADMIN"), "{text}");
}
