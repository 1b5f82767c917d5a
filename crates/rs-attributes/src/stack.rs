//! All attributes of a function together: the first is outermost.

use proc_macro2::{Ident, TokenStream};
use quote::ToTokens;
use syn::{Attribute, Error, Expr, Meta, Result, parse::Parser};

use crate::{
    args::Time,
    function::{Function, Kind, Own},
    layer::{Cached, Fallback, Given, KEYWORDS, Kept, Layer, Policy},
    paths::Paths,
};

pub(crate) struct Stack {
    pub(crate) paths: Paths,
    /// Fallbacks and caches, which are around all others, the first being outermost.
    pub(crate) outer: Vec<Layer>,
    /// Those that a policy crate runs.
    pub(crate) inner: Vec<Layer>,
    pub(crate) classify: Option<Expr>,
    pub(crate) safe_to_repeat: bool,
    /// The attributes that were taken off the function.
    pub(crate) taken: Vec<syn::Path>,
}

impl Stack {
    /// The attribute that is expanded, with those that stand below it, which are taken off the function:
    /// expanded one after the other they would come to lie around each other the wrong way round.
    pub(crate) fn collect(
        keyword: Ident,
        arguments: TokenStream,
        function: &mut Function,
    ) -> Result<Self> {
        let first = parse(keyword, arguments)?;
        let mut layers = vec![first];
        let mut errors: Option<Error> = None;
        let (mut kept, mut taken) = (Vec::new(), Vec::new());
        for attribute in std::mem::take(&mut function.item.attrs) {
            // The compiler has resolved each `cfg_attr` before.
            let Some(keyword) = keyword_of(&attribute) else {
                kept.push(attribute);
                continue;
            };
            match read(keyword, &attribute) {
                Ok(layer) => layers.push(layer),
                Err(error) => match &mut errors {
                    Some(errors) => errors.combine(error),
                    None => errors = Some(error),
                },
            }
            taken.push(attribute.path().clone());
        }
        function.item.attrs = kept;
        match errors {
            Some(errors) => Err(errors),
            None => Self::of(layers, taken, function),
        }
    }

    fn of(mut layers: Vec<Layer>, taken: Vec<syn::Path>, function: &Function) -> Result<Self> {
        let umbrella = layers.iter_mut().find_map(|layer| layer.umbrella.take());
        let safe_to_repeat = layers.iter().any(|layer| layer.safe_to_repeat);
        let mut classify: Option<Expr> = None;
        for layer in &mut layers {
            if let (Some(_), Some(second)) = (&classify, &layer.classify) {
                return Err(Error::new_spanned(
                    second,
                    "results are judged by one classifier, and another attribute has named it",
                ));
            }
            classify = classify.or_else(|| layer.classify.take());
        }
        check_order(&layers)?;
        check_limits(&layers)?;
        for layer in &layers {
            check_fit(layer, function)?;
        }
        let (outer, inner) = layers.into_iter().partition(Layer::is_outer);
        let stack = Self {
            paths: Paths::new(umbrella),
            outer,
            inner,
            classify,
            safe_to_repeat,
            taken,
        };
        if function.is_async()
            && let Some(again) = stack.inner.iter().find(|layer| layer.repeats())
        {
            check_repeatable(again, function)?;
        }
        Ok(stack)
    }

    /// Whether the body may run more than once.
    pub(crate) fn repeats(&self) -> bool {
        self.inner.iter().any(Layer::repeats)
    }
}

impl Layer {
    const fn is_outer(&self) -> bool {
        matches!(self.policy, Policy::Fallback(_) | Policy::Cached(_))
    }

    const fn repeats(&self) -> bool {
        matches!(self.policy, Policy::Retry(_) | Policy::Resilient(_))
    }
}

fn parse(keyword: Ident, arguments: TokenStream) -> Result<Layer> {
    let parser = |input: syn::parse::ParseStream<'_>| Layer::parse(keyword.clone(), input);
    parser.parse2(arguments)
}

/// Which of these attributes this is, if it is one: by its name alone, or by the name behind that of the
/// crate.
fn keyword_of(attribute: &Attribute) -> Option<Ident> {
    let path = attribute.path();
    let last = &path.segments.last()?.ident;
    let is_known = KEYWORDS.iter().any(|known| last == known);
    let before = path.segments.iter().rev().nth(1);
    let is_ours = before.is_none_or(|before| {
        ["rs_attributes", "attributes", "rs_patterns"]
            .iter()
            .any(|ours| before.ident == ours)
    });
    (is_known && is_ours).then(|| last.clone())
}

fn read(keyword: Ident, attribute: &Attribute) -> Result<Layer> {
    match &attribute.meta {
        Meta::Path(_) => parse(keyword, TokenStream::new()),
        Meta::List(list) => parse(keyword, list.tokens.clone()),
        Meta::NameValue(pair) => Err(Error::new_spanned(
            &pair.value,
            format!("write `#[{keyword}(…)]`"),
        )),
    }
}

