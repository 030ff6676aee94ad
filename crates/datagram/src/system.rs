//! The system calls: `recvmmsg`, `sendmmsg`, `madvise` and the socket options the standard library does not know. The one place of
//! the product with unsafe code; each call's headers are built for it and dropped with it, so that no raw pointer
//! outlives the borrows it was made from.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, c_uint, c_void, iovec, mmsghdr, socklen_t};

use crate::address::RawAddress;
use crate::control::Control;
use crate::inbound::{Head, STRIDE};
use crate::outbound::Envelope;
use crate::program::Text;
use crate::{BATCH, MAX_DATAGRAM, Wait};

/// Fills stretches of `octets` and their heads, from the first on; how many.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    octets: &mut [u8],
    heads: &mut [Head; BATCH],
    wait: Wait,
) -> io::Result<usize> {
    let mut parts = [NO_PART; BATCH];
    let mut headers = [NO_HEADER; BATCH];
    let room = octets.chunks_exact_mut(STRIDE).zip(&mut *heads);
    for ((header, part), (octets, head)) in headers.iter_mut().zip(&mut parts).zip(room) {
        let octets = &mut octets[..MAX_DATAGRAM];
        *part = iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: octets.len() };
        let header = &mut header.msg_hdr;
        header.msg_name = head.sender.as_mut_ptr();
        header.msg_namelen = RawAddress::CAPACITY as socklen_t;
        header.msg_iov = part;
        header.msg_iovlen = 1;
        header.msg_control = head.control.as_mut_ptr();
        header.msg_controllen = Control::CAPACITY as _;
    }
    // After the first datagram it takes only what is there.
    let flags = libc::MSG_WAITFORONE | flags(wait);
    // SAFETY: `headers` holds BATCH headers. Each is empty, or points to an address, one part and a control buffer, with
    // their true capacities, in `heads`, `parts` and `octets`; these are borrowed mutably or owned here and outlive the
    // call, and nothing else reads or writes them during it. The kernel keeps no pointer after it returns. No timeout
    // is passed.
    let received = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as c_uint, flags as _, ptr::null_mut())
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?.min(BATCH);
    for (header, head) in headers.iter().zip(heads).take(received) {
        head.len = (header.msg_len as usize).min(MAX_DATAGRAM);
        head.cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        head.sender.len = header.msg_hdr.msg_namelen.min(RawAddress::CAPACITY as socklen_t);
        // `size_t`, and `socklen_t` with musl.
        let control_len: usize = header.msg_hdr.msg_controllen as _;
        head.control.len = control_len.min(Control::CAPACITY);
    }
    Ok(received)
}

/// Sends the first envelopes, at least one and at most a batch; how many. An error is about the very first.
pub(crate) fn send(socket: BorrowedFd<'_>, octets: &[u8], envelopes: &[Envelope], wait: Wait) -> io::Result<usize> {
    let mut parts = [NO_PART; BATCH];
    let mut headers = [NO_HEADER; BATCH];
    for ((header, envelope), part) in headers.iter_mut().zip(envelopes).zip(&mut parts) {
        let bytes = &octets[envelope.octets.clone()];
        *part = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let header = &mut header.msg_hdr;
        if envelope.receiver.len > 0 {
            header.msg_name = envelope.receiver.as_ptr().cast_mut();
            header.msg_namelen = envelope.receiver.len;
        }
        header.msg_iov = part;
        header.msg_iovlen = 1;
        if envelope.control.len > 0 {
            header.msg_control = envelope.control.as_ptr().cast_mut();
            header.msg_controllen = envelope.control.len as _;
        }
    }
    let count = envelopes.len().min(BATCH) as c_uint;
    // SAFETY: the first `count` of `headers` were filled above. Each points to one part, and to an address and a control
    // message or nothing, of the lengths told, in `parts`, `octets` and `envelopes`, which outlive the call. The kernel
    // only reads through these pointers (they are mutable because the structures serve receiving as well), writes
    // nothing but the `msg_len` of `headers`, and keeps none after it returns.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, flags(wait) as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

const NO_PART: iovec = iovec { iov_base: ptr::null_mut(), iov_len: 0 };

// SAFETY: `mmsghdr` is integers and raw pointers, for which zero is a value; libc gives some targets private padding
// fields, so that it cannot be written out.
const NO_HEADER: mmsghdr = unsafe { std::mem::zeroed() };

fn flags(wait: Wait) -> c_int {
    match wait {
        Wait::Yes => 0,
        Wait::No => libc::MSG_DONTWAIT,
    }
}

/// Makes the kernel tell with each datagram the address it was sent to.
pub(crate) fn tell_local_addresses(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    match v6 {
        true => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
        false => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
    }
}

/// Asks for a receive buffer of so many octets: beyond the system's limit where that is allowed, else up to it.
pub(crate) fn set_receive_buffer(socket: BorrowedFd<'_>, octets: usize) -> io::Result<()> {
    let octets = c_int::try_from(octets).unwrap_or(c_int::MAX);
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets)
        .or_else(|_| set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, octets))
}

fn set_option(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let len = size_of::<c_int>() as socklen_t;
    // SAFETY: the kernel reads `len` octets from `value`, which is of that length and lives until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Datagrams that the kernel has dropped on this socket.
pub(crate) fn dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    /// Of the counts of `SO_MEMINFO` (linux/sock_diag.h), the one of drops: the same that `SO_RXQ_OVFL` puts on each
    /// datagram, here without its cost and without waiting for the next datagram.
    const DROPS: usize = 8;
    let mut counts = [0_u32; DROPS + 1];
    let mut len = size_of_val(&counts) as socklen_t;
    let into: *mut c_void = counts.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `len` octets to `counts`, which is of that length, and the number written to
    // `len`; both live until the call returns and nothing else uses them during it.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, into, &mut len) };
    match result {
        0 if len as usize == size_of_val(&counts) => Ok(counts[DROPS]),
        0 => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets go of the pages of machine code.
pub(crate) fn release(text: &Text) -> io::Result<()> {
    let addresses = text.addresses();
    let start: *mut c_void = ptr::with_exposed_provenance_mut(addresses.start);
    // SAFETY: the mapping is private, not writable and of a file, so that nothing has been written to it that the file does
    // not have; a page that is used again is read from there. No Rust object lies in machine code.
    let result = unsafe { libc::madvise(start, addresses.len(), libc::MADV_DONTNEED) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
