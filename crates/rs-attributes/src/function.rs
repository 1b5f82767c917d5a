//! The function under the attributes: what it takes, what it returns, and where its body is.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{
    Block, Error, Expr, ExprAsync, ExprLet, FnArg, GenericArgument, Item, ItemFn, Local, Pat,
    PatIdent, PathArguments, Receiver, ReceiverKind, Result, ReturnType, Stmt, TraitItem, Type,
    TypeParamBound, parse_quote,
    spanned::Spanned,
    visit_mut::{VisitMut, visit_expr_let_mut, visit_local_mut, visit_type_mut},
};

pub(crate) struct Function {
    pub(crate) item: ItemFn,
    pub(crate) shape: Shape,
    pub(crate) params: Vec<Param>,
    pub(crate) returns: Returns,
}

/// How the function is async, if it is.
pub(crate) enum Shape {
    Blocking,
    Async,
    /// It returns a future, as `async_trait` makes it: what is around the async block, which is put back
    /// around what becomes of it.
    Future(Around),
}

pub(crate) enum Around {
    Nothing,
    BoxPin(Expr),
}

/// A parameter other than the call.
pub(crate) struct Param {
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    pub(crate) kind: Kind,
    /// What the body calls it, where that is more than a name.
    pattern: Option<Pat>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Receiver(Own),
    Plain(Own),
    /// The call itself: `Call` or `&Call`.
    Call {
        by_reference: bool,
    },
}

/// How a parameter is passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    Reference,
    Mutable,
    Value,
}

/// What the function returns, and what its body does.
pub(crate) struct Returns {
    /// As it is declared.
    pub(crate) declared: Type,
    /// What the body gives: without `Failure`, and with `_` for `impl Trait`.
    pub(crate) body: Type,
    /// Whether the error is written as `Failure<E>`, so that the body gives `E`.
    pub(crate) failure: bool,
}

impl Function {
    pub(crate) fn parse(tokens: TokenStream, keyword: &Ident) -> Result<Self> {
        let mut item = item_fn(tokens, keyword)?;
        if let Some(constness) = &item.sig.constness {
            return Err(Error::new(
                constness.span(),
                format!("a `const fn` has no failures that `#[{keyword}]` could do anything about"),
            ));
        }
        let output = match &item.sig.output {
            ReturnType::Type(_, output) => (**output).clone(),
            ReturnType::Default => {
                return Err(Error::new(
                    item.sig.ident.span(),
                    format!(
                        "`{}` returns nothing, but a call under `#[{keyword}]` may fail: return a `Result`",
                        item.sig.ident
                    ),
                ));
            }
        };
        let (shape, declared) = if item.sig.asyncness.is_some() {
            (Shape::Async, output)
        } else if let Some(inner) = future_output(&output) {
            let (around, block) = async_block(&item.block).ok_or_else(|| {
                Error::new(
                    output.span(),
                    "a function that returns a future has to end in `async move { … }`, or in \
                     `Box::pin(async move { … })`, and to do nothing before; or make it an `async fn`",
                )
            })?;
            *item.block = block;
            (Shape::Future(around), inner)
        } else {
            (Shape::Blocking, output)
        };
        if is_no_result(&declared) {
            return Err(Error::new_spanned(
                &declared,
                format!("a call under `#[{keyword}]` may fail: return a `Result`"),
            ));
        }
        let returns = Returns::of(declared);
        returns.rewrite(&mut item.block);
        let params = params(&mut item);
        Ok(Self {
            item,
            shape,
            params,
            returns,
        })
    }

    pub(crate) const fn is_async(&self) -> bool {
        !matches!(self.shape, Shape::Blocking)
    }

    /// The parameter that is the call.
    pub(crate) fn call(&self) -> Option<(&Ident, bool)> {
        self.params.iter().find_map(|param| match param.kind {
            Kind::Call { by_reference } => Some((&param.name, by_reference)),
            _ => None,
        })
    }

