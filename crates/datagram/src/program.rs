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

    use std::io::Read;

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

    /// How often this thread has touched a page that was not mapped (proc_pid_stat(5), minflt).
    fn faults() -> u64 {
        // Without room of its own, which would be missing as well.
        let mut stat = [0; 1024];
        let read = fs::File::open("/proc/thread-self/stat").unwrap().read(&mut stat).unwrap();
        let (_, after_name) = std::str::from_utf8(&stat[..read]).unwrap().rsplit_once(") ").unwrap();
        after_name.split(' ').nth(7).unwrap().parse().unwrap()
    }

    /// In how many of a hundred rounds this thread finds pages missing after `work`, though it has just used them.
    fn rounds_with_faults(work: impl Fn()) -> usize {
        let finds_missing = |_: &i32| {
            let before = faults();
            work();
            faults() > before
        };
        // What the first rounds touch for the first time does not count.
        (0..120).filter(|round| finds_missing(round) && *round >= 20).count()
    }

    #[test]
    fn what_is_released_is_mapped_no_more_and_runs_on() {
        // Another thread may bring pages back before this one misses them.
        let released = rounds_with_faults(|| assert!(release_text().unwrap() > 0));
        let kept = rounds_with_faults(|| ());
        assert!(released > 50 && kept < 50, "{released} of 100 rounds with letting go, {kept} without");
    }
}
