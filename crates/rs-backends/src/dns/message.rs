//! Questions and answers as they go over the wire: RFC 1035, and RFC 2782 for services.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use crate::BackendError;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    A = 1,
    Aaaa = 28,
    Srv = 33,
}

const ALIAS: u16 = 5;
const AUTHORITY: u16 = 6;
const INTERNET: u16 = 1;

/// What an answer over UDP may have, so that it is in no fragments.
const PAYLOAD: u16 = 1232;

/// A name as it is on the wire, in small letters: no two are written the same.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Domain(Vec<u8>);

impl Domain {
    const MOST: usize = 255;

    /// Of letters, digits, dashes and underscores, and dots between them.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            if !label.bytes().all(is_plain) {
                return None;
            }
            let length = u8::try_from(label.len()).ok()?;
            if !(1..=63).contains(&length) {
                return None;
            }
            wire.push(length);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        (wire.len() <= Self::MOST).then_some(Self(wire))
    }

    /// The one that has no labels, which says that there is nothing.
    pub(super) fn is_root(&self) -> bool {
        self.0 == [0]
    }

    /// As people write it, if it can be the name of a host.
    pub(super) fn text(&self) -> Option<String> {
        let mut text = String::with_capacity(self.0.len());
        let mut rest = &*self.0;
        while let Some((length, next)) = rest.split_first() {
            let Some((label, next)) = next.split_at_checked(usize::from(*length)) else {
                break;
            };
            if label.is_empty() {
                break;
            }
            if !label.iter().copied().all(is_plain) {
                return None;
            }
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(std::str::from_utf8(label).ok()?);
            rest = next;
        }
        (!text.is_empty()).then_some(text)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: Domain,
    pub(crate) kind: Kind,
}

impl Question {
    /// As a message: it is to be answered by whoever can, and in a larger datagram than the oldest servers
    /// think of.
    pub(super) fn to_wire(&self, id: u16) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.name.0.len() + 30);
        for part in [id, 0x0100, 1, 0, 0, 1] {
            wire.extend_from_slice(&part.to_be_bytes());
        }
        wire.extend_from_slice(&self.name.0);
        for part in [self.kind as u16, INTERNET] {
            wire.extend_from_slice(&part.to_be_bytes());
        }
        wire.extend_from_slice(&[0, 0, 41]);
        wire.extend_from_slice(&PAYLOAD.to_be_bytes());
        wire.extend_from_slice(&[0; 6]);
        wire
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Message {
    pub(super) truncated: bool,
    code: u8,
    asked: Option<(Domain, u16)>,
    answers: Vec<Record>,
    authority: Vec<Record>,
    additional: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    owner: Domain,
    ttl: Duration,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Address(IpAddr),
    Service(Service),
    Alias(Domain),
    /// How long a name that does not exist is believed not to.
    Authority(Duration),
    Other,
}

/// Where a service is.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: Domain,
}

/// What was found, and for how long it holds.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(super) all: Vec<T>,
    pub(super) fresh: Option<Duration>,
}

impl Message {
    pub(crate) fn read(wire: &[u8]) -> Result<Self, BackendError> {
        Reader { wire, at: 0 }
            .message()
            .ok_or_else(|| BackendError::malformed("no answer of a name server"))
    }

    /// Whether it answers this.
    pub(super) fn is_for(&self, question: &Question) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|(name, kind)| *name == question.name && *kind == question.kind as u16)
    }

    /// Nothing, if it says what there is or that there is nothing. All else says nothing of names.
    pub(super) fn check(&self) -> Result<(), BackendError> {
        let why = match self.code {
            0 | 3 => return Ok(()),
            1 => "FORMERR: it does not understand the question",
            2 => "SERVFAIL: it cannot find out",
            4 => "NOTIMP: it cannot do that",
            5 => "REFUSED: it will not",
            code => return Err(BackendError::refused(format_args!("the code {code}"))),
        };
        Err(BackendError::refused(why))
    }

    /// The addresses of the name that was asked for, whatever it is an alias of.
    pub(crate) fn addresses(&self, name: &Domain) -> Found<IpAddr> {
        self.of(name, |data| match data {
            Data::Address(address) => Some(*address),
            _ => None,
        })
    }

    pub(crate) fn services(&self, name: &Domain) -> Found<Service> {
        self.of(name, |data| match data {
            Data::Service(service) => Some(service.clone()),
            _ => None,
        })
    }

    /// What it says beside the answer.
    pub(super) fn glue(&self, name: &Domain) -> Found<IpAddr> {
        let mut found = Found {
            all: Vec::new(),
            fresh: None,
        };
        for record in &self.additional {
            if let (true, Data::Address(address)) = (record.owner == *name, &record.data) {
                found.all.push(*address);
                found.holds(record.ttl);
            }
        }
        found
    }

    fn of<T>(&self, name: &Domain, read: impl Fn(&Data) -> Option<T>) -> Found<T> {
        /// Some servers allow no more either.
        const ALIASES: usize = 16;
        let mut found = Found {
            all: Vec::new(),
            fresh: None,
        };
        let mut name = name;
        for _ in 0..ALIASES {
            let mut alias = None;
            for record in self.answers.iter().filter(|one| one.owner == *name) {
                if let Data::Alias(target) = &record.data {
                    alias = Some(target);
                    found.holds(record.ttl);
                } else if let Some(one) = read(&record.data) {
                    found.all.push(one);
                    found.holds(record.ttl);
                }
            }
            match alias {
                Some(target) if found.all.is_empty() => name = target,
                _ => break,
            }
        }
        if found.all.is_empty() {
            for record in &self.authority {
                if let Data::Authority(least) = record.data {
                    found.holds(record.ttl.min(least));
                }
            }
        }
        found
    }
}