    /// The same function with this body.
    pub(crate) fn with_body(mut self, body: TokenStream) -> TokenStream {
        let body = match &mut self.shape {
            Shape::Blocking | Shape::Async => body,
            Shape::Future(Around::Nothing) => quote!(async move { #body }),
            Shape::Future(Around::BoxPin(function)) => quote!(#function(async move { #body })),
        };
        // The braces are the user's: what is wrong with the type of the whole is said of them.
        self.item.block.stmts = vec![Stmt::Expr(Expr::Verbatim(body), None)];
        self.item.into_token_stream()
    }
}

fn item_fn(tokens: TokenStream, keyword: &Ident) -> Result<ItemFn> {
    let refuse = |found: &dyn ToTokens, what: &str| {
        Error::new_spanned(
            found,
            format!("`#[{keyword}]` belongs on a function with a body, not on {what}"),
        )
    };
    if let Ok(item) = syn::parse2::<ItemFn>(tokens.clone()) {
        return Ok(item);
    }
    if let Ok(TraitItem::Fn(function)) = syn::parse2::<TraitItem>(tokens.clone()) {
        return Err(refuse(
            &function.sig,
            "a declaration: put it on the functions that implement it",
        ));
    }
    match syn::parse2::<Item>(tokens)? {
        Item::Impl(item) => Err(refuse(
            &item.impl_token,
            "an `impl`: put it on its functions",
        )),
        Item::Trait(item) => Err(refuse(&item.ident, "a trait: put it on its functions")),
        Item::Struct(item) => Err(refuse(&item.ident, "a struct")),
        Item::Enum(item) => Err(refuse(&item.ident, "an enum")),
        Item::Mod(item) => Err(refuse(&item.ident, "a module")),
        other => Err(refuse(&other, "this")),
    }
}

/// Whether it can be seen that this is no result; behind an alias it cannot.
fn is_no_result(ty: &Type) -> bool {
    const OTHERS: &[&str] = &[
        "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32",
        "i64", "i128", "isize", "f32", "f64", "String", "Vec", "Option", "Box", "Arc", "Pin",
    ];
    match ty {
        Type::Path(path) => {
            let last = path.path.segments.last();
            last.is_some_and(|last| OTHERS.iter().any(|other| last.ident == other))
        }
        Type::Tuple(_) | Type::Reference(_) | Type::ImplTrait(_) | Type::Array(_) => true,
        _ => false,
    }
}

/// `R` of `Pin<Box<dyn Future<Output = R> + …>>` and of `impl Future<Output = R> + …`.
fn future_output(output: &Type) -> Option<Type> {
    let bounds = match output {
        Type::ImplTrait(it) => &it.bounds,
        _ => match argument(argument(output, "Pin")?, "Box")? {
            Type::TraitObject(it) => &it.bounds,
            _ => return None,
        },
    };
    let future = bounds.iter().find_map(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            let last = bound.path.segments.last()?;
            (last.ident == "Future").then_some(last)
        }
        _ => None,
    })?;
    let PathArguments::AngleBracketed(arguments) = &future.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(it) if it.ident == "Output" => Some(it.ty.clone()),
        _ => None,
    })
}

/// The first type argument, if the type is written with this name.
fn argument<'t>(ty: &'t Type, name: &str) -> Option<&'t Type> {
    types_of(ty, name)?.into_iter().next()
}

/// The type arguments, if the type is written with this name.
fn types_of<'t>(ty: &'t Type, name: &str) -> Option<Vec<&'t Type>> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    if last.ident != name {
        return None;
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    Some(types.collect())
}

/// The async block that a body consists of, and what is around it.
fn async_block(body: &Block) -> Option<(Around, Block)> {
    let [Stmt::Expr(only, None)] = body.stmts.as_slice() else {
        return None;
    };
    let block = |expr: &Expr| match expr {
        Expr::Async(ExprAsync { block, .. }) => Some(block.clone()),
        _ => None,
    };
    match only {
        Expr::Call(call) => {
            let Expr::Path(path) = &*call.func else {
                return None;
            };
            let is_pin = path.path.segments.last()?.ident == "pin";
            let inner = block(call.args.first()?)?;
            is_pin.then(|| (Around::BoxPin((*call.func).clone()), inner))
        }
        other => Some((Around::Nothing, block(other)?)),
    }
}

impl Returns {
    fn of(declared: Type) -> Self {
        let failure = failure_inside(&declared).is_some();
        let mut body = declared.clone();
        if let (Some(error), Type::Path(path)) = (failure_inside(&declared), &mut body)
            && let Some(last) = path.path.segments.last_mut()
            && let PathArguments::AngleBracketed(arguments) = &mut last.arguments
            && let Some(second) = types_mut(arguments).nth(1)
        {
            *second = error.clone();
        }
        Underscores.visit_type_mut(&mut body);
        Self {
            declared,
            body,
            failure,
        }
    }

    /// The type of the values, if it can be seen.
    pub(crate) fn value(&self) -> Option<&Type> {
        argument(&self.declared, "Result")
    }

    /// Macros that were here before, such as `async_trait` and `tracing::instrument`, have written into the
    /// body what the function returns. Where that is a `Failure`, the body gives what is inside of it.
    fn rewrite(&self, block: &mut Block) {
        if !self.failure {
            return;
        }
        let mut declared = self.declared.clone();
        Underscores.visit_type_mut(&mut declared);
        let mut written = Written {
            declared: declared.to_token_stream().to_string(),
            body: self.body.clone(),
        };
        written.visit_block_mut(block);
    }
}

/// The variables of macros, whose names begin with two underscores, that have the type of the function.
struct Written {
    declared: String,
    body: Type,
}

