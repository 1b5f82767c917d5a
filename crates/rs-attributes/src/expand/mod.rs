//! The function that is written instead.
mod asynchronous;
mod blocking;
mod outer;
mod policy;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Result, spanned::Spanned};

use crate::{
    function::{Function, Kind, Own, Param},
    stack::Stack,
};

/// What all parts of an expansion know. Names of variables are those of the macro, so that the user's
/// cannot be in their way.
struct Context<'a> {
    function: &'a Function,
    stack: &'a Stack,
    core: TokenStream,
    /// A reference to the call.
    call: Ident,
}

/// The body of the function.
pub(crate) fn expand(keyword: &Ident, function: &Function, stack: &Stack) -> Result<TokenStream> {
    let context = Context {
        function,
        stack,
        core: stack.paths.core(keyword)?,
        call: local("call"),
    };
    let inner = match function.is_async() {
        true => asynchronous::inner(&context)?,
        false => blocking::inner(&context)?,
    };
    let result = outer::around(&context, inner)?;
    let call = context.begin();
    let returned = context.returned(result);
    let taken = &stack.taken;
    // Else the compiler would not know that these names are used.
    Ok(quote! {
        #(
            #[allow(unused_imports, reason = "the attribute was taken off by the one above")]
            use #taken as _;
        )*
        #call
        #returned
    })
}

/// The same tokens, at this place: what is wrong with them is said there.
fn at(tokens: &TokenStream, span: Span) -> TokenStream {
    let tokens = tokens.clone().into_iter();
    tokens
        .map(|mut token| {
            token.set_span(span.located_at(span).resolved_at(token.span()));
            token
        })
        .collect()
}

/// A variable that the user's code cannot see.
fn local(name: &str) -> Ident {
    Ident::new(&format!("__{name}"), Span::mixed_site())
}

impl Context<'_> {
    /// The call: the function's parameter, or one of the function's name.
    fn begin(&self) -> TokenStream {
        let (core, call) = (&self.core, &self.call);
        let mut begun = match self.function.call() {
            Some((given, true)) => quote!(*#given),
            Some((given, false)) => quote!(#given),
            None => {
                let name = self.function.item.sig.ident.to_string();
                let name = name.trim_start_matches("r#");
                quote!(#core::Call::new(#name))
            }
        };
        if self.stack.safe_to_repeat {
            begun = quote!(#core::Call::safe_to_repeat(#begun));
        }
        quote!(let #call: &#core::Call = &#begun;)
    }

    /// The result as the function returns it.
    fn returned(&self, result: TokenStream) -> TokenStream {
        if self.function.returns.failure {
            return result;
        }
        let span = self.function.returns.declared.span();
        let core = at(&self.core, span);
        let flatten = quote_spanned!(span=> #core::Failure::flatten);
        quote!(::core::result::Result::map_err(#result, #flatten))
    }

    /// The classifier, if results are not judged by their being `Ok` or `Err`.
    fn classifier(&self) -> Option<TokenStream> {
        let classify = self.stack.classify.as_ref()?;
        Some(quote!(#classify))
    }

    /// Something that judges whole results.
    fn judge(&self) -> TokenStream {
        let core = &self.core;
        match self.classifier() {
            Some(classify) => quote!(#core::Contained::new(#classify)),
            None => quote!(#core::ByResult),
        }
    }

    /// What the user wrote, and before it the parameters as the user named them. `attempt` is the variable
    /// with the call of this attempt.
    fn body(&self, attempt: &Ident) -> TokenStream {
        let unpacked = self.function.params.iter().map(|param| {
            let name = &param.name;
            let call = match param.kind {
                Kind::Call { by_reference: true } => {
                    Some(quote!(let #name = &#attempt; let _ = #name;))
                }
                Kind::Call {
                    by_reference: false,
                } => Some(quote!(let #name = #attempt; let _ = &#name;)),
                _ => None,
            };
            let unpacked = param.unpack();
            quote!(#call #unpacked)
        });
        let statements = &self.function.item.block.stmts;
        quote!(#(#unpacked)* #(#statements)*)
    }

    /// A copy of each parameter that the body may use up.
    fn copies(&self) -> TokenStream {
        let copies = self.used_up().map(|param| {
            let (name, copied) = (&param.name, self.copied(param));
            quote!(let #name = #copied; let _ = &#name;)
        });
        quote!(#(#copies)*)
    }

    /// A copy of this parameter; where that cannot be, the error is at its type.
    fn copied(&self, param: &Param) -> TokenStream {
        let (name, span) = (&param.name, param.ty.span());
        let core = at(&self.core, span);
        quote_spanned!(span=> #core::PerAttempt::for_attempt(&#name))
    }

    fn used_up(&self) -> impl Iterator<Item = &Param> {
        let params = self.function.params.iter();
        params.filter(|param| matches!(param.kind, Kind::Plain(Own::Value)))
    }

    /// Puts the error of the function, as it was declared, into a failure.
    fn as_failure(&self, result: TokenStream) -> TokenStream {
        if self.function.returns.failure {
            return result;
        }
        self.operation_failed(result, &quote!(1))
    }

    fn operation_failed(&self, result: TokenStream, attempts: &TokenStream) -> TokenStream {
        let (core, error) = (&self.core, local("error"));
        quote! {
            ::core::result::Result::map_err(#result, |#error| #core::Failure::Operation {
                error: #error,
                attempts: #attempts,
            })
        }
    }
}
