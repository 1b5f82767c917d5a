//! Under which names the crate that uses an attribute knows the others.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, Path, Result};

/// The crates that an expansion names.
pub(crate) struct Paths {
    /// `crate = …`: a module that has the others in it, as the umbrella has.
    umbrella: Option<Path>,
}

impl Paths {
    pub(crate) const fn new(umbrella: Option<Path>) -> Self {
        Self { umbrella }
    }

    pub(crate) fn core(&self, needed_by: &Ident) -> Result<TokenStream> {
        self.find("rs-core", "core", needed_by)
    }

    pub(crate) fn policies(&self, needed_by: &Ident) -> Result<TokenStream> {
        self.find("rs-policies", "policies", needed_by)
    }

    pub(crate) fn breaker(&self, needed_by: &Ident) -> Result<TokenStream> {
        self.find("rs-breaker", "breaker", needed_by)
    }

    /// The crate alone if the manifest has it, else its module in the umbrella.
    fn find(&self, name: &str, module: &str, needed_by: &Ident) -> Result<TokenStream> {
        let module = Ident::new(module, Span::mixed_site());
        if let Some(umbrella) = &self.umbrella {
            return Ok(quote!(#umbrella::#module));
        }
        if let Some(alone) = known_as(name) {
            return Ok(quote!(::#alone));
        }
        if let Some(umbrella) = known_as("rs-patterns") {
            return Ok(quote!(::#umbrella::#module));
        }
        Err(Error::new(
            needed_by.span(),
            format!(
                "`#[{needed_by}]` needs `{name}` among the dependencies, or `rs-patterns` with the feature \
                 `{module}`; `crate = …` names a module that has them under another name"
            ),
        ))
    }
}

fn known_as(name: &str) -> Option<Ident> {
    match crate_name(name).ok()? {
        // In its tests and examples a crate has its own name.
        FoundCrate::Itself => Some(format_ident!("{}", name.replace('-', "_"))),
        FoundCrate::Name(known) => Some(format_ident!("{known}")),
    }
}
