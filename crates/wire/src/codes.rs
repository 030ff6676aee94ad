//! The numbers of DNS with their names: types, classes, opcodes, rcodes.

use std::fmt;
use std::str::FromStr;

macro_rules! code {
    ($(#[$doc:meta])* $type:ident($repr:ty), $generic:literal { $($(#[$item_doc:meta])* $name:ident = $value:literal $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub $repr);

        impl $type {
            $($(#[$item_doc])* pub const $name: Self = Self($value);)*

            /// The mnemonic, when the number has one.
            pub const fn mnemonic(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.mnemonic() {
                    Some(text) => f.pad(text),
                    None => f.pad(&format!(concat!($generic, "{}"), self.0)),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = UnknownMnemonic;

            /// Reads a mnemonic in any case, or the generic form with a number (RFC 3597 5).
            fn from_str(text: &str) -> Result<Self, UnknownMnemonic> {
                let upper = text.to_ascii_uppercase();
                match upper.as_str() {
                    $($text => Ok(Self($value)),)*
                    other => other
                        .strip_prefix($generic)
                        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
                        .and_then(|digits| digits.parse().ok())
                        .map(Self)
                        .ok_or(UnknownMnemonic),
                }
            }
        }
    };
}

/// Text that names no type, class, opcode or rcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown mnemonic")]
pub struct UnknownMnemonic;

code! {
    /// A resource record type.
    RecordType(u16), "TYPE" {
        /// RFC 1035.
        A = 1 "A",
        /// RFC 1035.
        NS = 2 "NS",
        /// RFC 1035.
        MD = 3 "MD",
        /// RFC 1035.
        MF = 4 "MF",
        /// RFC 1035.
        CNAME = 5 "CNAME",
        /// RFC 1035.
        SOA = 6 "SOA",
        /// RFC 1035.
        MB = 7 "MB",
        /// RFC 1035.
        MG = 8 "MG",
        /// RFC 1035.
        MR = 9 "MR",
        /// RFC 1035.
        PTR = 12 "PTR",
        /// RFC 1035.
        HINFO = 13 "HINFO",
        /// RFC 1035.
        MINFO = 14 "MINFO",
        /// RFC 1035.
        MX = 15 "MX",
        /// RFC 1035.
        TXT = 16 "TXT",
        /// RFC 1183.
        RP = 17 "RP",
        /// RFC 1183.
        AFSDB = 18 "AFSDB",
        /// RFC 1183.
        RT = 21 "RT",
        /// RFC 2535.
        SIG = 24 "SIG",
        /// RFC 2163.
        PX = 26 "PX",
        /// RFC 3596.
        AAAA = 28 "AAAA",
        /// RFC 2535.
        NXT = 30 "NXT",
        /// RFC 2782.
        SRV = 33 "SRV",
        /// RFC 3403.
        NAPTR = 35 "NAPTR",
        /// RFC 2230.
        KX = 36 "KX",
        /// RFC 6672.
        DNAME = 39 "DNAME",
        /// RFC 6891.
        OPT = 41 "OPT",
        /// RFC 4034.
        DS = 43 "DS",
        /// RFC 4255.
        SSHFP = 44 "SSHFP",
        /// RFC 4025.
        IPSECKEY = 45 "IPSECKEY",
        /// RFC 4034.
        RRSIG = 46 "RRSIG",
        /// RFC 4034.
        NSEC = 47 "NSEC",
        /// RFC 4034.
        DNSKEY = 48 "DNSKEY",
        /// RFC 5155.
        NSEC3 = 50 "NSEC3",
        /// RFC 6698.
        TLSA = 52 "TLSA",
        /// RFC 8005.
        HIP = 55 "HIP",
        /// Trust anchor link (IANA).
        TALINK = 58 "TALINK",
        /// RFC 9460.
        SVCB = 64 "SVCB",
        /// RFC 9460.
        HTTPS = 65 "HTTPS",
        /// RFC 9859.
        DSYNC = 66 "DSYNC",
        /// RFC 6742.
        LP = 107 "LP",
        /// RFC 8659.
        CAA = 257 "CAA",
        /// RFC 8777.
        AMTRELAY = 260 "AMTRELAY",
        /// RFC 8945.
        TSIG = 250 "TSIG",
        /// RFC 1995.
        IXFR = 251 "IXFR",
        /// RFC 5936.
        AXFR = 252 "AXFR",
        /// RFC 8482.
        ANY = 255 "ANY",
    }
}

impl RecordType {
    /// Whether the number asks for something other than data of one type (RFC 6895 3.1):
    /// OPT, and the QTYPEs and Meta-TYPEs 128 to 255.
    pub const fn is_meta(self) -> bool {
        self.0 == 41 || (self.0 >= 128 && self.0 <= 255)
    }
}

impl Rcode {
    /// The rcode for who does not speak EDNS: one that does not fit into four bits is SERVFAIL there.
    pub(crate) const fn without_edns(self) -> Self {
        if self.0 > 0xf { Self::SERVFAIL } else { self }
    }
}

code! {
    /// A class.
    Class(u16), "CLASS" {
        /// The Internet, the only class we serve.
        IN = 1 "IN",
        /// Chaos.
        CH = 3 "CH",
        /// Hesiod.
        HS = 4 "HS",
        /// RFC 2136.
        NONE = 254 "NONE",
        /// RFC 1035.
        ANY = 255 "ANY",
    }
}

code! {
    /// What kind of message a query is (4 bits).
    Opcode(u8), "OPCODE" {
        /// A question, the only opcode we serve.
        QUERY = 0 "QUERY",
        /// Obsolete (RFC 3425).
        IQUERY = 1 "IQUERY",
        /// RFC 1035.
        STATUS = 2 "STATUS",
        /// RFC 1996.
        NOTIFY = 4 "NOTIFY",
        /// RFC 2136.
        UPDATE = 5 "UPDATE",
        /// RFC 8490.
        DSO = 6 "DSO",
    }
}

code! {
    /// A response code; those over 15 need EDNS (RFC 6891 6.1.3).
    Rcode(u16), "RCODE" {
        /// No error.
        NOERROR = 0 "NOERROR",
        /// The query could not be read.
        FORMERR = 1 "FORMERR",
        /// No answer could be had.
        SERVFAIL = 2 "SERVFAIL",
        /// The name does not exist.
        NXDOMAIN = 3 "NXDOMAIN",
        /// The kind of query is not served.
        NOTIMP = 4 "NOTIMP",
        /// The query is not allowed.
        REFUSED = 5 "REFUSED",
        /// RFC 2136.
        YXDOMAIN = 6 "YXDOMAIN",
        /// RFC 2136.
        NOTAUTH = 9 "NOTAUTH",
        /// EDNS version not served (RFC 6891 6.1.3).
        BADVERS = 16 "BADVERS",
        /// RFC 7873.
        BADCOOKIE = 23 "BADCOOKIE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3597_5_types_by_name_and_by_number() {
        for (text, rtype) in [
            ("A", Ok(RecordType::A)),
            ("aaaa", Ok(RecordType::AAAA)),
            ("TYPE1", Ok(RecordType::A)),
            ("type65400", Ok(RecordType(65_400))),
            ("TYPE65536", Err(UnknownMnemonic)),
            ("TYPE", Err(UnknownMnemonic)),
            ("TYPE+1", Err(UnknownMnemonic)),
            ("BOGUS", Err(UnknownMnemonic)),
            ("", Err(UnknownMnemonic)),
        ] {
            assert_eq!(text.parse(), rtype, "{text:?}");
        }
        assert_eq!((RecordType(65_400).to_string(), RecordType::SRV.to_string()), ("TYPE65400".into(), "SRV".into()));
        assert_eq!((Rcode(99).to_string(), Class::CH.to_string()), ("RCODE99".into(), "CH".into()));
    }

    #[test]
    fn every_number_reads_what_it_shows() {
        for number in 0..=u16::MAX {
            assert_eq!(RecordType(number).to_string().parse(), Ok(RecordType(number)));
        }
    }

    #[test]
    fn rfc6891_6_1_3_rcodes_without_edns() {
        assert_eq!(Rcode::REFUSED.without_edns(), Rcode::REFUSED);
        assert_eq!(Rcode::BADVERS.without_edns(), Rcode::SERVFAIL);
    }
}
