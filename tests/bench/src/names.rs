//! What is asked, and whether what comes back is the answer to it.
//!
//! Written out by hand, with nothing of what is measured: the judge is not the judged.

use std::sync::atomic::{AtomicU64, Ordering};

/// The address that every name has.
pub(crate) const ADDRESS: [u8; 4] = [192, 0, 2, 1];

/// Octets before the question.
const HEADER: usize = 12;

/// The names that a load asks for, in its order.
#[derive(Debug, Clone)]
pub(crate) enum Names {
    /// The same ones again and again.
    Known { packets: Vec<Vec<u8>>, next: usize },
    /// Every one new: never asked before by this process.
    Fresh { packet: Vec<u8>, counter: u64 },
    /// One of each kind in turn.
    Mixed { kinds: Vec<Names>, turn: usize },
}

impl Names {
    /// `<prefix>0.<zone>` to `<prefix><count - 1>.<zone>`.
    pub(crate) fn known(prefix: &str, count: usize, zone: &str) -> Self {
        let packets = (0..count).map(|number| question(&format!("{prefix}{number}.{zone}"))).collect();
        Self::Known { packets, next: 0 }
    }

    /// Names of sixteen hexadecimal digits in `zone`.
    pub(crate) fn fresh(zone: &str) -> Self {
        static SERIES: AtomicU64 = AtomicU64::new(0);
        let counter = SERIES.fetch_add(1, Ordering::Relaxed) << 40;
        Self::Fresh { packet: question(&format!("{:016x}.{zone}", 0)), counter }
    }

    /// One of each kind in turn; a kind that is there several times comes more often.
    pub(crate) fn mixed(kinds: impl IntoIterator<Item = Self>) -> Self {
        Self::Mixed { kinds: kinds.into_iter().collect(), turn: 0 }
    }

    /// The next question, with identifier 0.
    pub(crate) fn next(&mut self) -> &[u8] {
        match self {
            Self::Known { packets, next } => {
                *next = (*next + 1) % packets.len();
                &packets[*next]
            }
            Self::Fresh { packet, counter } => {
                *counter += 1;
                for (place, octet) in packet[HEADER + 1..HEADER + 17].iter_mut().enumerate() {
                    *octet = b"0123456789abcdef"[(*counter >> (60 - 4 * place)) as usize & 15];
                }
                packet
            }
            Self::Mixed { kinds, turn } => {
                *turn = (*turn + 1) % kinds.len();
                kinds[*turn].next()
            }
        }
    }

    /// How many there are; none when they never end.
    pub(crate) fn count(&self) -> Option<usize> {
        match self {
            Self::Known { packets, .. } => Some(packets.len()),
            Self::Fresh { .. } | Self::Mixed { .. } => None,
        }
    }
}

/// A question for the address of a name, as a stub resolver asks it: RD, no EDNS.
pub(crate) fn question(name: &str) -> Vec<u8> {
    let mut packet = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

/// Is this a complete NOERROR reply to that question with [`ADDRESS`] in it? Identifiers are not compared.
pub(crate) fn is_answer(question: &[u8], reply: &[u8]) -> bool {
    let asked = &question[HEADER..];
    let Some(rest) = reply.get(HEADER..).and_then(|body| body.strip_prefix(asked)) else { return false };
    let is_reply = reply[2] & 0x80 != 0;
    let truncated = reply[2] & 0x02 != 0;
    let rcode = reply[3] & 0x0f;
    let answers = u16::from_be_bytes([reply[6], reply[7]]);
    is_reply && !truncated && rcode == 0 && answers == 1 && first_record(rest).is_some_and(|rdata| rdata == ADDRESS)
}

/// The data of the record at the start, when its type is A.
fn first_record(mut rest: &[u8]) -> Option<&[u8]> {
    // The owner: labels, and a root or a pointer at the end (RFC 1035 4.1.4).
    loop {
        match *rest.first()? {
            0 => break rest = rest.get(1..)?,
            pointer if pointer >= 0xc0 => break rest = rest.get(2..)?,
            length => rest = rest.get(1 + usize::from(length)..)?,
        }
    }
    let (fixed, data) = rest.split_at_checked(10)?;
    (fixed[..4] == [0, 1, 0, 1]).then(|| data.get(..usize::from(u16::from_be_bytes([fixed[8], fixed[9]]))))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(question: &[u8], owner: &[u8], rtype: u8, data: &[u8]) -> Vec<u8> {
        let mut reply = question.to_vec();
        reply[2] |= 0x80;
        reply[7] = 1;
        reply.extend_from_slice(owner);
        reply.extend_from_slice(&[0, rtype, 0, 1, 0, 0, 0, 9, 0, data.len() as u8]);
        reply.extend_from_slice(data);
        reply
    }

    #[test]
    fn only_the_right_address_for_the_right_name_is_an_answer() {
        let asked = question("a.example");
        let right = reply(&asked, &[0xc0, 12], 1, &ADDRESS);
        assert!(is_answer(&asked, &right));
        assert!(is_answer(&asked, &reply(&asked, b"\x01a\x07example\0", 1, &ADDRESS)), "an owner written out");
        assert!(!is_answer(&question("b.example"), &right), "another question");
        assert!(!is_answer(&asked, &reply(&asked, &[0xc0, 12], 1, &[192, 0, 2, 2])), "another address");
        assert!(!is_answer(&asked, &reply(&asked, &[0xc0, 12], 28, &ADDRESS)), "another type");
        assert!(!is_answer(&asked, &asked), "the question itself");
        for (octet, bits) in [(2, 0x02), (3, 0x02), (3, 0x03)] {
            let mut wrong = right.clone();
            wrong[octet] |= bits;
            assert!(!is_answer(&asked, &wrong), "TC, SERVFAIL, NXDOMAIN");
        }
        for length in 0..right.len() {
            assert!(!is_answer(&asked, &right[..length]), "cut off after {length} octets");
        }
    }

    #[test]
    fn fresh_names_do_not_repeat() {
        let (mut one, mut other) = (Names::fresh("example"), Names::fresh("example"));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            assert!(seen.insert(one.next().to_vec()));
            assert!(seen.insert(other.next().to_vec()));
        }
    }

    #[test]
    fn mixed_names_take_turns() {
        let mut names = Names::mixed([Names::known("a", 1, "example"), Names::known("b", 1, "example")]);
        let asked: Vec<u8> = (0..4).map(|_| names.next()[13]).collect();
        assert_eq!(asked, *b"baba");
    }

    #[test]
    fn known_names_come_round() {
        let mut names = Names::known("n", 3, "example");
        let first = names.next().to_vec();
        assert_ne!(names.next(), first);
        assert_ne!(names.next(), first);
        assert_eq!(names.next(), first);
    }
}
