//! One attribute, read.

use std::{ops::RangeInclusive, time::Duration};

use proc_macro2::Ident;
use syn::{Error, Expr, ExprClosure, LitStr, Path, Result, parse::ParseStream, spanned::Spanned};

use crate::args::{Args, Time, count, is_number, text};

/// One attribute: the policy, and what it says about the whole call.
pub(crate) struct Layer {
    pub(crate) keyword: Ident,
    pub(crate) policy: Policy,
    /// How results are judged.
    pub(crate) classify: Option<Expr>,
    pub(crate) safe_to_repeat: bool,
    /// Where the other crates are.
    pub(crate) umbrella: Option<Path>,
}

pub(crate) enum Policy {
    Resilient(Named),
    Breaker(Named),
    Retry(Given<Retry>),
    Timeout(Given<Timeout>),
    Bulkhead(Given<Bulkhead>),
    Fallback(Fallback),
    Cached(Cached),
}

/// A policy of its own for this function, or one that stands elsewhere.
pub(crate) enum Given<C> {
    Own { name: Option<LitStr>, config: C },
    Elsewhere(Expr),
}

/// A policy that is found by its name, or one that stands elsewhere.
pub(crate) enum Named {
    ByName { name: LitStr, within: Option<Expr> },
    Elsewhere(Expr),
}

pub(crate) struct Retry {
    pub(crate) attempts: Option<u64>,
    pub(crate) wait: Option<(&'static str, Time)>,
    pub(crate) at_most: Option<Time>,
    pub(crate) at_once_first: bool,
    pub(crate) jitter: Option<&'static str>,
    pub(crate) total_time: Option<Time>,
    pub(crate) rejections: bool,
    pub(crate) timeouts: bool,
    pub(crate) budget: Option<Expr>,
}

pub(crate) struct Timeout {
    pub(crate) limit: Time,
}

pub(crate) struct Bulkhead {
    pub(crate) limit: u64,
    pub(crate) queue: Option<u64>,
    pub(crate) longest_wait: Option<Time>,
}

pub(crate) enum Fallback {
    /// A function that takes what this one takes, and the failure.
    Function(Expr),
    Closure(ExprClosure),
    Value(Expr),
}

pub(crate) struct Cached {
    pub(crate) key: Option<Expr>,
    pub(crate) cache: Given<Kept>,
}

pub(crate) struct Kept {
    pub(crate) time: Time,
    pub(crate) limit: Option<u64>,
}

// What the policies allow: a test holds it against what they say themselves.
const ATTEMPTS: RangeInclusive<u64> = 1..=1000;
const PLACES: RangeInclusive<u64> = 1..=1_000_000;
const QUEUE: RangeInclusive<u64> = 0..=1_000_000;
const KEPT: RangeInclusive<u64> = 1..=100_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
const LIMIT: RangeInclusive<Duration> = Duration::from_millis(1)..=DAY;
const WAIT: RangeInclusive<Duration> = Duration::ZERO..=DAY;
const QUEUE_WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);

const JITTERS: &[(&str, &str)] = &[
    ("none", "None"),
    ("full", "Full"),
    ("equal", "Equal"),
    ("decorrelated", "Decorrelated"),
];

/// The attributes, as they are written.
pub(crate) const KEYWORDS: &[&str] = &[
    "resilient",
    "circuit_breaker",
    "retry",
    "timeout",
    "bulkhead",
    "fallback",
    "cached",
];

impl Layer {
    pub(crate) fn parse(keyword: Ident, input: ParseStream<'_>) -> Result<Self> {
        let mut args = Args::parse(keyword.clone(), input)?;
        let policy = match keyword.to_string().as_str() {
            "resilient" => Policy::Resilient(named(&mut args, "pipeline", "self.pipeline")?),
            "circuit_breaker" => Policy::Breaker(named(&mut args, "breaker", "self.breaker")?),
            "retry" => Policy::Retry(retry(&mut args)?),
            "timeout" => Policy::Timeout(timeout(&mut args)?),
            "bulkhead" => Policy::Bulkhead(bulkhead(&mut args)?),
            "fallback" => Policy::Fallback(fallback(&mut args)?),
            _ => Policy::Cached(cached(&mut args)?),
        };
        let classify = args.expr("classify")?;
        let repeats = matches!(policy, Policy::Retry(_) | Policy::Resilient(_));
        let safe_to_repeat = repeats && args.flag("safe_to_repeat")?;
        let umbrella = match args.expr("crate")? {
            None => None,
            Some(Expr::Path(path)) => Some(path.path),
            Some(other) => return Err(Error::new(other.span(), "`crate` is a path")),
        };
        args.finish()?;
        Ok(Self {
            keyword,
            policy,
            classify,
            safe_to_repeat,
            umbrella,
        })
    }
}

fn named(args: &mut Args, what: &str, field: &str) -> Result<Named> {
    let keyword = args.keyword.clone();
    let within = args.expr("in")?;
    match (args.first(), within) {
        (Some(first), within) => match (text(&first), within) {
            (Some(name), _) if name.value().trim().is_empty() => {
                Err(Error::new(name.span(), format!("the {what} has no name")))
            }
            (Some(name), within) => Ok(Named::ByName {
                name: name.clone(),
                within,
            }),
            (None, Some(within)) => Err(Error::new(
                within.span(),
                format!("`in` says where a {what} is found by its name, and this one has none"),
            )),
            (None, None) if is_literal(&first) => Err(Error::new(
                first.span(),
                format!(
                    "a {what} is found by a name in quotes, or is an expression such as `{field}`"
                ),
            )),
            (None, None) => Ok(Named::Elsewhere(first)),
        },
        (None, _) => Err(Error::new(
            keyword.span(),
            format!(
                "which {what}? Write `#[{keyword}(\"name\")]` for the one of that name, or \
                 `#[{keyword}({field})]` for one that you have"
            ),
        )),
    }
}

