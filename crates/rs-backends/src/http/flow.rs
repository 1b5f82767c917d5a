use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError};
use hyper::body::Incoming;

use crate::BackendError;

/// An answer that goes on: read in parts as they come, or line by line.
#[derive(Debug)]
pub(crate) struct Flow {
    body: Incoming,
    lines: Lines,
}

impl Flow {
    pub(super) fn new(body: Incoming, most: usize) -> Self {
        Self {
            body,
            lines: Lines::new(most),
        }
    }

    /// What has come, if nothing was read by lines before; none at the end.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn part(&mut self) -> Result<Option<Bytes>, BackendError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| unreachable(&error))?;
            if let Ok(part) = frame.into_data() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// The next line, without its end and never empty; none at the end. Half a line before the end is
    /// nothing.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn line(&mut self) -> Result<Option<Bytes>, BackendError> {
        loop {
            if let Some(line) = self.lines.take()? {
                return Ok(Some(line));
            }
            match self.part().await? {
                Some(part) => self.lines.push(&part),
                None => return Ok(None),
            }
        }
    }
}

/// Lines out of parts.
#[derive(Debug)]
struct Lines {
    held: BytesMut,
    /// So much of it has no end of a line.
    seen: usize,
    most: usize,
}

impl Lines {
    fn new(most: usize) -> Self {
        Self {
            held: BytesMut::new(),
            seen: 0,
            most,
        }
    }

    fn push(&mut self, part: &[u8]) {
        self.held.extend_from_slice(part);
    }

    fn take(&mut self) -> Result<Option<Bytes>, BackendError> {
        loop {
            let unseen = self.held.get(self.seen..).unwrap_or_default();
            let Some(end) = unseen.iter().position(|byte| *byte == b'\n') else {
                self.seen = self.held.len();
                return match self.seen > self.most {
                    true => Err(too_many(self.most)),
                    false => Ok(None),
                };
            };
            let line = self.held.split_to(self.seen + end + 1).freeze();
            self.seen = 0;
            if line.len() > self.most {
                return Err(too_many(self.most));
            }
            let text = line.trim_ascii();
            if !text.is_empty() {
                return Ok(Some(line.slice_ref(text)));
            }
        }
    }
}

const fn too_many(limit: usize) -> BackendError {
    BackendError::TooMany {
        what: "bytes",
        limit,
    }
}

/// Why a body was not read to its end.
pub(super) fn broken(error: &(dyn std::error::Error + 'static), most: usize) -> BackendError {
    match error.downcast_ref::<LengthLimitError>() {
        Some(_) => too_many(most),
        None => unreachable(error),
    }
}

/// With its causes, which hyper leaves out.
pub(super) fn unreachable(error: &dyn std::error::Error) -> BackendError {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        why.push_str(": ");
        why.push_str(&next.to_string());
        cause = next.source();
    }
    BackendError::unreachable(why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(parts: &[&[u8]], most: usize) -> Result<Vec<Vec<u8>>, BackendError> {
        let (mut lines, mut all) = (Lines::new(most), Vec::new());
        for part in parts {
            lines.push(part);
            while let Some(line) = lines.take()? {
                all.push(line.to_vec());
            }
        }
        Ok(all)
    }

    #[test]
    fn a_line_that_never_ends_is_an_error() {
        assert!(lines(&[b"12345", b"12345"], 10).is_ok());
        assert_eq!(lines(&[b"12345", b"123456"], 10), Err(too_many(10)));
        assert_eq!(lines(&[b"12345123451\n"], 10), Err(too_many(10)));
        assert_eq!(lines(&[b"123451234\n\r\n12"], 10).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_lines_are_the_same(
            text in "[ab\n]{0,40}", cuts in prop::collection::vec(0_usize..41, 0..6),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| *cut.min(&text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let parts: Vec<_> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let expected: Vec<_> = whole.split('\n').filter(|line| !line.is_empty()).collect();
            let found = lines(&parts, 100).unwrap();
            let found: Vec<_> = found.iter().map(|line| std::str::from_utf8(line).unwrap()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
