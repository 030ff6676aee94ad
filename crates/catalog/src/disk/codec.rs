//! The objects of a picture as octets: numbers in network order, text and lists after their lengths.

use std::net::IpAddr;
use std::sync::Arc;

use strait_wire::Name;

use crate::{
    Endpoint, EndpointSlice, Imported, Kind, Label, Pod, Port, Protocol, Service, ServiceExport, ServiceKind, SetState,
    Snapshot,
};

/// What every thing that is stored can do.
trait Stored: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// The objects, written.
pub(super) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    put_kinds(&snapshot.kinds, &mut out);
    put_all(&snapshot.namespaces, &mut out);
    put_all(&snapshot.services, &mut out);
    put_all(&snapshot.slices, &mut out);
    put_all(&snapshot.pods, &mut out);
    snapshot.set.put(&mut out);
    put_all(&snapshot.exports, &mut out);
    put_all(&snapshot.imports, &mut out);
    out
}

/// The objects, read; none when the octets are not exactly such.
pub(super) fn decode(mut from: &[u8]) -> Option<Snapshot> {
    let from = &mut from;
    let snapshot = Snapshot {
        kinds: take_kinds(from)?,
        namespaces: take_all(from)?,
        services: take_all(from)?,
        slices: take_all(from)?,
        pods: take_all(from)?,
        set: SetState::take(from)?,
        exports: take_all(from)?,
        imports: take_all(from)?,
    };
    from.is_empty().then_some(snapshot)
}

/// The kinds, each with its bit.
const KINDS: [(Kind, u8); 4] = [(Kind::Namespace, 1), (Kind::Service, 2), (Kind::Endpoints, 4), (Kind::Pod, 8)];

fn put_kinds(kinds: &[Kind], out: &mut Vec<u8>) {
    KINDS.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, bit)| bit).sum::<u8>().put(out);
}

fn take_kinds(from: &mut &[u8]) -> Option<Vec<Kind>> {
    let bits = u8::take(from)?;
    let known: u8 = KINDS.iter().map(|(_, bit)| bit).sum();
    let kinds = || KINDS.iter().filter(|(_, bit)| bits & bit != 0).map(|(kind, _)| *kind).collect();
    (bits & !known == 0).then(kinds)
}

fn put_all<T: Stored>(items: &[T], out: &mut Vec<u8>) {
    // The API has no lists of that size, nor memory for them.
    (items.len() as u32).put(out);
    items.iter().for_each(|item| item.put(out));
}

fn take_all<T: Stored>(from: &mut &[u8]) -> Option<Vec<T>> {
    let count = u32::take(from)? as usize;
    // An item takes an octet at least, so that no count asks for more memory than the file has shown.
    let mut items = Vec::with_capacity(count.min(from.len() / size_of::<T>().max(1)));
    for _ in 0..count {
        items.push(T::take(from)?);
    }
    Some(items)
}

macro_rules! stored_numbers {
    ($($number:ty),*) => {$(
        impl Stored for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (octets, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_be_bytes(*octets))
            }
        }
    )*};
}

stored_numbers!(u8, u16, u32, u64, u128);

impl Stored for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Stored> Stored for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(item) = self {
            item.put(out);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match bool::take(from)? {
            true => T::take(from).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Stored> Stored for Box<[T]> {
    fn put(&self, out: &mut Vec<u8>) {
        put_all(self, out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        take_all(from).map(Vec::into_boxed_slice)
    }
}

impl Stored for SetState {
    fn put(&self, out: &mut Vec<u8>) {
        let number: u8 = match self {
            Self::Waiting => 0,
            Self::Off => 1,
            Self::On => 2,
        };
        number.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(Self::Waiting),
            1 => Some(Self::Off),
            2 => Some(Self::On),
            _ => None,
        }
    }
}

impl<T: Stored> Stored for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        T::take(from).map(Self::new)
    }
}

impl<T: Stored> Stored for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        T::take(from).map(Self::new)
    }
}

impl Stored for Box<str> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let len = u32::take(from)? as usize;
        let (text, rest) = from.split_at_checked(len)?;
        *from = rest;
        Some(std::str::from_utf8(text).ok()?.into())
    }
}

impl Stored for Label {
    fn put(&self, out: &mut Vec<u8>) {
        self.push_wire(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let len = usize::from(u8::take(from)?);
        let (text, rest) = from.split_at_checked(len)?;
        *from = rest;
        Self::new(std::str::from_utf8(text).ok()?)
    }
}

impl Stored for Name {
    fn put(&self, out: &mut Vec<u8>) {
        // At most 255.
        (self.as_wire().len() as u8).put(out);
        out.extend_from_slice(self.as_wire());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let len = usize::from(u8::take(from)?);
        let (wire, rest) = from.split_at_checked(len)?;
        *from = rest;
        Self::from_wire(wire).ok()
    }
}

impl Stored for IpAddr {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(address) => {
                4u8.put(out);
                address.to_bits().put(out);
            }
            Self::V6(address) => {
                6u8.put(out);
                address.to_bits().put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            4 => u32::take(from).map(|bits| Self::V4(bits.into())),
            6 => u128::take(from).map(|bits| Self::V6(bits.into())),
            _ => None,
        }
    }
}

impl Stored for Protocol {
    fn put(&self, out: &mut Vec<u8>) {
        let number: u8 = match self {
            Self::Tcp => 1,
            Self::Udp => 2,
            Self::Sctp => 3,
        };
        number.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            1 => Some(Self::Tcp),
            2 => Some(Self::Udp),
            3 => Some(Self::Sctp),
            _ => None,
        }
    }
}

impl Stored for ServiceKind {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::ClusterIp(addresses) => {
                1u8.put(out);
                addresses.put(out);
            }
            Self::Headless => 2u8.put(out),
            Self::ExternalName(target) => {
                3u8.put(out);
                target.put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            1 => Stored::take(from).map(Self::ClusterIp),
            2 => Some(Self::Headless),
            3 => Stored::take(from).map(Self::ExternalName),
            _ => None,
        }
    }
}

/// A struct is its fields, in the order of this list.
macro_rules! stored_structs {
    ($($object:ident { $($field:ident),* })*) => {$(
        impl Stored for $object {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: Stored::take(from)?),* })
            }
        }
    )*};
}

stored_structs! {
    Port { name, protocol, number }
    Service { namespace, name, kind, ports, publish_not_ready }
    EndpointSlice { namespace, name, service, imported, ports, endpoints }
    Imported { service, cluster }
    ServiceExport { namespace, name }
    Endpoint { addresses, ready, hostname }
    Pod { namespace, name, addresses }
}
