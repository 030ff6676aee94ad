//! Record types by name: besides those that [`strait_wire`] names, every other one that IANA has assigned.

use strait_wire::RecordType;

use super::ZoneError;
use super::text::Token;

/// Types that are read from text here and named nowhere else.
pub(super) mod numbers {
    use strait_wire::RecordType;

    pub(in crate::zone) const LOC: RecordType = RecordType(29);
    pub(in crate::zone) const CERT: RecordType = RecordType(37);
    pub(in crate::zone) const APL: RecordType = RecordType(42);
    pub(in crate::zone) const DHCID: RecordType = RecordType(49);
    pub(in crate::zone) const SMIMEA: RecordType = RecordType(53);
    pub(in crate::zone) const CDS: RecordType = RecordType(59);
    pub(in crate::zone) const CDNSKEY: RecordType = RecordType(60);
    pub(in crate::zone) const OPENPGPKEY: RecordType = RecordType(61);
    pub(in crate::zone) const CSYNC: RecordType = RecordType(62);
    pub(in crate::zone) const ZONEMD: RecordType = RecordType(63);
    pub(in crate::zone) const SPF: RecordType = RecordType(99);
    pub(in crate::zone) const EUI48: RecordType = RecordType(108);
    pub(in crate::zone) const EUI64: RecordType = RecordType(109);
    pub(in crate::zone) const URI: RecordType = RecordType(256);
}

/// Assigned mnemonics besides those of [`RecordType`] (IANA, Resource Record (RR) TYPEs).
const RARE: &[(&str, u16)] = &[
    ("NULL", 10),
    ("WKS", 11),
    ("X25", 19),
    ("ISDN", 20),
    ("NSAP", 22),
    ("NSAP-PTR", 23),
    ("KEY", 25),
    ("GPOS", 27),
    ("LOC", 29),
    ("EID", 31),
    ("NIMLOC", 32),
    ("ATMA", 34),
    ("CERT", 37),
    ("A6", 38),
    ("SINK", 40),
    ("APL", 42),
    ("IPSECKEY", 45),
    ("DHCID", 49),
    ("NSEC3PARAM", 51),
    ("SMIMEA", 53),
    ("HIP", 55),
    ("NINFO", 56),
    ("RKEY", 57),
    ("TALINK", 58),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("DSYNC", 66),
    ("HHIT", 67),
    ("BRID", 68),
    ("SPF", 99),
    ("UINFO", 100),
    ("UID", 101),
    ("GID", 102),
    ("UNSPEC", 103),
    ("NID", 104),
    ("L32", 105),
    ("L64", 106),
    ("LP", 107),
    ("EUI48", 108),
    ("EUI64", 109),
    ("NXNAME", 128),
    ("TKEY", 249),
    ("MAILB", 253),
    ("MAILA", 254),
    ("URI", 256),
    ("AVC", 258),
    ("DOA", 259),
    ("AMTRELAY", 260),
    ("RESINFO", 261),
    ("WALLET", 262),
    ("CLA", 263),
    ("IPN", 264),
    ("TA", 32768),
    ("DLV", 32769),
];

/// The type that a mnemonic, or `TYPE` and a number, names (RFC 3597 5).
pub fn record_type(text: &str) -> Option<RecordType> {
    let rare = || RARE.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, number)| RecordType(*number));
    text.parse().ok().or_else(rare)
}

/// A type as people write it.
pub(super) fn name(rtype: RecordType) -> String {
    let rare = RARE.iter().find(|(_, number)| *number == rtype.0 && rtype.mnemonic().is_none());
    rare.map_or_else(|| rtype.to_string(), |(name, _)| (*name).to_owned())
}

/// The bit map of the types that `tokens` name (RFC 4034 4.1.2).
pub(super) fn bit_map(tokens: &[Token]) -> Result<Vec<u8>, ZoneError> {
    let mut numbers = Vec::with_capacity(tokens.len());
    for token in tokens {
        let rtype = record_type(&token.text);
        numbers.push(rtype.ok_or_else(|| token.error(format!("{:?} is not a record type", token.text)))?.0);
    }
    numbers.sort_unstable();
    let mut bytes = Vec::new();
    for window in numbers.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0u8; 32];
        let mut length = 0;
        for number in window {
            let low = usize::from(number & 0xff);
            bits[low / 8] |= 0x80 >> (low % 8);
            length = low / 8 + 1;
        }
        // A window has at most 32 octets.
        bytes.extend([(window[0] >> 8) as u8, length as u8]);
        bytes.extend_from_slice(&bits[..length]);
    }
    Ok(bytes)
}
