/// A metric label whose values are a closed set, known when the program is compiled.
///
/// Declare one with [`label_set!`](crate::label_set).
pub trait Label: Copy + Send + Sync + 'static {
    /// The label's name: `outcome`.
    const KEY: &'static str;

    /// All its members, in the order of their index.
    const ALL: &'static [Self];

    /// The values of all its members.
    const VALUES: &'static [&'static str];

    /// Which of the members this is.
    fn index(self) -> usize;
}

/// The closed labels of a metric: none, one [`Label`], or a tuple of up to three.
///
/// Every combination has a place, so that a metric can keep its series in an array.
pub trait LabelSet: Copy + Send + Sync + 'static {
    /// The labels and their values.
    const LABELS: &'static [(&'static str, &'static [&'static str])];

    /// The place of this combination, counting with the last label running fastest.
    fn place(self) -> usize;

    /// The combination at this place.
    fn at(place: usize) -> Option<Self>;
}

impl LabelSet for () {
    const LABELS: &'static [(&'static str, &'static [&'static str])] = &[];

    #[inline]
    fn place(self) -> usize {
        0
    }

    fn at(place: usize) -> Option<Self> {
        (place == 0).then_some(())
    }
}

impl<A: Label> LabelSet for A {
    const LABELS: &'static [(&'static str, &'static [&'static str])] = &[(A::KEY, A::VALUES)];

    #[inline]
    fn place(self) -> usize {
        self.index()
    }

    fn at(place: usize) -> Option<Self> {
        A::ALL.get(place).copied()
    }
}

impl<A: Label, B: Label> LabelSet for (A, B) {
    const LABELS: &'static [(&'static str, &'static [&'static str])] =
        &[(A::KEY, A::VALUES), (B::KEY, B::VALUES)];

    #[inline]
    fn place(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }

    fn at(place: usize) -> Option<Self> {
        let (a, b) = (place / B::ALL.len(), place % B::ALL.len());
        Some((*A::ALL.get(a)?, *B::ALL.get(b)?))
    }
}

impl<A: Label, B: Label, C: Label> LabelSet for (A, B, C) {
    const LABELS: &'static [(&'static str, &'static [&'static str])] = &[
        (A::KEY, A::VALUES),
        (B::KEY, B::VALUES),
        (C::KEY, C::VALUES),
    ];

    #[inline]
    fn place(self) -> usize {
        (self.0, self.1).place() * C::ALL.len() + self.2.index()
    }

    fn at(place: usize) -> Option<Self> {
        let (a, b) = <(A, B)>::at(place / C::ALL.len())?;
        Some((a, b, *C::ALL.get(place % C::ALL.len())?))
    }
}

/// Declares an enum whose members are the values of a metric label.
///
/// ```
/// use rs_core::{Label, label_set};
///
/// label_set! {
///     /// How a payment went.
///     pub enum Payment: "payment" {
///         /// The money moved.
///         Charged = "charged",
///         /// The bank said no.
///         Declined = "declined",
///     }
/// }
///
/// assert_eq!(Payment::KEY, "payment");
/// assert_eq!(Payment::VALUES, ["charged", "declined"]);
/// assert_eq!(Payment::Declined.as_str(), "declined");
/// ```
#[macro_export]
macro_rules! label_set {
    (
        $(#[$about:meta])*
        $vis:vis enum $name:ident: $key:literal {
            $($(#[$member_about:meta])* $member:ident = $value:literal),+ $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        $vis enum $name {
            $($(#[$member_about])* $member,)+
        }

        impl $name {
            /// The value of the label.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$member => $value,)+
                }
            }
        }

        impl $crate::Label for $name {
            const KEY: &'static str = $key;
            const ALL: &'static [Self] = &[$(Self::$member),+];
            const VALUES: &'static [&'static str] = &[$($value),+];

            fn index(self) -> usize {
                self as usize
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
