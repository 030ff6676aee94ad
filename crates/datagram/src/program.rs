//! The program's own machine code in memory. What only the start needs (command line, configuration, certificates) stays
//! mapped after it, two thirds of all, since the kernel maps what lies beside what is touched.

use std::fs;
use std::io;
use std::ops::Range;

use crate::system;

/// A mapping of the program's machine code: private, from a file, executable and not writable, so that the file says
/// what it holds.
pub(crate) struct Text(Range<usize>);

impl Text {
    /// Its addresses.
    pub(crate) fn addresses(&self) -> Range<usize> {
        self.0.clone()
    }
}

/// Lets go of the pages of the program's machine code; those that are used again come back from the page cache, as they
/// came at first. How many octets are mapped so.
pub fn release_text() -> io::Result<usize> {
    let program = fs::read_link("/proc/self/exe")?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mut released = 0;
    for text in maps.lines().filter_map(|line| text_of(line, program.as_os_str().to_str()?)) {
        released += text.0.len();
        system::release(&text)?;
    }
    Ok(released)
}

/// The mapping of a line of proc_pid_maps(5), when it is machine code of `program`.
fn text_of(line: &str, program: &str) -> Option<Text> {
    let mut fields = line.splitn(6, ' ');
    let (addresses, permissions) = (fields.next()?, fields.next()?);
    let path = fields.nth(3)?.trim_start();
    if permissions != "r-xp" || path != program {
        return None;
    }
    let (start, end) = addresses.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(Text(address(start)?..address(end)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_machine_code_of_the_program_is_released() {
        let cases = [
            ("7f00aa000000-7f00ab000000 r-xp 002d5000 fe:00 131  /usr/bin/strait", Some(0x100_0000)),
            // Relocated: what the file has there is something else.
            ("7f00aa000000-7f00ab000000 r--p 002d5000 fe:00 131  /usr/bin/strait", None),
            ("7f00aa000000-7f00ab000000 rw-p 002d5000 fe:00 131  /usr/bin/strait", None),
            ("7f00aa000000-7f00ab000000 rwxp 002d5000 fe:00 131  /usr/bin/strait", None),
            // Somebody else's, and nobody's.
            ("7f00aa000000-7f00ab000000 r-xp 002d5000 fe:00 131  /usr/lib/libc.so.6", None),
            ("7f00aa000000-7f00ab000000 r-xp 00000000 00:00 0 ", None),
            ("7f00aa000000-7f00ab000000 r-xp 00000000 00:00 0  [vdso]", None),
        ];
        for (line, length) in cases {
            assert_eq!(text_of(line, "/usr/bin/strait").map(|text| text.addresses().len()), length, "{line}");
        }
    }

    /// Resident kibibytes of this program's machine code.
    fn resident() -> u64 {
        let program = fs::read_link("/proc/self/exe").unwrap();
        let maps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut of_text = false;
        let mut sum = 0;
        for line in maps.lines() {
            if line.split_whitespace().next().is_some_and(|first| first.contains('-')) {
                of_text = text_of(line, program.to_str().unwrap()).is_some();
            } else if let Some(rss) = line.strip_prefix("Rss:").filter(|_| of_text) {
                sum += rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
        }
        sum
    }

    #[test]
    fn what_is_released_is_less_resident_and_runs_on() {
        let before = resident();
        let mapped = release_text().unwrap();
        let after = resident();
        assert!(mapped > 0 && after < before, "{before} KiB, then {after} of {} mapped", mapped >> 10);
    }
}