impl Written {
    fn replace(&self, ty: &mut Type) {
        if ty.to_token_stream().to_string() == self.declared {
            *ty = self.body.clone();
        }
    }
}

impl VisitMut for Written {
    /// `let __ret: Result<T, Failure<E>> = …;`
    fn visit_local_mut(&mut self, local: &mut Local) {
        if let Pat::Type(typed) = &mut local.pat
            && matches!(&*typed.pat, Pat::Ident(name) if is_of_a_macro(&name.ident))
        {
            self.replace(&mut typed.ty);
        }
        visit_local_mut(self, local);
    }

    /// `if let Some(__ret) = None::<Result<T, Failure<E>>>`
    fn visit_expr_let_mut(&mut self, binding: &mut ExprLet) {
        if let (Pat::TupleStruct(some), Expr::Path(none)) = (&*binding.pat, &mut *binding.expr)
            && matches!(some.elems.first(), Some(Pat::Ident(name)) if is_of_a_macro(&name.ident))
            && let Some(last) = none.path.segments.last_mut()
            && let PathArguments::AngleBracketed(arguments) = &mut last.arguments
        {
            types_mut(arguments).for_each(|ty| self.replace(ty));
        }
        visit_expr_let_mut(self, binding);
    }
}

fn is_of_a_macro(name: &Ident) -> bool {
    name.to_string().starts_with("__")
}

/// `E` of `Result<T, Failure<E>>`.
fn failure_inside(declared: &Type) -> Option<&Type> {
    let types = types_of(declared, "Result")?;
    argument(types.get(1)?, "Failure")
}

fn types_mut(
    arguments: &mut syn::AngleBracketedGenericArguments,
) -> impl Iterator<Item = &mut Type> {
    arguments
        .args
        .iter_mut()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
}

/// Nobody can write down an `impl Trait` in the type of a variable.
struct Underscores;

impl VisitMut for Underscores {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::ImplTrait(_) = ty {
            *ty = parse_quote!(_);
        } else {
            visit_type_mut(self, ty);
        }
    }
}

/// The parameters; those with a pattern get a name, and the pattern goes into the body.
fn params(item: &mut ItemFn) -> Vec<Param> {
    let inputs = item.sig.inputs.iter_mut().enumerate();
    inputs
        .map(|(place, input)| match input {
            FnArg::Receiver(receiver) => Param {
                name: Ident::new("self", receiver.self_token.span),
                ty: parse_quote!(Self),
                kind: Kind::Receiver(own_of_receiver(receiver)),
                pattern: None,
            },
            FnArg::Typed(typed) => {
                let ty = (*typed.ty).clone();
                let (name, pattern) = match &mut *typed.pat {
                    Pat::Ident(PatIdent {
                        by_ref: None,
                        subpat: None,
                        ident,
                        mutability,
                        ..
                    }) => {
                        let pattern = mutability
                            .take()
                            .map(|mutability| parse_quote!(#mutability #ident));
                        (ident.clone(), pattern)
                    }
                    other => {
                        let span = other.span().resolved_at(Span::mixed_site());
                        let name = format_ident!("__argument{place}", span = span);
                        let pattern = std::mem::replace(other, parse_quote!(#name));
                        (name, Some(pattern))
                    }
                };
                let kind = kind_of(&ty);
                Param {
                    name,
                    ty,
                    kind,
                    pattern,
                }
            }
        })
        .collect()
}

fn own_of_receiver(receiver: &Receiver) -> Own {
    match &receiver.kind {
        ReceiverKind::Reference(_, _, None) => Own::Reference,
        ReceiverKind::Reference(_, _, Some(_)) => Own::Mutable,
        ReceiverKind::Typed(_, ty) => own_of(ty),
        _ => Own::Value,
    }
}

const fn own_of(ty: &Type) -> Own {
    match ty {
        Type::Reference(reference) => match reference.mutability {
            Some(_) => Own::Mutable,
            None => Own::Reference,
        },
        _ => Own::Value,
    }
}

fn kind_of(ty: &Type) -> Kind {
    let (inner, by_reference) = match ty {
        Type::Reference(reference) if reference.mutability.is_none() => (&*reference.elem, true),
        other => (other, false),
    };
    match inner {
        Type::Path(path)
            if path
                .path
                .segments
                .last()
                .is_some_and(|last| last.ident == "Call") =>
        {
            Kind::Call { by_reference }
        }
        _ => Kind::Plain(own_of(ty)),
    }
}

impl Param {
    /// What the body does first, to know the parameter as it was written.
    pub(crate) fn unpack(&self) -> Option<TokenStream> {
        let (pattern, name) = (self.pattern.as_ref()?, &self.name);
        Some(quote!(let #pattern = #name;))
    }

    pub(crate) const fn own(&self) -> Own {
        match self.kind {
            Kind::Receiver(own) | Kind::Plain(own) => own,
            Kind::Call { .. } => Own::Reference,
        }
    }
}
