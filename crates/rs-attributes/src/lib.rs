//! Retry, circuit breaker, timeout, bulkhead, fallback, cache and whole pipelines as attributes of the
//! functions that make the calls.
//!
//! ```
//! use rs_attributes::{circuit_breaker, retry, timeout};
//! use rs_core::Failure;
//! # struct Bank;
//! # #[derive(Debug)] struct BankError;
//! # impl Bank { async fn post(&self, order: &str) -> Result<u64, BankError> { Ok(order.len() as u64) } }
//!
//! struct Shop {
//!     bank: Bank,
//! }
//!
//! impl Shop {
//!     #[timeout("2s")]
//!     #[retry(attempts = 3, exponential = "100ms")]
//!     #[circuit_breaker("bank")]
//!     #[timeout("500ms")]
//!     async fn charge(&self, order: &str) -> Result<u64, Failure<BankError>> {
//!         let receipt = self.bank.post(order).await?;
//!         Ok(receipt)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let shop = Shop { bank: Bank };
//! match shop.charge("order 17").await {
//!     Ok(receipt) => assert_eq!(receipt, 8),
//!     Err(Failure::Rejected(why)) => println!("{why}"),
//!     Err(other) => println!("{other:?}"),
//! }
//! # }
//! ```
//!
//! It is what one would write by hand, [`Stacked`](rs_core::Stacked) policies around an
//! [`operation`](rs_core::operation()), and costs the same: a call that succeeds at once allocates nothing.
//!
//! # When not
//!
//! - Where the policies are to be seen in one place, or decided at run time, build a pipeline of
//!   `rs-policies` and call it; `#[resilient(…)]` is the way between.
//! - On a function that makes several calls: a retry repeats all of it. Put it on what makes one.
//! - On something that does not fail for reasons of others it only costs.
//!
//! # The attributes
//!
//! | attribute | what it does | also takes |
//! |---|---|---|
//! | `#[resilient("payments")]`, `#[resilient(self.payments)]` | a whole pipeline, by its name or by itself | `in`, `safe_to_repeat` |
//! | `#[circuit_breaker("bank")]`, `#[circuit_breaker(self.breaker)]` | the breaker of that name, shared by all that name it; or this one | `in` |
//! | `#[retry]`, `#[retry(5)]`, `#[retry(self.retry)]` | tries again | `attempts`, one of `exponential`, `constant`, `linear`, `fibonacci`, and `at_most`, `jitter`, `at_once_first`, `total_time`, `rejections`, `timeouts`, `budget`, `name`, `safe_to_repeat` |
//! | `#[timeout("5s")]`, `#[timeout(self.timeout)]` | ends what takes too long: each attempt if it stands below a retry or a pipeline, else the whole call | `name` |
//! | `#[bulkhead(32)]`, `#[bulkhead(self.bulkhead)]` | so many at once | `queue`, `longest_wait`, `name` |
//! | `#[fallback(function)]`, `#[fallback(\|failure\| …)]`, `#[fallback(value = 0)]` | answers instead | |
//! | `#[cached("300s")]`, `#[cached(self.cache)]` | keeps good results for a time (feature `cache` of `rs-policies`) | `limit`, `key`, `name` |
//!
//! All take `classify = …`, one for the whole stack, and `crate = …`. Arguments are read while you compile,
//! with the words, defaults and limits of configuration files, and what is wrong is said at its place:
//!
//! ```text
//! error: `5 lightyears` is not a time: `lightyears` is no unit of time; write it like 250ms, 1.5s, 1m30s, 2h or 1d
//!  --> src/shop.rs:6:11
//!   |
//! 6 | #[timeout("5 lightyears")]
//!   |           ^^^^^^^^^^^^^^
//! ```
//!
//! # The order
//!
//! What stands first is outermost. So in the example above the breaker sees every attempt, one that hangs
//! counts as a failure, and all of it takes no longer than two seconds. `#[fallback]` and `#[cached]` go
//! above all others; of the two, what stands first is outermost.
//!
//! The first attribute takes the others off the function, or they would lie around each other the wrong way
//! round. It knows them by their names, so do not rename them when you import them. Attributes of other
//! crates do as Rust does: what `#[tracing::instrument]` does above these is *inside* of them, a span for each
//! attempt, and below them it is around the whole call.
//!
//! # Where the policies live
//!
//! A function has no place for state, so there are three, and the attribute shows which:
//!
//! - **An expression** is the policy: a field, a parameter that is a reference, a `static`. `#[retry(self.retry)]` is the way for
//!   objects that are tested: each test makes its own, in [`Surroundings`](https://docs.rs/rs-metrics)
//!   of its own.
//! - **A name in quotes** is looked up where such names are kept: `#[circuit_breaker("bank")]` in the
//!   `BreakerRegistry` of the process, `#[resilient("payments")]` in its `Pipelines`. `in = self.breakers`
//!   looks into another one, at each call. A pipeline may be registered later, and replaced while calls go on;
//!   while there is none, calls are refused as `not_registered`.
//! - **Rules** make a policy of the function's own when it is first called, in the surroundings of the
//!   process (`Surroundings::install` sets those), by the name `module::function` or `name = "…"`. It is
//!   listed in the directory and can be reconfigured there. Generic functions have one for all types; two
//!   methods of one name in one module need a `name`.
//!
//! # What the function returns
//!
//! | declared | the body gives | |
//! |---|---|---|
//! | `Result<T, Failure<E>>` | `Result<T, E>`: `?` works as without the attribute | callers see the refusals, the limits and the number of attempts |
//! | `Result<T, X>` | the same | `X` has `From<Rejection>` and `From<TimedOut>`, see [`CallError`](rs_core::CallError); `anyhow::Error` and `Box<dyn Error + Send + Sync>` have |
//!
//! Which it is is seen by the words: behind an alias, a `Failure` is taken for an `X`.
//!
//! # What the function takes
//!
//! - References go to every attempt. **Values are cloned for each attempt**, but only where there may be
//!   several: below `#[retry]` and `#[resilient]`. Else they are moved, and need no `Clone`.
//! - `&mut` parameters and `self` by value cannot be tried twice, and are refused below those two.
//! - A parameter of the type `Call` or `&Call` *is* the call: its deadline, its key and its correlation id hold,
//!   and the body sees each attempt's own. Without one, the call is named after the function.
//! - `safe_to_repeat` says that the call may be made twice; else a retry does not repeat what a time limit
//!   ended.
//! - A fallback function takes what the function takes, values cloned, and then the failure; it is async if
//!   the function is. A closure takes the failure, and may `.await`.
//! - `#[cached]` is keyed by all parameters but `self` and the call. Methods and generic functions name a
//!   `rs_policies::Cache`, and with it they may say `key = …`.
//!
//! # Functions that are not async
//!
//! `#[circuit_breaker]`, `#[bulkhead]`, `#[retry]`, `#[fallback]` and `#[cached]` work on functions that block,
//! too: waits block the thread, and nobody queues for a place. `#[timeout]` is refused, because nothing can end
//! a blocking call, and so is `#[resilient]`.
//!
//! Async are: `async fn`, what `#[async_trait]` makes of one, and functions whose body is one `async move`
//! block, boxed or not. Their futures have to be `Send`.
//!
//! # Paths
//!
//! What is written names `rs-core`, `rs-policies` and `rs-breaker` as the manifest of your crate does, or
//! `rs-patterns` if it has that instead. `crate = my::module` is for crates that export them under another
//! name: a module with `core`, `policies` and `breaker` in it.
//!
//! # Metrics and signals
//!
//! None of its own; those of the policies.
//!
//! # Cancel safety
//!
//! As that of the policies: dropping the future at any await gives back every permit.
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
    /// Calls go through a pipeline, or any other policy.
    ///
    /// ```
    /// use rs_attributes::resilient;
    /// use rs_core::Failure;
    /// use rs_policies::{Pipeline, Pipelines, RetryConfig};
    ///
    /// /// By its name, whatever is registered when the call is made.
    /// #[resilient("payments")]
    /// async fn charge(order: &str) -> Result<usize, Failure<std::io::Error>> {
    ///     Ok(order.len())
    /// }
    ///
    /// struct Shop { payments: Pipeline }
    ///
    /// impl Shop {
    ///     #[resilient(self.payments)]
    ///     async fn charge(&self, order: &str) -> Result<usize, Failure<std::io::Error>> {
    ///         Ok(order.len())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let payments = Pipeline::named("payments").retry(RetryConfig::default()).build()?;
    /// Pipelines::of_process().register("payments", payments.clone());
    /// assert_eq!(charge("order 17").await?, 8);
    /// assert_eq!(Shop { payments }.charge("order 17").await?, 8);
    /// # Ok(()) }
    /// ```
    ///
    /// A pipeline by name is erased and boxes a few futures a call; one by expression does not. The
    /// [crate page](crate) says the rest.
    resilient;

    /// Calls go through a circuit breaker.
    ///
    /// ```
    /// use rs_attributes::circuit_breaker;
    /// use rs_breaker::{Breaker, BreakerRegistry};
    /// use rs_core::Failure;
    ///
    /// /// Shared by all that name it; its rules are those of the registry of the process.
    /// #[circuit_breaker("bank")]
    /// async fn balance() -> Result<u64, Failure<std::io::Error>> {
    ///     Ok(250)
    /// }
    ///
    /// struct Shop { breaker: Breaker, breakers: BreakerRegistry }
    ///
    /// impl Shop {
    ///     #[circuit_breaker(self.breaker)]
    ///     async fn charge(&self) -> Result<u64, Failure<std::io::Error>> {
    ///         Ok(17)
    ///     }
    ///
    ///     #[circuit_breaker("inventory", in = self.breakers)]
    ///     fn take(&self) -> Result<u64, Failure<std::io::Error>> {
    ///         Ok(1)
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # assert_eq!(balance().await?, 250);
    /// # let shop = Shop { breaker: Breaker::named("shop"), breakers: BreakerRegistry::new(Default::default())? };
    /// # assert_eq!(shop.charge().await? + shop.take()?, 18);
    /// # assert_eq!(shop.breakers.get("inventory").snapshot().successes, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// The [crate page](crate) says the rest.
    circuit_breaker;

    /// Tries again what failed and may succeed the next time.
    ///
    /// | argument | says | default |
    /// |---|---|---|
    /// | `attempts = 3` | how often, the first time included | 3 |
    /// | `exponential = "100ms"`, `constant`, `linear`, `fibonacci` | the first wait, and how they grow | exponential, 100 ms |
    /// | `at_most = "10s"` | the longest wait | 10 s |
    /// | `jitter = "full"`, `"equal"`, `"decorrelated"`, `"none"` | the random part of a wait | full |
    /// | `at_once_first` | the first time without a wait | |
    /// | `total_time = "30s"` | no attempt begins later | as the call's deadline says |
    /// | `rejections` | refusals by guards inside are tried again, too | |
    /// | `timeouts` | what a time limit ended, too, even if the call is not known to be safe to repeat | |
    /// | `safe_to_repeat` | the call may be made twice without harm | |
    /// | `budget = BUDGET` | a budget that others share, or `None` | one of its own, 20 % |
    /// | `name = "…"` | its name in metrics and in the directory | `module::function` |
    ///
    /// The [crate page](crate) says the rest.
    retry;

    /// Ends what takes too long: each attempt if it stands below a retry or a pipeline, else the whole call.
    ///
    /// The [crate page](crate) says the rest.
    timeout;

    /// Lets so many calls run at once, and so many wait, in order, for so long:
    /// `#[bulkhead(32, queue = 64, longest_wait = "200ms")]`.
    ///
    /// The [crate page](crate) says the rest.
    bulkhead;

    /// Answers instead, when there is no result: an error that the classifier calls a failure, a refusal, a
    /// time limit.
    ///
    /// ```
    /// use rs_attributes::fallback;
    /// use rs_core::Failure;
    ///
    /// #[fallback(last_known)]
    /// async fn price(sku: &str) -> Result<u64, Failure<std::io::Error>> {
    ///     Err(std::io::Error::other(format!("nobody knows {sku}")))
    /// }
    ///
    /// async fn last_known(sku: &str, why: Failure<std::io::Error>) -> Result<u64, Failure<std::io::Error>> {
    ///     match sku {
    ///         "sku-17" => Ok(250),
    ///         _ => Err(why),
    ///     }
    /// }
    ///
    /// #[fallback(|_why| price("sku-17").await)]
    /// async fn usual_price(sku: &str) -> Result<u64, Failure<std::io::Error>> {
    ///     price(sku).await.map_err(std::io::Error::other)
    /// }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # assert_eq!(price("sku-17").await.unwrap(), 250);
    /// # assert!(price("sku-18").await.is_err());
    /// # assert_eq!(usual_price("sku-18").await.unwrap(), 250);
    /// # }
    /// ```
    ///
    /// The [crate page](crate) says the rest.
    fallback;

    /// Keeps good results for a time, by the function's parameters: `#[cached("300s", limit = 1000)]`.
    ///
    /// Calls that miss at the same time all go to the dependency. The [crate page](crate) says the rest.
    cached;
}
