//! A strict reader of Prometheus' text format: what a scraper may refuse, it refuses.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Page(pub(crate) BTreeMap<String, Family>);

impl Page {
    /// The value of the one sample of this name with these labels.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("no {name}{labels:?} in {self:#?}"))
    }

    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let samples = self.0.values().flat_map(|family| &family.samples);
        samples
            .filter(|sample| sample.name == name && sample.labels == wanted)
            .map(|sample| sample.value)
            .next()
    }
}

/// Reads a page, or says what a scraper would not like.
pub(crate) fn parse(text: &str) -> Result<Page, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    let mut page = Page::default();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    for (number, line) in (1..).zip(text.split_terminator('\n')) {
        parse_line(line, &mut page, &mut current, &mut seen)
            .map_err(|problem| format!("line {number}, `{line}`: {problem}"))?;
    }
    for (name, family) in &page.0 {
        if family.kind == "histogram" {
            check_histogram(name, family)?;
        }
    }
    Ok(page)
}

fn parse_line(
    line: &str,
    page: &mut Page,
    current: &mut String,
    seen: &mut BTreeSet<String>,
) -> Result<(), String> {
    if line.is_empty() {
        return Ok(());
    }
    if let Some(comment) = line.strip_prefix("# ") {
        let (what, rest) = comment.split_once(' ').ok_or("a bare comment")?;
        let (name, rest) = rest.split_once(' ').ok_or("nothing after the name")?;
        check_name(name, true)?;
        if name != current {
            if page.0.contains_key(name) {
                return Err(format!("`{name}` has lines elsewhere"));
            }
            name.clone_into(current);
            page.0.insert(name.to_owned(), Family::default());
        }
        let family = page.0.get_mut(name).ok_or("no family")?;
        if !family.samples.is_empty() {
            return Err("after samples".to_owned());
        }
        match what {
            "HELP" if family.help.is_none() && family.kind.is_empty() => {
                family.help = Some(unescape(rest, false)?);
            }
            "TYPE" if family.kind.is_empty() => {
                if !["counter", "gauge", "histogram", "summary"].contains(&rest) {
                    return Err(format!("type `{rest}`"));
                }
                rest.clone_into(&mut family.kind);
            }
            "HELP" | "TYPE" => return Err(format!("second {what}, or out of order")),
            _ => return Err("unknown comment".to_owned()),
        }
        return Ok(());
    }
    let sample = parse_sample(line)?;
    let family = page.0.get_mut(current).ok_or("a sample before any TYPE")?;
    let suffix = sample.name.strip_prefix(current.as_str());
    let allowed: &[&str] = match family.kind.as_str() {
        "histogram" => &["_bucket", "_sum", "_count"],
        "summary" => &["", "_sum", "_count"],
        "" => return Err("no TYPE".to_owned()),
        _ => &[""],
    };
    if !suffix.is_some_and(|suffix| allowed.contains(&suffix)) {
        return Err(format!("does not belong to {} `{current}`", family.kind));
    }
    if family.kind == "counter" && (sample.value.is_nan() || sample.value < 0.0) {
        return Err("a counter below zero".to_owned());
    }
    if !seen.insert(format!("{} {:?}", sample.name, sample.labels)) {
        return Err("the same series twice".to_owned());
    }
    family.samples.push(sample);
    Ok(())
}

fn check_name(name: &str, colon: bool) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    let starts = name
        .chars()
        .next()
        .is_some_and(|c| valid(c) && !c.is_ascii_digit());
    if starts && name.chars().all(valid) {
        Ok(())
    } else {
        Err(format!("`{name}` is no name"))
    }
}

fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                other => return Err(format!("escape of {other:?}")),
            },
            c => c,
        });
    }
    Ok(plain)
}

fn parse_sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    check_name(name, true)?;
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (key, after) = rest.split_once("=\"").ok_or("no label")?;
            check_name(key, false)?;
            let end = closing_quote(after).ok_or("no closing quote")?;
            let value = unescape(&after[..end], true)?;
            if labels.insert(key.to_owned(), value).is_some() {
                return Err(format!("label `{key}` twice"));
            }
            rest = &after[end + 1..];
            match (rest.strip_prefix(','), rest.strip_prefix('}')) {
                (Some(next), _) => rest = next,
                (_, Some(after)) => {
                    rest = after;
                    break;
                }
                _ => return Err("neither `,` nor `}`".to_owned()),
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value: parse_value(value)?,
    })
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(place, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(place)
    })
}

fn parse_value(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ if text
            .bytes()
            .all(|c| c.is_ascii_digit() || b"+-.eE".contains(&c)) =>
        {
            text.parse().map_err(|_| format!("`{text}` is no number"))
        }
        _ => Err(format!("`{text}` is no number")),
    }
}

fn check_histogram(name: &str, family: &Family) -> Result<(), String> {
    let mut series: BTreeMap<Vec<(String, String)>, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let labels = sample.labels.clone().into_iter();
        let labels = labels.filter(|(key, _)| key != "le").collect();
        series.entry(labels).or_default().push(sample);
    }
    for (labels, samples) in series {
        let of = |suffix: &str| {
            let wanted = format!("{name}{suffix}");
            samples
                .iter()
                .copied()
                .filter(move |sample| sample.name == wanted)
        };
        let problem = |what: &str| Err(format!("histogram `{name}` {labels:?}: {what}"));
        let mut last = (f64::NEG_INFINITY, 0.0);
        for bucket in of("_bucket") {
            let Some(bound) = bucket.labels.get("le") else {
                return problem("a bucket without `le`");
            };
            let next = (parse_value(bound)?, bucket.value);
            if next.0 <= last.0 || next.1 < last.1 {
                return problem("its buckets do not rise");
            }
            last = next;
        }
        let counts: Vec<_> = of("_count").map(|sample| sample.value).collect();
        if last.0 != f64::INFINITY || counts != [last.1] || of("_sum").count() != 1 {
            return problem("needs a bucket `+Inf` that equals its count, and a sum");
        }
    }
    Ok(())
}

#[test]
fn the_reader_refuses_what_a_scraper_may_refuse() {
    #[track_caller]
    fn refused(text: &str) {
        assert!(parse(text).is_err(), "{text}");
    }
    refused("x 1");
    refused("x 1\n");
    refused("# TYPE x counter\n# TYPE x counter\n");
    refused("# TYPE x counter\n# HELP x late\n");
    refused("# HELP x a\n# TYPE x counter\n# TYPE y counter\n# HELP x a\n");
    refused("# TYPE x counter\nx 1\nx 1\n");
    refused("# TYPE x counter\nx inf\n");
    refused("# TYPE x counter\nx -1\n");
    refused("# TYPE x counter\nx{a=\"b} 1\n");
    refused("# TYPE x counter\nx{a=\"b\",a=\"c\"} 1\n");
    refused("# TYPE x counter\nx{a=\"\\t\"} 1\n");
    refused("# TYPE x counter\nx_bucket 1\n");
    refused("# TYPE x histogram\nx_bucket{le=\"+Inf\"} 2\nx_sum 1\nx_count 1\n");
    refused("# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_sum 1\nx_count 2\n");
    refused(
        "# TYPE x histogram\nx_bucket{le=\"1\"} 2\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n",
    );
    let page = parse("# HELP x a \\\\ b\n# TYPE x gauge\nx{a=\"\\\"\\n\\\\\"} -Inf\n").unwrap();
    assert_eq!(page.value("x", &[("a", "\"\n\\")]), f64::NEG_INFINITY);
    assert_eq!(page.0["x"].help.as_deref(), Some("a \\ b"));
}
