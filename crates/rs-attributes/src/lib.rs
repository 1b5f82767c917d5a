//! Attributes.
use proc_macro::TokenStream;
use proc_macro2::{Ident, Span};

mod args;
mod expand;
mod function;
mod layer;
mod paths;
mod stack;

use function::Function;
use stack::Stack;
use syn::Error;

fn attribute(keyword: &str, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let keyword = Ident::new(keyword, Span::call_site());
    let mut function = match Function::parse(item.clone().into(), &keyword) {
        Ok(function) => function,
        Err(error) => {
            let mut written = TokenStream::from(error.into_compile_error());
            written.extend(item);
            return written;
        }
    };
    let expanded = Stack::collect(keyword.clone(), arguments.into(), &mut function)
        .and_then(|stack| expand::expand(&keyword, &function, &stack));
    let body = expanded.unwrap_or_else(Error::into_compile_error);
    // Also where something is wrong, so that nobody is told that there is no such function.
    function.with_body(body).into()
}

macro_rules! attributes {
    ($($(#[$docs:meta])* $name:ident;)*) => {$(
        $(#[$docs])*
        #[proc_macro_attribute]
        pub fn $name(arguments: TokenStream, item: TokenStream) -> TokenStream {
            attribute(stringify!($name), arguments, item)
        }
    )*};
}

attributes! {
    /// A pipeline.
    resilient;
    /// Breaker
    circuit_breaker;
    /// Retry
    retry;
    /// Timeout
    timeout;
    /// Bulkhead
    bulkhead;
    /// Fallback
    fallback;
    /// Cached
    cached;
}
