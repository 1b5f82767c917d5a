//! What stands between the parentheses of an attribute.

use std::{ops::RangeInclusive, time::Duration};

use proc_macro2::{Ident, Span};
use rs_core::{
    ConfigError, ConfigProblem,
    config::{in_range, one_of, time_in_range},
    humane::parse_duration,
};
use syn::{
    Error, Expr, ExprLit, Lit, LitStr, Result, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

/// The arguments of one attribute; whoever reads one takes it out, and [`Args::finish`] refuses the rest.
pub(crate) struct Args {
    /// The attribute: `retry`.
    pub(crate) keyword: Ident,
    /// Without a name, first of all.
    first: Option<Expr>,
    named: Vec<(Ident, Option<Expr>)>,
    /// The names that somebody has asked for.
    known: Vec<&'static str>,
}

/// Arguments that stand without a value.
const FLAGS: &[&str] = &["safe_to_repeat", "rejections", "timeouts", "at_once_first"];

struct Arg {
    name: Option<Ident>,
    value: Option<Expr>,
}

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==]) {
            let name = input.call(Ident::parse_any)?;
            input.parse::<Token![=]>()?;
            if input.is_empty() || input.peek(Token![,]) {
                return Err(Error::new(name.span(), format!("`{name}` has no value")));
            }
            let value = input.parse()?;
            return Ok(Self {
                name: Some(name),
                value: Some(value),
            });
        }
        let value: Expr = input.parse()?;
        if let Expr::Path(path) = &value
            && let Some(name) = path.path.get_ident()
            && is_almost_a_flag(name)
        {
            return Ok(Self {
                name: Some(name.clone()),
                value: None,
            });
        }
        Ok(Self {
            name: None,
            value: Some(value),
        })
    }
}

/// A flag, or a typing error of one that is no likely name of a policy.
fn is_almost_a_flag(word: &Ident) -> bool {
    let word = word.to_string();
    let unlikely = FLAGS.iter().copied().filter(|flag| flag.contains('_'));
    let unknown = ConfigError::unknown("argument", &word, unlikely);
    let almost = matches!(
        unknown.problem(),
        ConfigProblem::Unknown {
            nearest: Some(_),
            ..
        }
    );
    almost || FLAGS.contains(&word.as_str())
}

impl Args {
    pub(crate) fn parse(keyword: Ident, input: ParseStream<'_>) -> Result<Self> {
        let mut first = None;
        let mut named: Vec<(Ident, Option<Expr>)> = Vec::new();
        for arg in input.parse_terminated(Arg::parse, Token![,])? {
            match arg {
                Arg {
                    name: Some(name),
                    value,
                } => {
                    if named.iter().any(|(known, _)| *known == name) {
                        return Err(Error::new(name.span(), format!("`{name}` is there twice")));
                    }
                    named.push((name, value));
                }
                Arg { value, .. } => {
                    if first.is_some() || !named.is_empty() {
                        return Err(Error::new(
                            value.span(),
                            "only the first argument goes without a name",
                        ));
                    }
                    first = value;
                }
            }
        }
        Ok(Self {
            keyword,
            first,
            named,
            known: Vec::new(),
        })
    }

    /// The argument without a name.
    pub(crate) fn first(&mut self) -> Option<Expr> {
        self.first.take()
    }

    fn take(&mut self, name: &'static str) -> Option<(Ident, Option<Expr>)> {
        self.known.push(name);
        let place = self.named.iter().position(|(known, _)| known == name)?;
        Some(self.named.remove(place))
    }

    pub(crate) fn expr(&mut self, name: &'static str) -> Result<Option<Expr>> {
        match self.take(name) {
            None => Ok(None),
            Some((_, Some(value))) => Ok(Some(value)),
            Some((name, None)) => Err(Error::new(name.span(), format!("`{name}` has no value"))),
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Result<bool> {
        match self.take(name) {
            None => Ok(false),
            Some((_, None)) => Ok(true),
            Some((_, Some(value))) => Err(Error::new(
                value.span(),
                format!("`{name}` stands alone: leave it out where it is not meant"),
            )),
        }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<LitStr>> {
        let Some(value) = self.expr(name)? else {
            return Ok(None);
        };
        match text(&value) {
            Some(text) => Ok(Some(text.clone())),
            None => Err(Error::new(
                value.span(),
                format!("`{name}` is a text in quotes"),
            )),
        }
    }

    pub(crate) fn time(
        &mut self,
        name: &'static str,
        allowed: RangeInclusive<Duration>,
    ) -> Result<Option<Time>> {
        let value = self.expr(name)?;
        value
            .map(|value| Time::of(name, &value, allowed))
            .transpose()
    }

    pub(crate) fn count(
        &mut self,
        name: &'static str,
        allowed: RangeInclusive<u64>,
    ) -> Result<Option<u64>> {
        let value = self.expr(name)?;
        value.map(|value| count(name, &value, allowed)).transpose()
    }

    /// One of these words, in quotes.
    pub(crate) fn word<V: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, V)],
    ) -> Result<Option<V>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let found = one_of(name, &text.value(), words);
        found.map(Some).map_err(|error| at(text.span(), &error))
    }

    /// Refuses what nobody has asked for.
    pub(crate) fn finish(self) -> Result<()> {
        if let Some(first) = self.first {
            return Err(Error::new(
                first.span(),
                format!("`#[{}]` takes no argument without a name", self.keyword),
            ));
        }
        let Some((name, _)) = self.named.first() else {
            return Ok(());
        };
        let unknown = ConfigError::unknown(
            &format!("argument of `#[{}]`", self.keyword),
            &name.to_string(),
            self.known.iter().copied(),
        );
        Err(at(name.span(), &unknown))
    }
}

/// A time that was written in quotes, and where.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    pub(crate) time: Duration,
    pub(crate) span: Span,
}

impl Time {
    pub(crate) fn of(field: &str, value: &Expr, allowed: RangeInclusive<Duration>) -> Result<Self> {
        let span = value.span();
        let Some(text) = text(value) else {
            let problem =
                "is not a time: write it in quotes, with a unit, like \"250ms\" or \"5s\"";
            return Err(Error::new(span, format!("`{field}` {problem}")));
        };
        let time = parse_duration(&text.value());
        let time = time.and_then(|time| time_in_range(field, time, allowed));
        match time {
            Ok(time) => Ok(Self { time, span }),
            Err(error) => Err(at(span, &error)),
        }
    }
}

pub(crate) fn count(field: &str, value: &Expr, allowed: RangeInclusive<u64>) -> Result<u64> {
    let Expr::Lit(ExprLit {
        lit: Lit::Int(number),
        ..
    }) = value
    else {
        return Err(Error::new(
            value.span(),
            format!("`{field}` is a whole number"),
        ));
    };
    let number = number.base10_parse()?;
    in_range(field, number, allowed).map_err(|error| at(value.span(), &error))
}

/// The text, if this is one.
pub(crate) const fn text(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text),
        _ => None,
    }
}

pub(crate) const fn is_number(value: &Expr) -> bool {
    matches!(
        value,
        Expr::Lit(ExprLit {
            lit: Lit::Int(_),
            ..
        })
    )
}

fn at(span: Span, error: &ConfigError) -> Error {
    Error::new(span, error)
}
