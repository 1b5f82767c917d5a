//! Policies around a body that blocks its thread.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

use super::{Context, local};
use crate::layer::{Layer, Policy};

/// An expression for the result, a `Result<T, Failure<E>>`.
pub(super) fn inner(context: &Context<'_>) -> Result<TokenStream> {
    let mut policies = TokenStream::new();
    let mut result = body(context);
    for (place, layer) in context.stack.inner.iter().enumerate().rev() {
        let found = context.policy(layer, place)?;
        let policy = local(&format!("policy{place}"));
        policies.extend(quote!(let #policy = #found;));
        result = around(context, layer, &quote!(#policy), result)?;
    }
    let (judge, made) = (local("judge"), context.judge());
    let judge = (!context.stack.inner.is_empty()).then(|| quote!(let #judge = &#made;));
    Ok(quote!({ #policies #judge #result }))
}

fn around(
    context: &Context<'_>,
    layer: &Layer,
    policy: &TokenStream,
    inner: TokenStream,
) -> Result<TokenStream> {
    let (core, call, judge) = (&context.core, &context.call, local("judge"));
    if matches!(layer.policy, Policy::Retry(_)) {
        let policies = context.stack.paths.policies(&layer.keyword)?;
        return Ok(quote! {
            #policies::Retry::run_blocking(#policy, #call, #judge, |#call: &#core::Call| #inner)
        });
    }
    let (permit, why, result) = (local("permit"), local("why"), local("result"));
    Ok(quote! {
        match #core::Guard::try_admit(#policy, #call) {
            ::core::result::Result::Err(#why) => {
                ::core::result::Result::Err(#core::Failure::Rejected(#why))
            }
            ::core::result::Result::Ok(#permit) => {
                let #result = #inner;
                #permit.finish(#core::Classify::judge(#judge, #call, &#result));
                #result
            }
        }
    })
}

/// One attempt. The closure is there for the `return`s and the `?`s in the body.
fn body(context: &Context<'_>) -> TokenStream {
    let (core, call, attempt) = (&context.core, &context.call, local("attempt"));
    let copies = match context.stack.repeats() {
        true => context.copies(),
        false => TokenStream::new(),
    };
    let ty = &context.function.returns.body;
    let body = context.body(&attempt);
    let attempts = quote!(#core::Call::attempt(#call));
    let result = quote! {{
        #copies
        let #attempt: #core::Call = *#call;
        (|| -> #ty { #body })()
    }};
    context.operation_failed(result, &attempts)
}