impl<T> Found<T> {
    /// It holds no longer than this.
    pub(super) fn holds(&mut self, time: Duration) {
        self.fresh = Some(self.fresh.map_or(time, |fresh| fresh.min(time)));
    }
}

struct Reader<'a> {
    wire: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let part = self.wire.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(*part)
    }

    fn number(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn time(&mut self) -> Option<Duration> {
        let seconds = self.take().map(u32::from_be_bytes)?;
        // One with the highest bit is none: RFC 2181.
        Some(Duration::from_secs(match i32::try_from(seconds) {
            Ok(_) => seconds.into(),
            Err(_) => 0,
        }))
    }

    fn message(&mut self) -> Option<Message> {
        let _id = self.number()?;
        let flags = self.number()?;
        let [questions, answers, authority, additional] =
            [(); 4].map(|()| self.number().map(usize::from));
        let is_answer = flags & 0x8000 != 0 && (flags >> 11) & 0xF == 0;
        let (true, 0..=1) = (is_answer, questions?) else {
            return None;
        };
        let asked = match questions? {
            0 => None,
            _ => {
                let name = self.name()?;
                let kind = self.number()?;
                let _class = self.number()?;
                Some((name, kind))
            }
        };
        let truncated = flags & 0x0200 != 0;
        // What is cut off is asked for again: half of it is nothing.
        let mut records = |count: Option<usize>| match truncated {
            true => Some(Vec::new()),
            false => (0..count?).map(|_| self.record()).collect(),
        };
        Some(Message {
            truncated,
            code: u8::try_from(flags & 0xF).ok()?,
            asked,
            answers: records(answers)?,
            authority: records(authority)?,
            additional: records(additional)?,
        })
    }

    /// A name, parts of which may stand further ahead: only ahead, so that it ends.
    fn name(&mut self) -> Option<Domain> {
        let mut name = Vec::new();
        let (mut at, mut least, mut after) = (self.at, self.at, None);
        loop {
            let length = *self.wire.get(at)?;
            match length {
                0 => {
                    self.at = after.unwrap_or(at + 1);
                    name.push(0);
                    return (name.len() <= Domain::MOST).then_some(Domain(name));
                }
                1..=63 => {
                    let end = at + 1 + usize::from(length);
                    let label = self.wire.get(at + 1..end)?;
                    name.push(length);
                    name.extend(label.iter().map(u8::to_ascii_lowercase));
                    if name.len() >= Domain::MOST {
                        return None;
                    }
                    at = end;
                }
                192.. => {
                    let low = *self.wire.get(at + 1)?;
                    after = after.or(Some(at + 2));
                    at = usize::from(u16::from_be_bytes([length & 0x3F, low]));
                    if at >= least {
                        return None;
                    }
                    least = at;
                }
                _ => return None,
            }
        }
    }

    fn record(&mut self) -> Option<Record> {
        let owner = self.name()?;
        let kind = self.number()?;
        let class = self.number()?;
        let ttl = self.time()?;
        let length = usize::from(self.number()?);
        let end = self.at + length;
        self.wire.get(self.at..end)?;
        let data = match (class, kind) {
            (INTERNET, kind) if kind == Kind::A as u16 => {
                Data::Address(Ipv4Addr::from(self.take::<4>()?).into())
            }
            (INTERNET, kind) if kind == Kind::Aaaa as u16 => {
                Data::Address(Ipv6Addr::from(self.take::<16>()?).into())
            }
            (INTERNET, kind) if kind == Kind::Srv as u16 => Data::Service(Service {
                priority: self.number()?,
                weight: self.number()?,
                port: self.number()?,
                target: self.name()?,
            }),
            (INTERNET, ALIAS) => Data::Alias(self.name()?),
            (INTERNET, AUTHORITY) => {
                let (_server, _mail) = (self.name()?, self.name()?);
                let [_serial, _refresh, _retry, _expire] = [(); 4].map(|()| self.time());
                Data::Authority(self.time()?)
            }
            _ => {
                self.at = end;
                Data::Other
            }
        };
        (self.at == end).then_some(Record { owner, ttl, data })
    }
}
