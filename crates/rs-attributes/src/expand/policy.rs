//! Where a policy comes from: a `static` of the function, a registry, or the user's expression.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Expr, LitStr, Result, Type, spanned::Spanned};

use super::Context;
use crate::{
    args::Time,
    layer::{Bulkhead, Given, Layer, Named, Policy, Retry},
};

impl Context<'_> {
    /// An expression for a reference to the policy.
    pub(super) fn policy(&self, layer: &Layer, place: usize) -> Result<TokenStream> {
        let paths = &self.stack.paths;
        let policies = || paths.policies(&layer.keyword);
        match &layer.policy {
            Policy::Resilient(Named::ByName { name, within }) => {
                let policies = policies()?;
                let ty = quote!(#policies::NamedPipeline);
                Ok(match within {
                    Some(pipelines) => quote!(&#policies::Pipelines::named(&#pipelines, #name)),
                    None => {
                        let process = quote!(#policies::Pipelines::of_process());
                        let made = quote!(#policies::Pipelines::named(&#process, #name));
                        kept(&ty, &made)
                    }
                })
            }
            Policy::Resilient(Named::Elsewhere(pipeline)) => Ok(self.borrowed(pipeline)),
            Policy::Breaker(named) => {
                let breaker = paths.breaker(&layer.keyword)?;
                let ty = quote!(#breaker::Breaker);
                Ok(match named {
                    Named::Elsewhere(given) => typed(&ty, given),
                    Named::ByName {
                        name,
                        within: Some(registry),
                    } => quote!(&#breaker::BreakerRegistry::get(&#registry, #name)),
                    Named::ByName { name, within: None } => kept(&ty, &quote!(#ty::named(#name))),
                })
            }
            Policy::Retry(Given::Elsewhere(given)) => {
                let policies = policies()?;
                Ok(typed(&quote!(#policies::Retry), given))
            }
            Policy::Retry(Given::Own { name, config }) => {
                let policies = policies()?;
                Ok(self.own_retry(layer, name.as_ref(), config, &policies))
            }
            Policy::Timeout(Given::Elsewhere(given)) => {
                let policies = policies()?;
                Ok(typed(&quote!(#policies::Timeout), given))
            }
            Policy::Timeout(Given::Own { name, config }) => {
                let policies = policies()?;
                let ty = quote!(#policies::Timeout);
                let (name, limit) = (self.name(name.as_ref()), time(config.limit));
                let scope = self.scope(place);
                Ok(self.kept(layer, &ty, &quote!(#ty::#scope(#name, #limit))))
            }
            Policy::Bulkhead(Given::Elsewhere(given)) => {
                let policies = policies()?;
                Ok(typed(&quote!(#policies::Bulkhead), given))
            }
            Policy::Bulkhead(Given::Own { name, config }) => {
                let policies = policies()?;
                let ty = quote!(#policies::Bulkhead);
                let (name, config) = (self.name(name.as_ref()), bulkhead(config, &policies));
                Ok(self.kept(layer, &ty, &quote!(#ty::new(#name, #config))))
            }
            Policy::Fallback(_) | Policy::Cached(_) => Ok(TokenStream::new()),
        }
    }

    /// A limit below what tries again is on each attempt.
    fn scope(&self, place: usize) -> Ident {
        let mut around = self.stack.inner.iter().take(place);
        let below =
            around.any(|layer| matches!(layer.policy, Policy::Retry(_) | Policy::Resilient(_)));
        format_ident!("{}", if below { "attempt" } else { "total" })
    }

    fn own_retry(
        &self,
        layer: &Layer,
        name: Option<&LitStr>,
        config: &Retry,
        policies: &TokenStream,
    ) -> TokenStream {
        let ty = quote!(#policies::Retry);
        let (name, rules) = (self.name(name), retry(config, policies));
        let made = match &config.budget {
            None => quote!(#ty::new(#name, #rules)),
            Some(budget) => {
                let around = quote!(&#policies::Surroundings::of_process());
                quote!(#ty::with_budget(#around, #name, #rules, #budget))
            }
        };
        self.kept(layer, &ty, &made)
    }

    /// The name of a policy of this function.
    pub(super) fn name(&self, given: Option<&LitStr>) -> TokenStream {
        match given {
            Some(name) => quote!(#name),
            None => {
                let function = self.function.item.sig.ident.to_string();
                let function = function.trim_start_matches("r#");
                quote!(::core::concat!(::core::module_path!(), "::", #function))
            }
        }
    }

    /// A policy that is made when it is first needed, and kept. What it goes by was checked by the macro.
    pub(super) fn kept(&self, layer: &Layer, ty: &TokenStream, made: &TokenStream) -> TokenStream {
        let (keyword, function) = (&layer.keyword, &self.function.item.sig.ident);
        let problem = format!("`#[{keyword}]` on `{function}`: {{}}");
        let made = quote! {
            match #made {
                ::core::result::Result::Ok(made) => made,
                ::core::result::Result::Err(error) => ::core::panic!(#problem, error),
            }
        };
        kept(ty, &made)
    }

    /// The user's pipeline by reference; a parameter that is a reference is one already.
    fn borrowed(&self, pipeline: &Expr) -> TokenStream {
        let is_reference = |name: &Ident| {
            let mut params = self.function.params.iter();
            params.any(|param| param.name == *name && matches!(param.ty, Type::Reference(_)))
        };
        match pipeline {
            Expr::Path(path) if path.path.get_ident().is_some_and(is_reference) => quote!(#path),
            Expr::Reference(reference) => quote!(#reference),
            other => quote_spanned!(other.span()=> &(#other)),
        }
    }
}

fn kept(ty: &TokenStream, made: &TokenStream) -> TokenStream {
    quote! {{
        static __POLICY: ::std::sync::LazyLock<#ty> = ::std::sync::LazyLock::new(|| #made);
        &*__POLICY
    }}
}

/// The user's policy, whether it is one, a reference to one, or something that derefs to one.
fn typed(ty: &TokenStream, given: &Expr) -> TokenStream {
    let span = given.span().resolved_at(Span::mixed_site());
    let policy = super::local("given");
    quote_spanned!(span=> { let #policy: &#ty = &#given; #policy })
}

pub(super) fn time(time: Time) -> TokenStream {
    let (seconds, nanos) = (time.time.as_secs(), time.time.subsec_nanos());
    quote!(::core::time::Duration::new(#seconds, #nanos))
}

fn retry(config: &Retry, policies: &TokenStream) -> TokenStream {
    let mut rules = quote!(#policies::RetryConfig::default());
    if let Some(attempts) = config.attempts {
        let attempts = attempts as u32;
        rules = quote!(#rules.with_attempts(#attempts));
    }
    let mut waits = match config.wait {
        Some((shape, first)) => {
            let (shape, first) = (format_ident!("{shape}"), time(first));
            quote!(#policies::Backoff::#shape(#first))
        }
        None => quote!(#policies::Backoff::default()),
    };
    if let Some(longest) = config.at_most {
        let longest = time(longest);
        waits = quote!(#waits.at_most(#longest));
    }
    if config.at_once_first {
        waits = quote!(#waits.at_once_first());
    }
    if let Some(jitter) = config.jitter {
        let jitter = format_ident!("{jitter}");
        waits = quote!(#waits.with_jitter(#policies::Jitter::#jitter));
    }
    rules = quote!(#rules.with_backoff(#waits));
    if let Some(total) = config.total_time {
        let total = time(total);
        rules = quote!(#rules.with_total_time(#total));
    }
    if config.rejections {
        rules = quote!(#rules.retrying_rejections());
    }
    if config.timeouts {
        rules = quote!(#rules.repeating_timeouts());
    }
    rules
}

fn bulkhead(config: &Bulkhead, policies: &TokenStream) -> TokenStream {
    let limit = config.limit as u32;
    let rules = quote!(#policies::BulkheadConfig::of(#limit));
    let longest = match config.longest_wait {
        Some(longest) => time(longest),
        None => quote!(::core::time::Duration::from_secs(1)),
    };
    match config.queue {
        Some(queue) => {
            let queue = queue as u32;
            quote!(#rules.with_queue(#queue, #longest))
        }
        None => rules,
    }
}
