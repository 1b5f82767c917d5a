//! What no exporter could show is found when the program is compiled.

/// The closed labels of a metric: their names and values.
type Closed = [(&'static str, &'static [&'static str])];

pub(crate) const fn name(name: &str) {
    assert!(
        is_word(name, true),
        "the name of a metric is letters, digits, `_` and `:`"
    );
}

pub(crate) const fn counter(name: &str) {
    assert!(
        ends_in_total(name.as_bytes()),
        "the name of a counter ends in `_total`"
    );
}

pub(crate) const fn bounds(bounds: &[f64]) {
    let mut next = 0;
    while next < bounds.len() {
        let rises = next == 0 || bounds[next - 1] < bounds[next];
        assert!(rises, "the bounds do not rise");
        assert!(bounds[next].is_finite(), "a bound is not finite");
        next += 1;
    }
}

pub(crate) const fn labels(open: &[&str], closed: &Closed) {
    let count = open.len() + closed.len();
    let mut next = 0;
    while next < count {
        let label = label_at(next, open, closed);
        assert!(
            is_label(label),
            "the name of a label is letters, digits and `_`, and not `le`"
        );
        let mut before = 0;
        while before < next {
            let same = equal(label.as_bytes(), label_at(before, open, closed).as_bytes());
            assert!(!same, "a label is there twice");
            before += 1;
        }
        next += 1;
    }
}

const fn label_at<'a>(place: usize, open: &[&'a str], closed: &Closed) -> &'a str {
    if place < open.len() {
        open[place]
    } else {
        closed[place - open.len()].0
    }
}

const fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let internal = bytes.len() > 1 && bytes[0] == b'_' && bytes[1] == b'_';
    is_word(label, false) && !internal && !equal(bytes, b"le")
}

const fn is_word(word: &str, colons: bool) -> bool {
    let bytes = word.as_bytes();
    let mut next = 0;
    while next < bytes.len() {
        let byte = bytes[next];
        let letter = byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
        if !letter && (next == 0 || !byte.is_ascii_digit()) {
            return false;
        }
        next += 1;
    }
    !bytes.is_empty()
}

const fn ends_in_total(name: &[u8]) -> bool {
    const END: &[u8] = b"_total";
    name.len() > END.len() && equal(name.split_at(name.len() - END.len()).1, END)
}

const fn equal(one: &[u8], other: &[u8]) -> bool {
    let mut next = 0;
    while next < one.len() && next < other.len() && one[next] == other[next] {
        next += 1;
    }
    next == one.len() && next == other.len()
}
