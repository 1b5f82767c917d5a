use rs_core::{Name, Reason, Rejection, label_set};

label_set! {
    /// Why there was no endpoint for a call.
    pub enum NoEndpoint: "reason" {
        /// The set is empty.
        Empty = "empty",
        /// All that are not draining are ejected.
        Ejected = "ejected",
        /// None is well, and health is believed.
        Unhealthy = "unhealthy",
        /// All are draining, or out of service by order.
        Draining = "draining",
        /// All were excluded by the caller.
        Excluded = "excluded",
        /// The guards of all that were asked refused.
        Refused = "refused",
    }
}

static EMPTY: Reason = Reason::new("balancer", "empty");
static EJECTED: Reason = Reason::new("balancer", "ejected");
static UNHEALTHY: Reason = Reason::new("balancer", "unhealthy");
static DRAINING: Reason = Reason::new("balancer", "draining");
static EXCLUDED: Reason = Reason::new("balancer", "excluded");
static REFUSED: Reason = Reason::new("balancer", "refused");

impl NoEndpoint {
    /// Why, if a balancer refused the call; `None` if it was somebody else, such as the guard of an
    /// endpoint.
    ///
    /// ```
    /// use rs_balance::{Balancer, BalancerConfig, NoEndpoint};
    /// use rs_core::Call;
    ///
    /// let search: Balancer<()> = Balancer::new("search", BalancerConfig::default())?;
    /// let refused = search.try_pick(&Call::new("query")).unwrap_err();
    /// assert_eq!(refused.to_string(), "balancer `search` refused the call: empty");
    /// assert_eq!(NoEndpoint::of(&refused), Some(NoEndpoint::Empty));
    /// # Ok::<(), rs_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn of(rejection: &Rejection) -> Option<Self> {
        <Self as rs_core::Label>::ALL
            .iter()
            .copied()
            .find(|why| why.reason() == rejection.reason())
    }

    const fn reason(self) -> &'static Reason {
        match self {
            Self::Empty => &EMPTY,
            Self::Ejected => &EJECTED,
            Self::Unhealthy => &UNHEALTHY,
            Self::Draining => &DRAINING,
            Self::Excluded => &EXCLUDED,
            Self::Refused => &REFUSED,
        }
    }

    pub(crate) const fn reject(self, balancer: Name) -> Rejection {
        self.reason().reject(balancer)
    }
}