const fn is_literal(value: &Expr) -> bool {
    matches!(value, Expr::Lit(_))
}

/// A policy that stands elsewhere goes by its own rules.
fn elsewhere<C>(args: &Args, policy: Expr, takes: &str) -> Result<Given<C>> {
    match &policy {
        Expr::Lit(_) => Err(Error::new(
            policy.span(),
            format!("`#[{}]` takes {takes}", args.keyword),
        )),
        _ => Ok(Given::Elsewhere(policy)),
    }
}

fn retry(args: &mut Args) -> Result<Given<Retry>> {
    let first = match args.first() {
        Some(policy) if !is_number(&policy) => {
            let takes = "a number of attempts, a retry such as `self.retry`, or rules such as `attempts = 3`";
            return elsewhere(args, policy, takes);
        }
        other => other,
    };
    let attempts = match first {
        Some(number) => Some(count("attempts", &number, ATTEMPTS)?),
        None => args.count("attempts", ATTEMPTS)?,
    };
    let mut wait: Option<(&'static str, Time)> = None;
    for shape in ["exponential", "constant", "linear", "fibonacci"] {
        let Some(time) = args.time(shape, WAIT)? else {
            continue;
        };
        if let Some((other, _)) = wait {
            return Err(Error::new(
                time.span,
                format!("the waits are `{other}` already"),
            ));
        }
        wait = Some((shape, time));
    }
    Ok(Given::Own {
        name: args.text("name")?,
        config: Retry {
            attempts,
            wait,
            at_most: args.time("at_most", WAIT)?,
            at_once_first: args.flag("at_once_first")?,
            jitter: args.word("jitter", JITTERS)?,
            total_time: args.time("total_time", WAIT)?,
            rejections: args.flag("rejections")?,
            timeouts: args.flag("timeouts")?,
            budget: args.expr("budget")?,
        },
    })
}

fn timeout(args: &mut Args) -> Result<Given<Timeout>> {
    let limit = match args.first() {
        Some(first) if is_literal(&first) => Some(Time::of("limit", &first, LIMIT)?),
        Some(policy) => {
            let takes = "a time such as \"5s\", or a timeout such as `self.timeout`";
            return elsewhere(args, policy, takes);
        }
        None => args.time("limit", LIMIT)?,
    };
    let limit = limit
        .ok_or_else(|| Error::new(args.keyword.span(), "how long? Write `#[timeout(\"5s\")]`"))?;
    Ok(Given::Own {
        name: args.text("name")?,
        config: Timeout { limit },
    })
}

fn bulkhead(args: &mut Args) -> Result<Given<Bulkhead>> {
    let limit = match args.first() {
        Some(number) if is_number(&number) => Some(count("limit", &number, PLACES)?),
        Some(policy) => {
            let takes = "a number of places, or a bulkhead such as `self.bulkhead`";
            return elsewhere(args, policy, takes);
        }
        None => args.count("limit", PLACES)?,
    };
    let limit = limit.ok_or_else(|| {
        Error::new(
            args.keyword.span(),
            "how many calls at once? Write `#[bulkhead(32)]`",
        )
    })?;
    Ok(Given::Own {
        name: args.text("name")?,
        config: Bulkhead {
            limit,
            queue: args.count("queue", QUEUE)?,
            longest_wait: args.time("longest_wait", QUEUE_WAIT)?,
        },
    })
}

fn fallback(args: &mut Args) -> Result<Fallback> {
    match (args.first(), args.expr("value")?) {
        (None, Some(value)) => Ok(Fallback::Value(value)),
        (Some(Expr::Closure(closure)), None) => match closure.inputs.len() {
            1 => Ok(Fallback::Closure(closure)),
            _ => Err(Error::new(
                closure.inputs_begin.span(),
                "the closure takes the failure and nothing else: `|failure| …`",
            )),
        },
        (Some(function @ Expr::Path(_)), None) => Ok(Fallback::Function(function)),
        (Some(other), None) => Err(Error::new(
            other.span(),
            "a fallback is a function, such as `Self::last_known`, a closure `|failure| …`, or `value = …`",
        )),
        (Some(_), Some(value)) => Err(Error::new(value.span(), "this is a second fallback")),
        (None, None) => Err(Error::new(
            args.keyword.span(),
            "what instead? Write `#[fallback(function)]`, `#[fallback(|failure| …)]` or \
             `#[fallback(value = …)]`",
        )),
    }
}

fn cached(args: &mut Args) -> Result<Cached> {
    let key = args.expr("key")?;
    let time = match args.first() {
        Some(first) if is_literal(&first) => Some(Time::of("time", &first, LIMIT)?),
        Some(cache) => {
            let takes = "a time such as \"300s\", or a cache such as `self.cache`";
            let cache = elsewhere(args, cache, takes)?;
            return Ok(Cached { key, cache });
        }
        None => args.time("time", LIMIT)?,
    };
    let time = time.ok_or_else(|| {
        Error::new(
            args.keyword.span(),
            "for how long? Write `#[cached(\"300s\")]`",
        )
    })?;
    let config = Kept {
        time,
        limit: args.count("limit", KEPT)?,
    };
    let name = args.text("name")?;
    Ok(Cached {
        key,
        cache: Given::Own { name, config },
    })
}
