//! How a line looks: `key=value` text, or one JSON object.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::QueryLogEntry;

/// One line of text with its newline. No value can hold a blank: names are escaped (RFC 1035 5.1).
pub(super) fn text(entry: &QueryLogEntry) -> String {
    let identity = entry.identity.as_ref().map_or_else(|| "-".to_owned(), |identity| identity.id.to_string());
    format!(
        "{} client={} transport={} identity={identity} name={} type={} rcode={} zone={} source={} cached={} duration_us={}\n",
        timestamp(entry.time),
        entry.client,
        entry.transport,
        entry.name,
        entry.rtype,
        entry.rcode,
        entry.zone,
        entry.source,
        entry.cached,
        entry.duration.as_micros(),
    )
}

/// One JSON object with its newline.
pub(super) fn json(entry: &QueryLogEntry) -> String {
    let object = serde_json::json!({
        "time": timestamp(entry.time),
        "client": entry.client.to_string(),
        "transport": entry.transport.as_str(),
        "identity": entry.identity.as_ref().map(|identity| identity.id.to_string()),
        "name": entry.name.to_string(),
        "type": entry.rtype.to_string(),
        "rcode": entry.rcode.to_string(),
        "zone": &*entry.zone,
        "source": entry.source,
        "cached": entry.cached,
        "duration_us": u64::try_from(entry.duration.as_micros()).unwrap_or(u64::MAX),
    });
    format!("{object}\n")
}

/// RFC 3339, UTC. A clock outside the years 0 to 9999 has no such form; the line is still worth having.
fn timestamp(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_else(|_| "-".to_owned())
}