/// What answers instead, and what remembers answers, is around what makes the call.
fn check_order(layers: &[Layer]) -> Result<()> {
    let mut first_inner: Option<&Layer> = None;
    for layer in layers {
        match (layer.is_outer(), first_inner) {
            (false, None) => first_inner = Some(layer),
            (true, Some(around)) => {
                return Err(Error::new(
                    layer.keyword.span(),
                    format!(
                        "`#[{}]` goes above `#[{}]`: what stands first is outermost",
                        layer.keyword, around.keyword
                    ),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A limit inside a shorter one is never reached.
fn check_limits(layers: &[Layer]) -> Result<()> {
    let mut around: Option<Time> = None;
    for layer in layers {
        let Policy::Timeout(Given::Own { config, .. }) = &layer.policy else {
            continue;
        };
        if let Some(around) = around
            && config.limit.time >= around.time
        {
            let (inner, outer) = (config.limit.time, around.time);
            let shown = rs_core::humane::show_duration;
            return Err(Error::new(
                config.limit.span,
                format!("{} inside {} is never reached", shown(inner), shown(outer)),
            ));
        }
        around = Some(config.limit);
    }
    Ok(())
}

fn check_fit(layer: &Layer, function: &Function) -> Result<()> {
    let keyword = &layer.keyword;
    let name = &function.item.sig.ident;
    match &layer.policy {
        Policy::Timeout(_) if !function.is_async() => Err(Error::new(
            keyword.span(),
            format!(
                "`{name}` is not async: nothing can end a call that blocks its thread. Make it async, or give \
                 what it calls a limit of its own"
            ),
        )),
        Policy::Resilient(_) if !function.is_async() => Err(Error::new(
            keyword.span(),
            format!(
                "`{name}` is not async, and pipelines are; `#[retry]`, `#[circuit_breaker]` and \
                 `#[bulkhead]` go on functions that block"
            ),
        )),
        Policy::Bulkhead(Given::Own { config, .. })
            if !function.is_async() && config.queue.is_some() =>
        {
            Err(Error::new(
                keyword.span(),
                format!(
                    "`{name}` is not async: its calls do not wait for a place, leave out `queue`"
                ),
            ))
        }
        Policy::Fallback(Fallback::Function(_)) => check_shareable(
            function,
            "is used up by the call, and the fallback function takes it too: write a closure \
             `|failure| …`",
        ),
        Policy::Cached(cached) => check_cached(layer, cached, function),
        _ => Ok(()),
    }
}

/// What cannot be copied is there for one attempt only.
fn check_repeatable(again: &Layer, function: &Function) -> Result<()> {
    let keyword = &again.keyword;
    check_shareable(
        function,
        &format!("is used up by the first attempt, and `#[{keyword}]` may make more"),
    )
}

fn check_shareable(function: &Function, why: &str) -> Result<()> {
    for param in &function.params {
        let refused = match param.kind {
            Kind::Receiver(Own::Value) => "`self` by value",
            Kind::Receiver(Own::Mutable) => "`&mut self`",
            Kind::Plain(Own::Mutable) => "a `&mut`",
            _ => continue,
        };
        return Err(match param.kind {
            Kind::Receiver(_) => Error::new(param.name.span(), format!("{refused} {why}")),
            _ => Error::new_spanned(&param.ty, format!("{refused} {why}")),
        });
    }
    Ok(())
}

fn check_cached(layer: &Layer, cached: &Cached, function: &Function) -> Result<()> {
    let name = &function.item.sig.ident;
    let refuse = |why: &str| {
        Err(Error::new(
            layer.keyword.span(),
            format!("{why}: write `#[cached(CACHE)]` with an `rs_policies::Cache` that you have"),
        ))
    };
    match &cached.cache {
        Given::Elsewhere(_) => Ok(()),
        Given::Own { .. } if function.item.sig.receiver().is_some() => refuse(&format!(
            "`{name}` is a method, and one cache for all objects of its type would mix up their results"
        )),
        Given::Own { .. } if function.item.sig.generics.type_params().next().is_some() => refuse(
            &format!("`{name}` is generic, and a cache holds results of one type"),
        ),
        Given::Own { .. } if has_impl_trait(function) => refuse(&format!(
            "`{name}` takes or returns an `impl Trait`, which no cache can hold"
        )),
        Given::Own { .. } if cached.key.is_some() => {
            refuse("the type of a key of your own cannot be seen here")
        }
        Given::Own { .. } if function.returns.value().is_none() => Err(Error::new_spanned(
            &function.returns.declared,
            "the cache has to see the type of the results: write it as `Result<T, E>`",
        )),
        Given::Own {
            config: Kept { .. },
            ..
        } => Ok(()),
    }
}

fn has_impl_trait(function: &Function) -> bool {
    let takes = function.params.iter().map(|param| &param.ty);
    let mut types = takes.chain([&function.returns.declared]);
    types.any(|ty| {
        let text = ty.to_token_stream();
        text.into_iter().any(|token| token.to_string() == "impl")
    })
}
