/// A metric label whose values are a closed set, known when the program is compiled.
///
/// Declare one with [`label_set!`](crate::label_set).
pub trait Label: Copy + Send + Sync + 'static {
    /// The label's name: `outcome`.
    const KEY: &'static str;

    /// All its values, in the order of their index.
    const VALUES: &'static [&'static str];

    /// Which of the values this is.
    fn index(self) -> usize;
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
            /// Every member.
            $vis const ALL: &'static [Self] = &[$(Self::$member),+];

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
