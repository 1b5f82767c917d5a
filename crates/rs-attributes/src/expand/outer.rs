//! Fallbacks and caches: what is around the call.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{LitStr, Result, Type, spanned::Spanned};

use super::{Context, local};
use crate::{
    function::{Kind, Own, Param},
    layer::{Cached, Fallback, Given, Kept, Layer, Policy},
};

/// The expression, and around it what the attributes say, the last being innermost.
pub(super) fn around(context: &Context<'_>, inner: TokenStream) -> Result<TokenStream> {
    let mut result = inner;
    for (place, layer) in context.stack.outer.iter().enumerate().rev() {
        result = match &layer.policy {
            Policy::Fallback(fallback) => or_else(context, fallback, place, result),
            Policy::Cached(cached) => remembered(context, layer, cached, result)?,
            _ => result,
        };
    }
    Ok(result)
}

fn or_else(
    context: &Context<'_>,
    fallback: &Fallback,
    place: usize,
    inner: TokenStream,
) -> TokenStream {
    let (core, call) = (&context.core, &context.call);
    let (result, failure, answers) = (local("result"), local("failure"), local("answers"));
    let mut before = TokenStream::new();
    let instead = match fallback {
        Fallback::Value(value) => {
            quote!({ let _ = #failure; ::core::result::Result::Ok(#value) })
        }
        Fallback::Closure(closure) => {
            let (pattern, body) = (closure.inputs.first(), &closure.body);
            context.as_failure(quote!({ let #pattern = #failure; #body }))
        }
        Fallback::Function(function) => {
            let arguments = context.function.params.iter().map(|param| {
                let name = &param.name;
                match param.kind {
                    Kind::Plain(Own::Value) => {
                        let kept = local(&format!("kept{place}_{name}"));
                        let copied = context.copied(param);
                        before.extend(quote!(let #kept = #copied;));
                        quote!(#kept)
                    }
                    _ => quote!(#name),
                }
            });
            let arguments: Vec<TokenStream> = arguments.collect();
            let span = function.span();
            let called = quote_spanned!(span=> #function(#(#arguments,)* #failure));
            context.as_failure(match context.function.is_async() {
                true => quote_spanned!(span=> #called.await),
                false => called,
            })
        }
    };
    // What says nothing about the dependency is the caller's own fault, and no reason for another answer.
    let answers_instead = match context.classifier() {
        None => quote!(::core::result::Result::is_err(&#result)),
        Some(_) => {
            let judge = context.judge();
            quote! {
                match &#result {
                    ::core::result::Result::Ok(_) => false,
                    ::core::result::Result::Err(#core::Failure::Operation { .. }) => {
                        #core::Classify::judge(&#judge, #call, &#result).is_failure()
                    }
                    ::core::result::Result::Err(_) => true,
                }
            }
        }
    };
    quote! {{
        #before
        let #result = #inner;
        let #answers = #answers_instead;
        match #result {
            ::core::result::Result::Err(#failure) if #answers => #instead,
            #result => #result,
        }
    }}
}

fn remembered(
    context: &Context<'_>,
    layer: &Layer,
    cached: &Cached,
    inner: TokenStream,
) -> Result<TokenStream> {
    let policies = context.stack.paths.policies(&layer.keyword)?;
    let cache = match &cached.cache {
        Given::Elsewhere(cache) => quote!(&#cache),
        Given::Own { name, config } => {
            let config = (name.as_ref(), config);
            own_cache(context, layer, config, &policies)
        }
    };
    let key = match &cached.key {
        Some(key) => quote!(#key),
        None => key(context),
    };
    let (core, call) = (&context.core, &context.call);
    let (kept, result, value) = (local("kept"), local("result"), local("value"));
    let (cache_name, key_name) = (local("cache"), local("key"));
    let is_good = match context.classifier() {
        None => None,
        Some(_) => {
            let judge = context.judge();
            Some(quote!(&& #core::Classify::judge(&#judge, #call, &#result).is_success()))
        }
    };
    Ok(quote! {{
        let #cache_name: &#policies::Cache<_, _> = #cache;
        let #key_name = #key;
        match #policies::Cache::get(#cache_name, &#key_name) {
            ::core::option::Option::Some(#kept) => ::core::result::Result::Ok(#kept),
            ::core::option::Option::None => {
                let #result = #inner;
                if let ::core::result::Result::Ok(#value) = &#result #is_good {
                    let #value = ::core::clone::Clone::clone(#value);
                    #policies::Cache::keep(#cache_name, #key_name, #value);
                }
                #result
            }
        }
    }})
}

/// A cache for this function, whose keys are its parameters.
fn own_cache(
    context: &Context<'_>,
    layer: &Layer,
    (name, config): (Option<&LitStr>, &Kept),
    policies: &TokenStream,
) -> TokenStream {
    let keys = keyed_by(context).map(|param| match &param.ty {
        Type::Reference(reference) => {
            let elem = &reference.elem;
            quote!(<#elem as ::std::borrow::ToOwned>::Owned)
        }
        owned => quote!(#owned),
    });
    let keys: Vec<TokenStream> = keys.collect();
    let key = match keys.as_slice() {
        [only] => quote!(#only),
        several => quote!((#(#several),*)),
    };
    let value = context.function.returns.value();
    let time = super::policy::time(config.time);
    let mut rules = quote!(#policies::CacheConfig::of(#time));
    if let Some(limit) = config.limit {
        rules = quote!(#rules.with_limit(#limit));
    }
    let name = context.name(name);
    let ty = quote!(#policies::Cache<#key, #value>);
    let made = quote!(#policies::Cache::new(#name, #rules));
    context.kept(layer, &ty, &made)
}

fn key(context: &Context<'_>) -> TokenStream {
    let parts = keyed_by(context).map(|param| {
        let name = &param.name;
        match param.own() {
            Own::Reference => quote!(::std::borrow::ToOwned::to_owned(#name)),
            _ => context.copied(param),
        }
    });
    let parts: Vec<TokenStream> = parts.collect();
    match parts.as_slice() {
        [only] => quote!(#only),
        several => quote!((#(#several),*)),
    }
}

fn keyed_by<'a>(context: &'a Context<'_>) -> impl Iterator<Item = &'a Param> {
    let params = context.function.params.iter();
    params.filter(|param| matches!(param.kind, Kind::Plain(_)))
}
