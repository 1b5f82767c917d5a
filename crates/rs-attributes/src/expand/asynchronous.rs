//! Policies around a body that waits: the same as somebody would write who stacks them by hand.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Result, spanned::Spanned};

use super::{Context, local};

/// An expression that awaits the result, a `Result<T, Failure<E>>`.
pub(super) fn inner(context: &Context<'_>) -> Result<TokenStream> {
    if context.stack.inner.is_empty() {
        return Ok(once(context));
    }
    let (core, call) = (&context.core, &context.call);
    let (operation, policy) = (local("operation"), local("policy"));
    let made = make(context);
    let mut stacked = quote!(let #operation = &#made;);
    let mut policies = context.stack.inner.iter().enumerate().rev().peekable();
    while let Some((place, layer)) = policies.next() {
        let found = context.policy(layer, place)?;
        if policies.peek().is_some() {
            let policy = local(&format!("policy{place}"));
            stacked.extend(quote! {
                let #policy = #found;
                let #operation = &#core::Stacked::new(#policy, #operation);
            });
        } else {
            stacked.extend(quote!(let #policy = #found;));
        }
    }
    Ok(quote!({ #stacked #core::Policy::run(#policy, #call, #operation).await }))
}

/// The operation that the policies run.
fn make(context: &Context<'_>) -> TokenStream {
    let core = &context.core;
    let attempt = local("attempt");
    let (make, copies) =
        match context.stack.repeats() || context.used_up().next().is_none() && is_shared(context) {
            true => (quote!(#core::operation), context.copies()),
            false => (quote!(#core::operation_once), TokenStream::new()),
        };
    let typed = typed(context);
    let body = context.body(&attempt);
    let made = quote! {
        #make(move |#attempt: #core::Call| {
            #copies
            async move { #typed #body }
        })
    };
    match context.classifier() {
        Some(classify) => quote!(#made.classified(#classify)),
        None => made,
    }
}

/// Whether all parameters are references that several attempts may have.
fn is_shared(context: &Context<'_>) -> bool {
    use crate::function::Own;
    let mut params = context.function.params.iter();
    params.all(|param| param.own() == Own::Reference)
}

/// The body, without any policy.
fn once(context: &Context<'_>) -> TokenStream {
    let attempt = local("attempt");
    let call = &context.call;
    let (typed, body) = (typed(context), context.body(&attempt));
    let result = quote!(async move { let #attempt = *#call; #typed #body }.await);
    context.operation_failed(result, &quote!(1))
}

/// Tells the compiler what the block gives, before it sees the first `?`.
fn typed(context: &Context<'_>) -> TokenStream {
    let ty = &context.function.returns.body;
    let returned = local("returned");
    let span = ty.span().resolved_at(proc_macro2::Span::mixed_site());
    quote_spanned! {span=>
        if let ::core::option::Option::Some(#returned) = ::core::option::Option::None::<#ty> {
            return #returned;
        }
    }
}
