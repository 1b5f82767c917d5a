use std::{fmt, sync::Arc};

use rs_core::Call;

/// How requests are handled: what they say of their call, how they are made again, what is written into them.
///
/// Any function that makes a request again from a reference is one, if it can say that it cannot.
pub trait Requests<Q>: Send + Sync {
    /// Another one like it, if that is possible.
    fn repeat(&self, request: &Q) -> Option<Q>;

    /// The call, with what the request says of it.
    fn read(&self, call: Call, request: &Q) -> Call {
        let _ = request;
        call
    }

    /// Writes into the request of one attempt what the call says.
    fn write(&self, call: &Call, request: &mut Q) {
        let _ = (call, request);
    }
}

/// A request is made again by cloning it: the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByClone;

impl<Q: Clone> Requests<Q> for ByClone {
    fn repeat(&self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}

/// A request is not made again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Once;

impl<Q> Requests<Q> for Once {
    fn repeat(&self, _: &Q) -> Option<Q> {
        None
    }
}

impl<Q, F: Fn(&Q) -> Option<Q> + Send + Sync> Requests<Q> for F {
    fn repeat(&self, request: &Q) -> Option<Q> {
        self(request)
    }
}

impl<Q, M: Requests<Q> + ?Sized> Requests<Q> for Arc<M> {
    fn repeat(&self, request: &Q) -> Option<Q> {
        (**self).repeat(request)
    }

    fn read(&self, call: Call, request: &Q) -> Call {
        (**self).read(call, request)
    }

    fn write(&self, call: &Call, request: &mut Q) {
        (**self).write(call, request);
    }
}

/// Requests that say something of their call.
pub struct Reading<M, F>(pub(super) M, pub(super) F);

impl<Q, M, F> Requests<Q> for Reading<M, F>
where
    M: Requests<Q>,
    F: Fn(Call, &Q) -> Call + Send + Sync,
{
    fn repeat(&self, request: &Q) -> Option<Q> {
        self.0.repeat(request)
    }

    fn read(&self, call: Call, request: &Q) -> Call {
        (self.1)(self.0.read(call, request), request)
    }

    fn write(&self, call: &Call, request: &mut Q) {
        self.0.write(call, request);
    }
}

/// Requests into which something is written before they are sent.
pub struct Writing<M, F>(pub(super) M, pub(super) F);

impl<Q, M, F> Requests<Q> for Writing<M, F>
where
    M: Requests<Q>,
    F: Fn(&Call, &mut Q) + Send + Sync,
{
    fn repeat(&self, request: &Q) -> Option<Q> {
        self.0.repeat(request)
    }

    fn read(&self, call: Call, request: &Q) -> Call {
        self.0.read(call, request)
    }

    fn write(&self, call: &Call, request: &mut Q) {
        self.0.write(call, request);
        (self.1)(call, request);
    }
}

impl<M, F> fmt::Debug for Reading<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

impl<M, F> fmt::Debug for Writing<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing").finish_non_exhaustive()
    }
}
